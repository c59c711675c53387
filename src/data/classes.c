// The classes of a data set: those its manifest lists, those a file of the set lists, or those that are there.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "data/listing_internal.h"
#include "data/text_table.h"

void am_classes_free(am_class_def *c, int64_t count) {
  for (int64_t k = 0; c && k < count; k++) {
    free(c[k].name);
    free(c[k].folder);
  }
  free(c);
}

// ---- classes that a file of the set lists ----

static am_err read_table(const am_manifest *m, const char *root, const char *file, am_text_table *out) {
  am_err err = AM_OK;
  char *path = NULL, *text = NULL;
  size_t bytes = 0;
  AM_GO(done, am_path_join(root, file, &path));
  if (!am_path_exists(path)) {
    err = am_manifest_fail_missing(m, "file", path, root);
    goto done;
  }
  AM_GO(done, am_file_read(path, AM_TEXT_TABLE_BYTES, &text, &bytes));
  err = am_class_table_parse(path, text, bytes, out);
done:
  free(path);
  free(text);
  return err;
}

static int compare_keys(const void *a, const void *b) {
  return strcmp(((const am_text_row *)a)->key, ((const am_text_row *)b)->key);
}

// The first of "tench, Tinca tinca"; a class without words is named by its folder.
static am_err name_class(const am_text_row *row, const char *words, am_class_def *out) {
  AM_TRY(am_mem_strdup(row->key, &out->folder));
  if (!words || !*words || *words == ',') words = row->key;
  return am_str_format(&out->name, "%.*s", (int)strcspn(words, ","), words);
}

// Two cranes: both get their folder as well.
static am_err tell_apart(am_class_def *c, int64_t count) {
  am_err err = AM_OK;
  bool *shared = NULL;
  AM_TRY(AM_NEW_ARRAY(&shared, count));
  for (int64_t i = 0; i < count; i++) {
    for (int64_t j = 0; j < i; j++) {
      if (strcmp(c[i].name, c[j].name) == 0) shared[i] = shared[j] = true;
    }
  }
  for (int64_t i = 0; i < count; i++) {
    if (!shared[i]) continue;
    char *both = NULL;
    AM_GO(done, am_str_format(&both, "%s (%s)", c[i].name, c[i].folder));
    free(c[i].name);
    c[i].name = both;
  }
done:
  free(shared);
  return err;
}

// Sorted by folder, as torchvision's ImageFolder numbers them.
static am_err read_class_file(const am_manifest *m, const char *root, am_class_def **out, int64_t *count) {
  am_err err = AM_OK;
  am_text_table classes = {0}, words = {0};
  am_class_def *c = NULL;
  int64_t n = 0;
  AM_GO(done, read_table(m, root, m->class_file, &classes));
  if (m->word_file) AM_GO(done, read_table(m, root, m->word_file, &words));
  qsort(classes.row, (size_t)classes.count, sizeof *classes.row, compare_keys);
  if (words.count) qsort(words.row, (size_t)words.count, sizeof *words.row, compare_keys);
  AM_GO(done, AM_NEW_ARRAY(&c, classes.count));
  for (; n < classes.count; n++) {
    const am_text_row *row = &classes.row[n], *found = row;
    AM_CHECK_GO(done, n == 0 || strcmp(row[-1].key, row->key) != 0, AM_ERR_DATA,
                "%s: %s lists the class %s twice", m->name, m->class_file, row->key);
    if (words.count) found = bsearch(row, words.row, (size_t)words.count, sizeof *words.row, compare_keys);
    err = name_class(row, found ? found->value : NULL, &c[n]);
    if (err) n++;  // what there is of it goes with the others
    AM_GO(done, err);
  }
  AM_GO(done, tell_apart(c, n));
  *out = c;
  *count = n;
  c = NULL;
done:
  am_classes_free(c, n);
  am_text_table_fini(&classes);
  am_text_table_fini(&words);
  return err;
}

// ---- classes that are there ----

static am_err add_class(const char *name, am_class_def **c, int64_t *count, int64_t *capacity) {
  for (int64_t k = 0; k < *count; k++) {
    if (am_same_class_id((*c)[k].folder, name)) return AM_OK;
  }
  AM_TRY(AM_GROW(c, capacity, *count + 1));
  am_class_def *def = &(*c)[(*count)++];
  AM_TRY(am_mem_strdup(name, &def->name));
  return am_mem_strdup(name, &def->folder);
}

static am_err discover_in(const am_manifest *m, const am_part *part, const char *root,
                          am_folder_index *folders, am_class_def **c, int64_t *count, int64_t *capacity) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *text = NULL;
  AM_TRY(am_folder_index_read(folders, root, part->folder, &names));
  for (int64_t i = 0; i < names.count; i++) {
    bool use = false;
    if (part->layout == AM_LAYOUT_FLAT) {
      use = am_is_image_name(m, names.name[i]);
      if (use) AM_GO(done, am_flat_class_id(m, part, root, names.name[i], &text));
      if (use && !text) AM_GO(done, am_mem_strdup("image", &text));
    } else {
      AM_GO(done, am_path_join(part->folder, names.name[i], &text));
      AM_GO(done, am_is_folder(root, text, &use));
      use = use && !am_is_hidden(names.name[i]);
    }
    if (use)
      AM_GO(done, add_class(part->layout == AM_LAYOUT_FLAT ? text : names.name[i], c, count, capacity));
    free(text);
    text = NULL;
  }
done:
  free(text);
  am_dir_list_fini(&names);
  return err;
}

static int compare_classes(const void *a, const void *b) {
  return strcmp(((const am_class_def *)a)->name, ((const am_class_def *)b)->name);
}

am_err am_manifest_find_classes(const am_manifest *m, const char *root, am_folder_index *folders,
                                am_class_def **out, int64_t *count) {
  am_err err = AM_OK;
  am_class_def *c = NULL;
  int64_t n = 0, capacity = 0;
  if (m->class_file) return read_class_file(m, root, out, count);
  for (int64_t k = 0; k < m->class_count; k++) {
    AM_GO(fail, AM_GROW(&c, &capacity, m->class_count));
    n = k + 1;
    AM_GO(fail, am_mem_strdup(m->class_def[k].name, &c[k].name));
    AM_GO(fail, am_mem_strdup(m->class_def[k].folder, &c[k].folder));
  }
  for (int64_t k = 0; k < m->part_count && m->class_count == 0; k++) {
    bool is = false;
    if (am_layout_is_packed(m->part[k].layout) || m->part[k].unlabelled || m->part[k].label_list)
      continue;  // names no class
    AM_GO(fail, am_is_folder(root, m->part[k].folder, &is));
    AM_CHECK_GO(fail, is, AM_ERR_DATA, "%s: there is no folder %s/%s", m->name, root, m->part[k].folder);
    AM_GO(fail, discover_in(m, &m->part[k], root, folders, &c, &n, &capacity));
  }
  AM_CHECK_GO(fail, n > 0, AM_ERR_DATA, "%s: %s holds no class: expected a folder for each", m->name, root);
  if (m->class_count == 0) qsort(c, (size_t)n, sizeof *c, compare_classes);
  *out = c;
  *count = n;
  return AM_OK;
fail:
  am_classes_free(c, n);
  return err;
}
