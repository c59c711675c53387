// From folders to files: classes, objects, masks, in the layouts that manifests know.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/path.h"
#include "data/manifest_internal.h"

enum { DEEPEST_FOLDER = 8 };

// Where the files of one class are collected, and what they have in common.
typedef struct {
  const am_manifest *m;
  const am_part *part;
  am_folder_index *folders;
  am_file_list *list;
  int32_t label;
  const char *split, *object;  // in the list's memory, or NULL
} collector;

void am_classes_free(am_class_def *c, int64_t count) {
  for (int64_t k = 0; c && k < count; k++) {
    free(c[k].name);
    free(c[k].folder);
  }
  free(c);
}

static bool is_hidden(const char *name) { return name[0] == '.'; }

static bool is_image_name(const am_manifest *m, const char *name) {
  const char *dot = strrchr(name, '.');
  if (!dot || is_hidden(name)) return false;
  for (int64_t k = 0; k < m->extension_count; k++) {
    if (strcasecmp(dot + 1, m->extension[k]) == 0) return true;
  }
  return false;
}

// root/path is a folder.
static am_err is_folder(const char *root, const char *path, bool *is) {
  char *full = NULL;
  AM_TRY(am_path_join(root, path, &full));
  *is = am_path_is_dir(full);
  free(full);
  return AM_OK;
}

// dir/FOLDER/stemSUFFIX when there is such a file, else NULL.
static am_err find_mask(const collector *c, const char *dir, const char *name, const char **out) {
  const am_manifest_cfg *cfg = &c->m->cfg;
  if (!*cfg->mask_suffix) return AM_OK;
  char *mask = NULL, *full = NULL;
  am_err err = AM_OK;
  int stem = (int)(strrchr(name, '.') - name);
  const char *slash = *dir ? "/" : "", *folder_slash = *cfg->mask_folder ? "/" : "";
  AM_GO(done, am_str_format(&mask, "%s%s%s%s%.*s%s", dir, slash, cfg->mask_folder, folder_slash, stem, name,
                            cfg->mask_suffix));
  AM_GO(done, am_path_join(c->list->root, mask, &full));
  if (am_path_exists(full)) err = am_arena_text(&c->list->text, mask, out);
done:
  free(mask);
  free(full);
  return err;
}

// The object that the pattern finds in a file's name.
static am_err find_object(const collector *c, const char *path, const char *name, const char **out) {
  char *object = NULL;
  bool matches = false;
  if (!*c->part->object_of.text) return AM_OK;
  AM_TRY(am_name_pattern_match(&c->part->object_of, name, &matches, &object));
  AM_CHECK(matches, AM_ERR_DATA, "%s: %s/%s does not fit the object_pattern \"%s\"", c->m->name,
           c->list->root, path, c->part->object_of.text);
  am_err err = am_arena_text(&c->list->text, object, out);
  free(object);
  return err;
}

static am_err collect_file(const collector *c, const char *dir, const char *name) {
  am_file_entry *e = NULL;
  AM_TRY(am_file_list_add(c->list, &e));
  e->label = c->label;
  e->split = c->split;
  e->object = c->object;
  AM_TRY(am_arena_join(&c->list->text, dir, name, &e->path));
  AM_TRY(find_mask(c, dir, name, &e->mask_path));
  return c->object ? AM_OK : find_object(c, e->path, name, &e->object);
}

// The images of a folder and of the folders in it; folders of masks are not entered.
static am_err collect_tree(const collector *c, const char *dir, int depth) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *child = NULL;
  AM_CHECK(depth <= DEEPEST_FOLDER, AM_ERR_DATA, "%s: %s/%s: folders are nested deeper than %d", c->m->name,
           c->list->root, dir, DEEPEST_FOLDER);
  AM_TRY(am_folder_index_read(c->folders, c->list->root, dir, &names));
  for (int64_t i = 0; i < names.count; i++) {
    const char *name = names.name[i];
    if (is_hidden(name) || strcmp(name, c->m->cfg.mask_folder) == 0) continue;
    if (is_image_name(c->m, name)) {
      AM_GO(done, collect_file(c, dir, name));
      continue;
    }
    bool is = false;
    AM_GO(done, am_path_join(dir, name, &child));
    AM_GO(done, is_folder(c->list->root, child, &is));
    if (is) AM_GO(done, collect_tree(c, child, depth + 1));
    free(child);
    child = NULL;
  }
