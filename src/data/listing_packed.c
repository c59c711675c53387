// Images in packed files: each is an entry "FILE#0000017" of its own.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "data/manifest_internal.h"
#include "data/packed_file.h"

static am_packed_desc describe(const am_manifest *m, const am_part *part) {
  const am_packed_cfg *c = &m->packed;
  return (am_packed_desc){.kind = part->layout == AM_LAYOUT_IDX ? AM_PACKED_IDX : AM_PACKED_RECORDS,
                          .height = c->height,
                          .width = c->width,
                          .channels = c->channels,
                          .label_bytes = part->layout == AM_LAYOUT_IDX ? 0 : c->label_bytes,
                          .label_at = c->label_at,
                          .transposed = c->transposed,
                          .first_label = c->first_label,
                          .class_count = m->class_count};
}

// *out = heap ROOT/FOLDER/NAME, with .gz where that is what is there; NULL without a name.
static am_err find_file(const am_manifest *m, const am_part *part, const char *root, const char *name,
                        char **out) {
  am_err err = AM_OK;
  char *below = NULL, *path = NULL;
  *out = NULL;
  if (!name) return AM_OK;
  AM_GO(done, am_path_join(part->folder, name, &below));
  AM_GO(done, am_path_join(root, below, &path));
  AM_GO(done, am_packed_file_find(path, out));
  if (!*out) err = am_manifest_fail_missing(m, "file", path, root);
done:
  free(below);
  free(path);
  return err;
}

// Opens file k of a part; the list owns it from then on.
static am_err open_packed(const am_manifest *m, const am_part *part, int64_t k, am_file_list *list,
                          const am_packed **out) {
  am_err err = AM_OK;
  char *images = NULL, *labels = NULL;
  am_packed_desc desc = describe(m, part);
  AM_TRY(AM_GROW(&list->packed, &list->packed_capacity, list->packed_count + 1));
  AM_GO(done, find_file(m, part, list->root, part->file[k], &images));
  AM_GO(done, find_file(m, part, list->root, part->label_file ? part->label_file[k] : NULL, &labels));
  err = am_packed_open(&desc, images, labels, &list->packed[list->packed_count]);
  if (err) am_err_prefix("data set %s", m->name);
  AM_GO(done, err);
  *out = list->packed[list->packed_count++];
done:
  free(images);
  free(labels);
  return err;
}

static am_err add_images(const am_part *part, const char *file, const am_packed *p, const int32_t *label,
                         am_file_list *list) {
  am_err err = AM_OK;
  const char *split = NULL;
  char *path = NULL;
  AM_TRY(am_arena_text(&list->text, part->split, &split));
  for (int64_t i = 0; i < am_packed_count(p) && !err; i++) {
    am_file_entry *e = NULL;
    int32_t k = part->unlabelled ? label[0] : label[am_packed_label(p, i)];
    if (k < 0) continue;
    AM_TRY(am_file_list_add(list, &e));
    *e = (am_file_entry){.packed = p, .split = split, .label = k, .number = (int32_t)i};
    AM_TRY(am_str_format(&path, "%s%s%s#%07lld", part->folder, *part->folder ? "/" : "", file, (long long)i));
    err = am_arena_text(&list->text, path, &e->path);
    free(path);
  }
  return err;
}

am_err am_part_list_packed(const am_manifest *m, const am_part *part, const int32_t *label,
                           am_file_list *list) {
  for (int64_t k = 0; k < part->file_count; k++) {
    const am_packed *p = NULL;
    AM_TRY(open_packed(m, part, k, list, &p));
    AM_TRY(add_images(part, part->file[k], p, label, list));
  }
  return AM_OK;
}
