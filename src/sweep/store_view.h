// The store seen at once: one listing of each folder that is asked about, instead of a look at every
// file. For plans of thousands of stages on file systems where a look is a message to a server.
#ifndef AM_SWEEP_STORE_VIEW_H
#define AM_SWEEP_STORE_VIEW_H

#include "base/path.h"
#include "sweep/store.h"

enum { AM_STORE_FOLDERS = 256 };

typedef struct {
  const am_store *store;                // borrowed
  am_dir_list folder[AM_STORE_FOLDERS];  // owned: names below STORE/<aa>/, once listed
  bool listed[AM_STORE_FOLDERS];
  int64_t listings;  // made so far
} am_store_view;

// What there is of one address. Only an artefact that is there costs a look of its own, for its DONE.
typedef struct {
  bool done, failed, leased, part;
} am_store_sight;

void am_store_view_init(am_store_view *v, const am_store *store);
void am_store_view_fini(am_store_view *v);
AM_MUST_USE am_err am_store_view_find(am_store_view *v, const char *address, am_store_sight *out);

#endif
