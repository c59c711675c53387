// Selections: which split, classes and objects of a manifest, as a list of files.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "data/manifest_internal.h"
#include "data/signs.h"

// ---- what is asked for, checked against what there is ----

// "a, b, c" of the names that get(user, k) gives.
static am_err join_names(const char *const *name, int64_t count, am_str *out) {
  enum { MOST_NAMED = 30 };
  for (int64_t k = 0; k < count && k < MOST_NAMED; k++)
    AM_TRY(am_str_printf(out, "%s%s", k ? ", " : "", name[k]));
  if (count > MOST_NAMED) AM_TRY(am_str_printf(out, ", ..."));
  return AM_OK;
}

// "MANIFEST has no WHAT "NAME"; did you mean ...? There are: ..."
static am_err fail_unknown(const am_manifest *m, const char *what, const char *name, const char *const *known,
                           int64_t count) {
  am_str all = {0};
  am_err err = join_names(known, count, &all);
  const char *near = am_str_nearest(name, known, count);
  if (!err) {
    err = AM_FAIL(AM_ERR_CONFIG, "data set %s has no %s \"%s\"%s%s%s: %s", m->name, what, name,
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"? There are" : "; there are",
                  count ? am_str_get(&all) : "none");
  }
  am_str_fini(&all);
  return err;
}

static am_err check_split(const am_manifest *m, const char *split) {
  if (!split) return AM_OK;
  for (int64_t k = 0; k < m->split_count; k++) {
    if (strcmp(split, m->split_name[k]) == 0) return AM_OK;
  }
  return fail_unknown(m, "split", split, m->split_name, m->split_count);
}

static am_err fail_unknown_class(const am_manifest *m, const char *name, const am_class_def *c,
                                 int64_t count) {
  const char **known = NULL;
  AM_TRY(AM_NEW_ARRAY(&known, count));
  for (int64_t k = 0; k < count; k++) known[k] = c[k].name;
  am_err err = fail_unknown(m, "class", name, known, count);
  free(known);
  return err;
}

// label[k] = place of class k in the selection, or -1.
static am_err label_classes(const am_manifest *m, const am_selection *what, const am_class_def *c,
                            int64_t count, int32_t *label) {
  for (int64_t k = 0; k < count; k++) label[k] = what->class_count ? -1 : (int32_t)k;
  for (int64_t i = 0; i < what->class_count; i++) {
    const char *name = what->class_name[i];
    int64_t k = 0;
    while (k < count && strcmp(c[k].name, name) != 0 && strcmp(c[k].folder, name) != 0) k++;
    if (k == count) return fail_unknown_class(m, name, c, count);
    AM_CHECK(label[k] < 0, AM_ERR_CONFIG, "data set %s: the class \"%s\" is selected twice", m->name, name);
    label[k] = (int32_t)i;
  }
  return AM_OK;
}

static am_err name_classes(const am_selection *what, const am_class_def *c, int64_t count,
                           const int32_t *label, am_file_list *list) {
  int64_t chosen = what->class_count ? what->class_count : count;
  AM_TRY(AM_NEW_ARRAY(&list->class_name, chosen));
  list->class_count = chosen;
  for (int64_t k = 0; k < count; k++) {
    if (label[k] >= 0) AM_TRY(am_mem_strdup(c[k].name, &list->class_name[label[k]]));
  }
  return AM_OK;
}

// ---- objects: "1, 3" of one class ----

// The next word of a comma-separated list, without blanks around it; NULL at the end.
static const char *next_word(const char **rest, size_t *length) {
  const char *p = *rest + strspn(*rest, " ,");
  if (!*p) return NULL;
  *length = strcspn(p, ",");
  *rest = p + *length;
  while (*length && p[*length - 1] == ' ') --*length;
  return p;
}

static bool object_in(const char *object, const char *wanted) {
  size_t length = 0;
  for (const char *rest = wanted, *word; (word = next_word(&rest, &length));) {
    if (object && strlen(object) == length && strncmp(object, word, length) == 0) return true;
  }
  return false;
}