done:
  free(child);
  am_dir_list_fini(&names);
  return err;
}

// ---- class_folders, object_folders ----

// CLASS/OBJECT/files: every folder in the class's is an object.
static am_err collect_objects(collector *c, const char *dir) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *child = NULL;
  AM_TRY(am_folder_index_read(c->folders, c->list->root, dir, &names));
  for (int64_t i = 0; i < names.count; i++) {
    bool is = false;
    if (is_hidden(names.name[i])) continue;
    AM_GO(done, am_path_join(dir, names.name[i], &child));
    AM_GO(done, is_folder(c->list->root, child, &is));
    AM_GO(done, am_arena_text(&c->list->text, names.name[i], &c->object));
    if (is) AM_GO(done, collect_tree(c, child, 0));
    free(child);
    child = NULL;
  }
done:
  free(child);
  c->object = NULL;
  am_dir_list_fini(&names);
  return err;
}

// "cow12" is object "12" of class "cow"; NULL when the name is not of that form.
static const char *object_of_folder(const char *name, const char *class_folder) {
  size_t n = strlen(class_folder);
  if (strncmp(name, class_folder, n) != 0 || !name[n]) return NULL;
  for (const char *p = name + n; *p; p++) {
    if (!isdigit((unsigned char)*p)) return NULL;
  }
  return name + n;
}

// CLASS1/files, CLASS2/files, ... side by side.
static am_err collect_numbered_objects(collector *c, const char *class_folder, int64_t *found) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *child = NULL;
  AM_TRY(am_folder_index_read(c->folders, c->list->root, c->part->folder, &names));
  for (int64_t i = 0; i < names.count; i++) {
    bool is = false;
    AM_GO(done, am_arena_text(&c->list->text, object_of_folder(names.name[i], class_folder), &c->object));
    if (!c->object) continue;
    AM_GO(done, am_path_join(c->part->folder, names.name[i], &child));
    AM_GO(done, is_folder(c->list->root, child, &is));
    if (is) {
      AM_GO(done, collect_tree(c, child, 0));
      ++*found;
    }
    free(child);
    child = NULL;
  }
done:
  free(child);
  c->object = NULL;
  am_dir_list_fini(&names);
  return err;
}

// The folders that are there, for messages: at most a few.
static am_err name_folders(const char *root, const char *path, am_folder_index *folders, am_str *out) {
  enum { MOST_NAMED = 12 };
  am_dir_list names = {0};
  am_err err = AM_OK;
  int named = 0;
  AM_TRY(am_folder_index_read(folders, root, path, &names));
  for (int64_t i = 0; i < names.count; i++) {
    char *child = NULL;
    bool is = false;
    AM_GO(done, am_path_join(path, names.name[i], &child));
    err = is_folder(root, child, &is);
    free(child);
    AM_GO(done, err);
    if (!is || is_hidden(names.name[i])) continue;
    if (named == MOST_NAMED) AM_GO(done, am_str_printf(out, ", ..."));
    if (named++ >= MOST_NAMED) break;
    AM_GO(done, am_str_printf(out, "%s%s", named > 1 ? ", " : "", names.name[i]));
  }
done:
  am_dir_list_fini(&names);
  return err;
}

static am_err fail_no_class_folder(const collector *c, const am_class_def *def, const char *dir) {
  am_str there = {0};
  am_err err = name_folders(c->list->root, c->part->folder, c->folders, &there);
  if (!err) {
    err = AM_FAIL(AM_ERR_DATA, "%s: class \"%s\" has no folder %s/%s; the folders there are: %s", c->m->name,
                  def->name, c->list->root, dir, there.length ? there.text : "none");
  }
  am_str_fini(&there);
  return err;
}

static am_err collect_class(collector *c, const am_class_def *def) {
  am_err err = AM_OK;
  char *dir = NULL;
  bool is = false;
  int64_t numbered = 0;
  AM_GO(done, am_path_join(c->part->folder, def->folder, &dir));
  AM_GO(done, is_folder(c->list->root, dir, &is));
  if (is) {
    AM_GO(done,
          c->part->layout == AM_LAYOUT_OBJECT_FOLDERS ? collect_objects(c, dir) : collect_tree(c, dir, 0));
    goto done;
  }
  if (c->part->layout == AM_LAYOUT_OBJECT_FOLDERS)
    AM_GO(done, collect_numbered_objects(c, def->folder, &numbered));
  if (numbered == 0) err = fail_no_class_folder(c, def, dir);
done:
  free(dir);
  return err;
}

