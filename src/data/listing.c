// From folders to files: classes, objects, masks, in the layouts that manifests know.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/path.h"
#include "data/listing_internal.h"

enum { DEEPEST_FOLDER = 8 };

bool am_is_hidden(const char *name) { return name[0] == '.'; }

bool am_is_image_name(const am_manifest *m, const char *name) {
  const char *dot = strrchr(name, '.');
  if (!dot || am_is_hidden(name)) return false;
  for (int64_t k = 0; k < m->extension_count; k++) {
    if (strcasecmp(dot + 1, m->extension[k]) == 0) return true;
  }
  return false;
}

am_err am_is_folder(const char *root, const char *path, bool *is) {
  char *full = NULL;
  AM_TRY(am_path_join(root, path, &full));
  *is = am_path_is_dir(full);
  free(full);
  return AM_OK;
}

// dir/FOLDER/stemSUFFIX when there is such a file, else NULL.
static am_err find_mask(const am_collector *c, const char *dir, const char *name, const char **out) {
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
static am_err find_object(const am_collector *c, const char *path, const char *name, const char **out) {
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

am_err am_collect_file(const am_collector *c, const char *dir, const char *name) {
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
static am_err collect_tree(const am_collector *c, const char *dir, int depth) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *child = NULL;
  AM_CHECK(depth <= DEEPEST_FOLDER, AM_ERR_DATA, "%s: %s/%s: folders are nested deeper than %d", c->m->name,
           c->list->root, dir, DEEPEST_FOLDER);
  AM_TRY(am_folder_index_read(c->folders, c->list->root, dir, &names));
  for (int64_t i = 0; i < names.count; i++) {
    const char *name = names.name[i];
    if (am_is_hidden(name) || strcmp(name, c->m->cfg.mask_folder) == 0) continue;
    if (am_is_image_name(c->m, name)) {
      AM_GO(done, am_collect_file(c, dir, name));
      continue;
    }
    bool is = false;
    AM_GO(done, am_path_join(dir, name, &child));
    AM_GO(done, am_is_folder(c->list->root, child, &is));
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
static am_err collect_objects(am_collector *c, const char *dir) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *child = NULL;
  AM_TRY(am_folder_index_read(c->folders, c->list->root, dir, &names));
  for (int64_t i = 0; i < names.count; i++) {
    bool is = false;
    if (am_is_hidden(names.name[i])) continue;
    AM_GO(done, am_path_join(dir, names.name[i], &child));
    AM_GO(done, am_is_folder(c->list->root, child, &is));
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
static am_err collect_numbered_objects(am_collector *c, const char *class_folder, int64_t *found) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  char *child = NULL;
  AM_TRY(am_folder_index_read(c->folders, c->list->root, c->part->folder, &names));
  for (int64_t i = 0; i < names.count; i++) {
    bool is = false;
    AM_GO(done, am_arena_text(&c->list->text, object_of_folder(names.name[i], class_folder), &c->object));
    if (!c->object) continue;
    AM_GO(done, am_path_join(c->part->folder, names.name[i], &child));
    AM_GO(done, am_is_folder(c->list->root, child, &is));
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
    err = am_is_folder(root, child, &is);
    free(child);
    AM_GO(done, err);
    if (!is || am_is_hidden(names.name[i])) continue;
    if (named == MOST_NAMED) AM_GO(done, am_str_printf(out, ", ..."));
    if (named++ >= MOST_NAMED) break;
    AM_GO(done, am_str_printf(out, "%s%s", named > 1 ? ", " : "", names.name[i]));
  }
done:
  am_dir_list_fini(&names);
  return err;
}

static am_err fail_no_class_folder(const am_collector *c, const am_class_def *def, const char *dir) {
  am_str there = {0};
  am_err err = name_folders(c->list->root, c->part->folder, c->folders, &there);
  if (!err) {
    err = AM_FAIL(AM_ERR_DATA, "%s: class \"%s\" has no folder %s/%s; the folders there are: %s", c->m->name,
                  def->name, c->list->root, dir, there.length ? there.text : "none");
  }
  am_str_fini(&there);
  return err;
}

static am_err collect_class(am_collector *c, const am_class_def *def) {
  am_err err = AM_OK;
  char *dir = NULL;
  bool is = false;
  int64_t numbered = 0;
  AM_GO(done, am_path_join(c->part->folder, def->folder, &dir));
  AM_GO(done, am_is_folder(c->list->root, dir, &is));
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

am_err am_part_list(const am_manifest *m, const am_part *part, am_folder_index *folders,
                    const am_class_def *c, int64_t class_count, const int32_t *label, am_file_list *list) {
  if (am_layout_is_packed(part->layout)) return am_part_list_packed(m, part, label, list);
  am_collector into = {.m = m, .part = part, .folders = folders, .list = list};
  bool is = false;
  AM_TRY(am_is_folder(list->root, part->folder, &is));
  AM_CHECK(is, AM_ERR_DATA, "%s: there is no folder %s/%s", m->name, list->root, part->folder);
  AM_TRY(am_arena_text(&list->text, part->split, &into.split));
  if (part->layout == AM_LAYOUT_FLAT) return am_collect_flat(&into, c, class_count, label);
  for (int64_t k = 0; k < class_count; k++) {
    into.label = label[k];
    if (label[k] >= 0) AM_TRY(collect_class(&into, &c[k]));
  }
  return AM_OK;
}