// The distinct objects of one class, short and numeric ones in their natural order.
static int compare_objects(const void *a, const void *b) {
  const char *x = *(const char *const *)a, *y = *(const char *const *)b;
  size_t n = strlen(x), m = strlen(y);
  return n != m ? (n < m ? -1 : 1) : strcmp(x, y);
}
static am_err objects_of(const am_file_list *list, int32_t label, const char ***out, int64_t *count) {
  const char **name = NULL;
  int64_t n = 0, kept = 0;
  AM_TRY(AM_NEW_ARRAY(&name, list->count));
  for (int64_t i = 0; i < list->count; i++) {
    const am_file_entry *e = &list->entry[i];
    if (e->label == label && e->object) name[n++] = e->object;
  }
  if (n) qsort(name, (size_t)n, sizeof *name, compare_objects);
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || strcmp(name[i], name[i - 1]) != 0) name[kept++] = name[i];
  }
  *out = name;
  *count = kept;
  return AM_OK;
}

static am_err check_objects(const am_manifest *m, const am_file_list *list, int32_t label,
                            const char *wanted) {
  am_err err = AM_OK;
  const char **known = NULL;
  char *word_text = NULL, *what = NULL;
  int64_t count = 0;
  size_t length = 0;
  AM_GO(done, objects_of(list, label, &known, &count));
  AM_GO(done, am_str_format(&what, "object of class %s", list->class_name[label]));
  for (const char *rest = wanted, *word; (word = next_word(&rest, &length));) {
    AM_GO(done, am_str_format(&word_text, "%.*s", (int)length, word));
    int64_t k = 0;
    while (k < count && strcmp(known[k], word_text) != 0) k++;
    if (k == count) AM_GO(done, fail_unknown(m, what, word_text, known, count));
    free(word_text);
    word_text = NULL;
  }
done:
  free(known);
  free(word_text);
  free(what);
  return err;
}

// Keeps the split and the objects that are asked for.
static am_err keep_selected(const am_manifest *m, const am_selection *what, am_file_list *list) {
  am_err err = AM_OK;
  bool *keep = NULL;
  for (int32_t k = 0; what->object && k < what->class_count; k++) {
    if (what->object[k]) AM_TRY(check_objects(m, list, k, what->object[k]));
  }
  AM_GO(done, AM_NEW_ARRAY(&keep, list->count));
  for (int64_t i = 0; i < list->count; i++) {
    const am_file_entry *e = &list->entry[i];
    const char *objects = what->object && what->class_count ? what->object[e->label] : NULL;
    keep[i] = (!what->split || (e->split && strcmp(e->split, what->split) == 0)) &&
              (!objects || object_in(e->object, objects));
  }
  am_file_list_keep(list, keep);
done:
  free(keep);
  return err;
}

static am_err check_every_class(const am_manifest *m, const am_selection *what, const am_file_list *list) {
  am_err err = AM_OK;
  int64_t *images = NULL;
  am_str kinds = {0};
  AM_GO(done, AM_NEW_ARRAY(&images, list->class_count));
  for (int64_t i = 0; i < list->count; i++) images[list->entry[i].label]++;
  for (int64_t k = 0; k < m->extension_count; k++)
    AM_GO(done, am_str_printf(&kinds, " .%s", m->extension[k]));
  for (int64_t k = 0; k < list->class_count; k++) {
    AM_CHECK_GO(done, images[k] > 0, AM_ERR_DATA, "data set %s: class \"%s\" has no image%s%s in %s%s%s%s",
                m->name, list->class_name[k], what->split ? " of split " : "", what->split ? what->split : "",
                list->root, list->packed_count ? "" : " (looked for",
                list->packed_count ? "" : am_str_get(&kinds), list->packed_count ? "" : ")");
  }
done:
  free(images);
  am_str_fini(&kinds);
  return err;
}

// ---- files ----

am_err am_manifest_fail_missing(const am_manifest *m, const char *what, const char *missing,
                                const char *folder) {
  const am_manifest_cfg *c = &m->cfg;
  return AM_FAIL(AM_ERR_DATA,
                 "data set %s: there is no %s %s. %s can be had from %s%s%s%s; its files belong into %s (--data says where sets lie)",
                 m->name, what, missing, *c->title ? c->title : m->name,
                 *c->source ? c->source : "(the manifest does not say where)",
                 *c->licence ? " (licence: " : "", c->licence, *c->licence ? ")" : "", folder);
}

// *root = heap DIR/NAME, or the archive's own folder in it where it was unpacked there.
static am_err find_root(const am_manifest *m, const char *data_dir, char **root) {
  char *unpacked = NULL;
  AM_TRY(am_path_join(data_dir, m->name, root));
  if (!am_path_is_dir(data_dir)) return am_manifest_fail_missing(m, "data folder", data_dir, *root);
  if (!am_path_is_dir(*root)) return am_manifest_fail_missing(m, "folder", *root, *root);
  if (!*m->cfg.archive_folder) return AM_OK;
  AM_TRY(am_path_join(*root, m->cfg.archive_folder, &unpacked));
  if (am_path_is_dir(unpacked)) {
    free(*root);
    *root = unpacked;
  } else {
    free(unpacked);
  }
  return AM_OK;
}

