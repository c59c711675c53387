#define _DEFAULT_SOURCE  // readlink
#include "backend/plugin.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/str.h"

enum { PATH_BYTES = 4096, NAME_BYTES = 32, MAX_PLUGINS = 4 };

static struct {
  char name[NAME_BYTES];
  const am_backend *backend;
} loaded[MAX_PLUGINS];

// The folder of the program's file.
static am_err program_dir(am_str *out) {
  char path[PATH_BYTES];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  AM_CHECK(length > 0, AM_ERR_IO, "/proc/self/exe cannot be read: the folder of this program is not known");
  path[length] = '\0';
  *strrchr(path, '/') = '\0';
  return am_str_printf(out, "%s", path);
}

static am_err plugin_path(const char *name, am_str *out) {
  const char *given = getenv("AUGMINT_BACKENDS");
  if (given && *given) return am_str_printf(out, "%s/%s.so", given, name);
  AM_TRY(program_dir(out));
  return am_str_printf(out, "/backends/%s.so", name);
}

static am_err load(const char *name, const char *path, const am_backend **out) {
  AM_CHECK(am_path_exists(path), AM_ERR_UNSUPPORTED,
           "device %s: there is no %s; `make` builds it where it finds what it needs, `make info` says what is missing", name,
           path);
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  AM_CHECK(object, AM_ERR_UNSUPPORTED, "device %s: %s", name, dlerror());
  const am_plugin *plugin = dlsym(object, AM_PLUGIN_SYMBOL);
  AM_CHECK(plugin && plugin->abi == AM_PLUGIN_ABI, AM_ERR_UNSUPPORTED, "device %s: %s is of another build: `make` again", name,
           path);
  *out = plugin->backend;
  return AM_OK;
}

am_err am_plugin_load(const char *name, const am_backend **out) {
  am_err err = AM_OK;
  am_str path = {0};
  int slot = 0;
  while (slot < MAX_PLUGINS && loaded[slot].backend && strcmp(loaded[slot].name, name) != 0) slot++;
  AM_CHECK(slot < MAX_PLUGINS && strlen(name) < NAME_BYTES, AM_ERR_INTERNAL, "no room for plug-in %s", name);
  if (!loaded[slot].backend) {
    AM_GO(done, plugin_path(name, &path));
    AM_GO(done, load(name, am_str_get(&path), &loaded[slot].backend));
    snprintf(loaded[slot].name, sizeof loaded[slot].name, "%s", name);
  }
  *out = loaded[slot].backend;
done:
  am_str_fini(&path);
  return err;
}
