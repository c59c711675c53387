// Flat folders: all classes in one, told apart by the files' names or by a list.
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "data/listing_internal.h"
#include "data/text_table.h"

bool am_same_class_id(const char *a, const char *b) {
  if (strcmp(a, b) == 0) return true;
  if (!*a || !*b || strspn(a, "0123456789") != strlen(a) || strspn(b, "0123456789") != strlen(b))
    return false;
  while (*a == '0' && a[1]) a++;
  while (*b == '0' && b[1]) b++;
  return strcmp(a, b) == 0;
}

am_err am_flat_class_id(const am_manifest *m, const am_part *part, const char *root, const char *name,
                        char **id) {
  bool matches = false;
  *id = NULL;
  if (!*part->class_of.text) return AM_OK;
  AM_TRY(am_name_pattern_match(&part->class_of, name, &matches, id));
  AM_CHECK(matches, AM_ERR_DATA, "%s: %s/%s%s%s does not fit the class_pattern \"%s\"", m->name, root,
           part->folder, *part->folder ? "/" : "", name, part->class_of.text);
  return AM_OK;
}

static int64_t find_class_id(const am_class_def *c, int64_t count, const char *id) {
  for (int64_t k = 0; k < count; k++) {
    if (am_same_class_id(id, c[k].folder)) return k;
  }
  return -1;
}

// ---- labels from a list ----

// A class as a list names it: its folder, its name, or its number from 0; the first word may be enough
// (Kaggle's "n03995372 85 1 499 272").
static int64_t find_listed_class(const am_class_def *c, int64_t count, const char *text) {
  char word[64];
  int64_t k = find_class_id(c, count, text), number = 0;
  for (int64_t i = 0; i < count && k < 0; i++) {
    if (strcmp(text, c[i].name) == 0) k = i;
  }
  if (k >= 0) return k;
  if (am_text_is_integer(text, &number) && number >= 0 && number < count) return number;
  size_t first = strcspn(text, " ");
  if (!text[first] || first >= sizeof word) return -1;
  memcpy(word, text, first);
  word[first] = '\0';
  return find_listed_class(c, count, word);
}

static am_err read_label_list(const am_collector *c, char **path, am_text_table *out) {
  char *text = NULL;
  size_t bytes = 0;
  AM_TRY(am_path_join(c->list->root, c->part->label_list, path));
  if (!am_path_exists(*path)) return am_manifest_fail_missing(c->m, "file", *path, c->list->root);
  AM_TRY(am_file_read(*path, AM_TEXT_TABLE_BYTES, &text, &bytes));
  am_err err = am_label_table_parse(*path, text, bytes, out);
  free(text);
  return err;
}

// The class of file number i of the folder: by its name, or in a list of one column by its place.
static am_err look_up(const am_collector *c, const am_text_table *t, const char *path, const char *name,
                      int64_t i, const char **text) {
  bool by_place = !t->row[0].value;
  *text = NULL;
  if (!by_place) *text = am_label_table_find(t, name);
  if (by_place && i < t->count) *text = t->row[i].key;
  AM_CHECK(*text, AM_ERR_DATA, "%s: %s has no line for %s/%s/%s", c->m->name, path, c->list->root,
           c->part->folder, name);
  return AM_OK;
}

static am_err collect_listed(am_collector *c, const am_dir_list *names, const am_class_def *def,
                             int64_t count, const int32_t *label) {
  am_err err = AM_OK;
  am_text_table t = {0};
  char *path = NULL;
  int64_t images = 0;
  AM_GO(done, read_label_list(c, &path, &t));
  for (int64_t i = 0; i < names->count; i++) {
    const char *name = names->name[i], *text = NULL;
    if (!am_is_image_name(c->m, name)) continue;
    AM_GO(done, look_up(c, &t, path, name, images++, &text));
    int64_t k = find_listed_class(def, count, text);
    AM_CHECK_GO(
        done, k >= 0, AM_ERR_DATA,
        "%s: %s says that %s is of the class \"%s\", which is no class of the set (folder, name, or number "
        "from 0 to %lld)",
        c->m->name, path, name, text, (long long)count - 1);
    c->label = label[k];
    if (c->label >= 0) AM_GO(done, am_collect_file(c, c->part->folder, name));
  }
  AM_CHECK_GO(done, t.row[0].value || images == t.count, AM_ERR_DATA,
              "%s: %s lists %lld classes for %lld images", c->m->name, path, (long long)t.count,
              (long long)images);
done:
  am_text_table_fini(&t);
  free(path);
  return err;
}

// ---- labels from names ----

static am_err collect_named(am_collector *c, const am_dir_list *names, const am_class_def *def, int64_t count,
                            const int32_t *label) {
  am_err err = AM_OK;
  char *id = NULL;
  for (int64_t i = 0; i < names->count; i++) {
    if (!am_is_image_name(c->m, names->name[i])) continue;
    AM_GO(done, am_flat_class_id(c->m, c->part, c->list->root, names->name[i], &id));
    int64_t k = id ? find_class_id(def, count, id) : 0;
    AM_CHECK_GO(done, k >= 0, AM_ERR_DATA,
                "%s: %s/%s/%s is of the class \"%s\", which the manifest does not list", c->m->name,
                c->list->root, c->part->folder, names->name[i], id);
    c->label = label[k];
    if (c->label >= 0) AM_GO(done, am_collect_file(c, c->part->folder, names->name[i]));
    free(id);
    id = NULL;
  }
done:
  free(id);
  return err;
}

am_err am_collect_flat(am_collector *c, const am_class_def *def, int64_t class_count, const int32_t *label) {
  am_dir_list names = {0};
  AM_TRY(am_folder_index_read(c->folders, c->list->root, c->part->folder, &names));
  am_err err = c->part->label_list ? collect_listed(c, &names, def, class_count, label)
                                   : collect_named(c, &names, def, class_count, label);
  am_dir_list_fini(&names);
  return err;
}