// The classes of what is asked for: those of the set, or the one that a split without labels has.
static am_err find_classes(const am_manifest *m, const am_selection *what, const char *root,
                           am_folder_index *folders, am_class_def **c, int64_t *count) {
  const am_part *part = m->part;
  while (what->split && !m->divided && strcmp(part->split, what->split) != 0) part++;
  if (!part->unlabelled || (part->split && !what->split))
    return am_manifest_find_classes(m, root, folders, c, count);
  AM_TRY(AM_NEW_ARRAY(c, 1));
  *count = 1;
  AM_TRY(am_mem_strdup("unlabelled", &(*c)[0].name));
  return am_mem_strdup("", &(*c)[0].folder);
}

static am_err list_parts(const am_manifest *m, const am_selection *what, am_folder_index *folders,
                         const am_class_def *c, int64_t classes, const int32_t *label, am_file_list *list) {
  for (int64_t k = 0; k < m->part_count; k++) {
    const am_part *part = &m->part[k];
    bool named = part->split && what->split && strcmp(part->split, what->split) == 0;
    bool asked = named || m->divided || (!what->split && (!part->unlabelled || !part->split));
    if (asked) AM_TRY(am_part_list(m, part, folders, c, classes, label, list));
  }
  am_file_list_sort(list);
  return AM_OK;
}

// A division is over all classes, whichever are selected, so that it does not depend on the selection.
static am_err list_divided(const am_manifest *m, const am_selection *what, am_folder_index *folders,
                           const am_class_def *c, int64_t classes, const int32_t *label, am_file_list *list) {
  am_err err = AM_OK;
  int32_t *every = NULL;
  bool *keep = NULL;
  AM_GO(done, AM_NEW_ARRAY(&every, classes));
  for (int64_t k = 0; k < classes; k++) every[k] = (int32_t)k;
  AM_GO(done, list_parts(m, what, folders, c, classes, every, list));
  AM_GO(done, am_file_list_hash(list, m->cache_dir));
  AM_GO(done, am_manifest_divide(m, list));
  AM_GO(done, AM_NEW_ARRAY(&keep, list->count));
  for (int64_t i = 0; i < list->count; i++) {
    list->entry[i].label = label[list->entry[i].label];
    keep[i] = list->entry[i].label >= 0;
  }
  am_file_list_keep(list, keep);
done:
  free(every);
  free(keep);
  return err;
}

// The index of the set's folders, remembered from an earlier listing; *path: where (heap, or NULL).
static am_err open_folders(const am_manifest *m, const char *root, char **path, am_folder_index **out) {
  if (m->cache_dir) AM_TRY(am_cache_path(m->cache_dir, root, "folders", path));
  return am_folder_index_load(*path, out);
}

// An index that cannot be written is only slow.
static void keep_folders(const am_manifest *m, const char *path, am_folder_index *folders) {
  if (!path) return;
  am_err err = am_path_mkdirs(m->cache_dir);
  if (!err) err = am_folder_index_save(folders, path);
  if (err) AM_WARN("what is in folders is not remembered: %s", am_err_last()->message);
}

static am_err list_files(am_manifest *m, const char *data_dir, const am_selection *what, am_file_list *list) {
  am_err err = AM_OK;
  am_class_def *c = NULL;
  am_folder_index *folders = NULL;
  int32_t *label = NULL;
  char *path = NULL;
  int64_t classes = 0;
  AM_CHECK(data_dir && *data_dir, AM_ERR_CONFIG,
           "data set %s: nothing says where image sets lie: give --data DIR or set AUGMINT_DATA", m->name);
  AM_GO(done, find_root(m, data_dir, &list->root));
  AM_GO(done, open_folders(m, list->root, &path, &folders));
  AM_GO(done, find_classes(m, what, list->root, folders, &c, &classes));
  AM_GO(done, AM_NEW_ARRAY(&label, classes));
  AM_GO(done, label_classes(m, what, c, classes, label));
  AM_GO(done, name_classes(what, c, classes, label, list));
  AM_GO(done, m->divided ? list_divided(m, what, folders, c, classes, label, list)
                         : list_parts(m, what, folders, c, classes, label, list));
  keep_folders(m, path, folders);
done:
  am_classes_free(c, classes);
  am_folder_index_free(folders);
  free(label);
  free(path);
  return err;
}

