#include "sweep/store_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void am_store_view_init(am_store_view *v, const am_store *store) { *v = (am_store_view){.store = store}; }

void am_store_view_fini(am_store_view *v) {
  for (int i = 0; i < AM_STORE_FOLDERS; i++) am_dir_list_fini(&v->folder[i]);
  *v = (am_store_view){0};
}

static int nibble(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static am_err list_folder(am_store_view *v, const char *address, am_dir_list **out) {
  am_err err = AM_OK;
  char *path = NULL;
  int i = (nibble(address[0]) << 4 | nibble(address[1])) & (AM_STORE_FOLDERS - 1);
  *out = &v->folder[i];
  if (v->listed[i]) return AM_OK;
  AM_GO(done, am_store_folder(v->store, address, &path));
  if (am_path_is_dir(path)) AM_GO(done, am_dir_read(path, &v->folder[i]));
  v->listed[i] = true;
  v->listings++;
done:
  free(path);
  return err;
}

// The first name that is not before the address.
static int64_t lower_bound(const am_dir_list *list, const char *address) {
  int64_t low = 0, high = list->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (strcmp(list->name[middle], address) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

am_err am_store_view_find(am_store_view *v, const char *address, am_store_sight *out) {
  am_dir_list *list = NULL;
  *out = (am_store_sight){0};
  AM_TRY(list_folder(v, address, &list));
  for (int64_t i = lower_bound(list, address); i < list->count; i++) {
    if (!am_str_starts(list->name[i], address)) break;
    const char *suffix = list->name[i] + strlen(address);
    out->done = out->done || (!*suffix && am_store_has(v->store, address));
    out->failed = out->failed || strcmp(suffix, ".failed") == 0;
    out->leased = out->leased || strcmp(suffix, ".lease") == 0;
    out->part = out->part || am_str_starts(suffix, ".part.");
  }
  return AM_OK;
}