// ---- flat ----

// "006" in a file name is class folder "6": numbers compare without leading zeros.
static bool same_class_id(const char *a, const char *b) {
  if (strcmp(a, b) == 0) return true;
  if (!*a || !*b || strspn(a, "0123456789") != strlen(a) || strspn(b, "0123456789") != strlen(b))
    return false;
  while (*a == '0' && a[1]) a++;
  while (*b == '0' && b[1]) b++;
  return strcmp(a, b) == 0;
}

// The class id a flat file name carries (heap); NULL when the set has but one class.
static am_err flat_class_id(const am_manifest *m, const am_part *part, const char *root, const char *name,
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
  if (!id) return 0;
  for (int64_t k = 0; k < count; k++) {
    if (same_class_id(id, c[k].folder)) return k;
  }
  return -1;
}

static am_err collect_flat(collector *c, const am_class_def *def, int64_t class_count, const int32_t *label) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *id = NULL;
  AM_TRY(am_folder_index_read(c->folders, c->list->root, c->part->folder, &names));
  for (int64_t i = 0; i < names.count; i++) {
    if (!is_image_name(c->m, names.name[i])) continue;
    AM_GO(done, flat_class_id(c->m, c->part, c->list->root, names.name[i], &id));
    int64_t k = find_class_id(def, class_count, id);
    AM_CHECK_GO(done, k >= 0, AM_ERR_DATA,
                "%s: %s/%s/%s is of the class \"%s\", which the manifest does not list", c->m->name,
                c->list->root, c->part->folder, names.name[i], id);
    c->label = label[k];
    if (c->label >= 0) AM_GO(done, collect_file(c, c->part->folder, names.name[i]));
    free(id);
    id = NULL;
  }
done:
  free(id);
  am_dir_list_fini(&names);
  return err;
}

am_err am_part_list(const am_manifest *m, const am_part *part, am_folder_index *folders,
                    const am_class_def *c, int64_t class_count, const int32_t *label, am_file_list *list) {
  if (am_layout_is_packed(part->layout)) return am_part_list_packed(m, part, label, list);
  collector into = {.m = m, .part = part, .folders = folders, .list = list};
  bool is = false;
  AM_TRY(is_folder(list->root, part->folder, &is));
  AM_CHECK(is, AM_ERR_DATA, "%s: there is no folder %s/%s", m->name, list->root, part->folder);
  AM_TRY(am_arena_text(&list->text, part->split, &into.split));
  if (part->layout == AM_LAYOUT_FLAT) return collect_flat(&into, c, class_count, label);
  for (int64_t k = 0; k < class_count; k++) {
    into.label = label[k];
    if (label[k] >= 0) AM_TRY(collect_class(&into, &c[k]));
  }
  return AM_OK;
}

// ---- classes that the manifest does not list ----

static am_err add_class(const char *name, am_class_def **c, int64_t *count, int64_t *capacity) {
  for (int64_t k = 0; k < *count; k++) {
    if (same_class_id((*c)[k].folder, name)) return AM_OK;
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
      use = is_image_name(m, names.name[i]);
      if (use) AM_GO(done, flat_class_id(m, part, root, names.name[i], &text));
      if (use && !text) AM_GO(done, am_mem_strdup("image", &text));
    } else {
      AM_GO(done, am_path_join(part->folder, names.name[i], &text));
      AM_GO(done, is_folder(root, text, &use));
      use = use && !is_hidden(names.name[i]);
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
  for (int64_t k = 0; k < m->class_count; k++) {
    AM_GO(fail, AM_GROW(&c, &capacity, m->class_count));
    n = k + 1;
    AM_GO(fail, am_mem_strdup(m->class_def[k].name, &c[k].name));
    AM_GO(fail, am_mem_strdup(m->class_def[k].folder, &c[k].folder));
  }
  for (int64_t k = 0; k < m->part_count && m->class_count == 0; k++) {
    bool is = false;
    if (am_layout_is_packed(m->part[k].layout)) continue;  // without labels
    AM_GO(fail, is_folder(root, m->part[k].folder, &is));
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