// ---- drawn images ----

static am_err list_drawn_class(int k, int32_t label, am_file_list *list) {
  for (int split = 0; split < AM_SIGNS_SPLITS; split++) {
    const char *split_name = am_signs_split_name((am_signs_split)split);
    for (int64_t i = 0; i < am_signs_count((am_signs_split)split, k); i++) {
      char path[128];
      am_file_entry *e = NULL;
      AM_TRY(am_file_list_add(list, &e));
      snprintf(path, sizeof path, "%s/%s/%03lld", split_name, am_signs_class_name(k), (long long)i);
      AM_TRY(am_arena_text(&list->text, path, &e->path));
      e->split = split_name;
      e->label = label;
      e->number = (int32_t)i;
    }
  }
  return AM_OK;
}

static am_err list_drawn(const am_manifest *m, const am_selection *what, am_file_list *list) {
  int32_t label[AM_SIGNS_CLASSES];
  AM_TRY(am_mem_strdup(AM_DRAWN_ROOT, &list->root));
  AM_TRY(label_classes(m, what, m->class_def, m->class_count, label));
  AM_TRY(name_classes(what, m->class_def, m->class_count, label, list));
  for (int k = 0; k < AM_SIGNS_CLASSES; k++) {
    if (label[k] >= 0) AM_TRY(list_drawn_class(k, label[k], list));
  }
  am_file_list_sort(list);
  return AM_OK;
}

am_err am_manifest_list(am_manifest *m, const char *data_dir, const am_selection *what, am_file_list *out) {
  am_err err = AM_OK;
  am_file_list list = {0};
  AM_TRY(check_split(m, what->split));
  AM_GO(done, am_manifest_is_drawn(m) ? list_drawn(m, what, &list) : list_files(m, data_dir, what, &list));
  AM_GO(done, keep_selected(m, what, &list));
  am_file_list_sort(&list);
  AM_GO(done, check_every_class(m, what, &list));
  *out = list;
  list = (am_file_list){0};
done:
  am_file_list_fini(&list);
  return err;
}

// ---- images ----

static am_err drawn_image(const am_file_list *list, const am_file_entry *e, am_image *image, am_image *mask) {
  int k = 0, split = 0;
  while (k < AM_SIGNS_CLASSES && strcmp(am_signs_class_name(k), list->class_name[e->label]) != 0) k++;
  while (split < AM_SIGNS_SPLITS && strcmp(am_signs_split_name((am_signs_split)split), e->split) != 0)
    split++;
  AM_CHECK(k < AM_SIGNS_CLASSES && split < AM_SIGNS_SPLITS, AM_ERR_ARG, "%s is not a drawn image", e->path);
  return am_signs_draw((am_signs_split)split, k, e->number, image, mask);
}

am_err am_manifest_image(am_manifest *m, const am_file_list *list, int64_t i, am_image *out) {
  const am_file_entry *e = &list->entry[i];
  if (am_manifest_is_drawn(m)) return drawn_image(list, e, out, NULL);
  if (e->packed) return am_packed_image(e->packed, e->number, out);
  char *path = NULL;
  AM_TRY(am_path_join(list->root, e->path, &path));
  am_err err = am_image_read(path, out);
  free(path);
  return err;
}

am_err am_manifest_file(am_manifest *m, const am_file_list *list, int64_t i, char **bytes, size_t *count) {
  const am_file_entry *e = &list->entry[i];
  *bytes = NULL;
  if (am_manifest_is_drawn(m) || e->packed) return AM_OK;
  char *path = NULL;
  AM_TRY(am_path_join(list->root, e->path, &path));
  am_err err = am_file_read(path, AM_IMAGE_FILE_BYTES, bytes, count);
  free(path);
  return err;
}

am_err am_manifest_mask(am_manifest *m, const am_file_list *list, int64_t i, am_image *out) {
  const am_file_entry *e = &list->entry[i];
  if (am_manifest_is_drawn(m)) {
    am_image image = {0};
    am_err err = drawn_image(list, e, &image, out);
    am_image_fini(&image);
    return err;
  }
  AM_CHECK(e->mask_path, AM_ERR_DATA, "data set %s: %s/%s has no mask", m->name, list->root, e->path);
  char *path = NULL;
  AM_TRY(am_path_join(list->root, e->mask_path, &path));
  am_err err = am_image_read_grey(path, out);
  free(path);
  return err;
}
