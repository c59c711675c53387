// Backends in shared objects of their own, loaded when their device is asked for: the program needs none of their
// libraries, and starts where there are none.
//
// backends/<name>.so lies beside the program, or in the folder that AUGMINT_BACKENDS names. It exports one symbol,
// am_plugin_entry, and takes what it needs of the program's own functions from the program.
#ifndef AM_BACKEND_PLUGIN_H
#define AM_BACKEND_PLUGIN_H

#include "tensor/backend.h"

// The shape of everything that both sides share: an object of another build is refused. The revision goes up when what a
// function takes or means changes and the shape does not show it.
enum { AM_PLUGIN_REVISION = 3 };
#define AM_PLUGIN_ABI                                                                                             \
  ((uint64_t)AM_PLUGIN_REVISION << 56 | (uint64_t)AM_OP_COUNT << 48 | (uint64_t)AM_DTYPE_COUNT << 40 |            \
   (uint64_t)sizeof(am_view) << 24 | (uint64_t)sizeof(am_backend_collective) << 16 | (uint64_t)sizeof(am_backend))

typedef struct {
  uint64_t abi;
  const am_backend *backend;
} am_plugin;
extern const am_plugin am_plugin_entry;  // of the object
#define AM_PLUGIN_SYMBOL "am_plugin_entry"

// *out = the backend of backends/<name>.so, loaded once for the life of the program. Local. Errors: AM_ERR_UNSUPPORTED no such
// file, a library that it needs and that is not here, or another build's; the message names it.
AM_MUST_USE am_err am_plugin_load(const char *name, const am_backend **out);

#endif
