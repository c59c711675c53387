// Which backends this program has. The only file that knows all of them.
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/guard/guard.h"
#include "backend/plugin.h"
#include "backend/ref/ref.h"

static const am_backend *const backends[] = {&am_backend_cpu, &am_backend_ref, &am_backend_guard, NULL};

const am_backend *const *am_backend_all(void) { return backends; }

const am_backend *am_backend_find(const char *name) {
  for (const am_backend *const *b = backends; *b; b++) {
    if (strcmp((*b)->name, name) == 0) return *b;
  }
  return NULL;
}

bool am_backend_is_plugin(const char *name) { return strcmp(name, "cuda") == 0; }

am_err am_backend_load(const char *name, const am_backend **out) { return am_plugin_load(name, out); }
