// What a manifest says, checked; and selections of its files.
#include "data/manifest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "data/manifest_internal.h"
#include "data/signs.h"

#define AM_FIELD_OF am_manifest_cfg
static const am_field manifest_fields[] = {AM_FIELDS(AM_MANIFEST_FIELDS)};
#undef AM_FIELD_OF
const am_schema am_manifest_schema = AM_SCHEMA(
    "manifest", "what a data set is and how its files are arranged", am_manifest_cfg, manifest_fields);
#define AM_FIELD_OF am_packed_cfg
static const am_field packed_fields[] = {AM_FIELDS(AM_PACKED_FIELDS)};
#undef AM_FIELD_OF
const am_schema am_packed_schema = AM_SCHEMA(
    "packed", "layouts idx and records: what an image is in the files", am_packed_cfg, packed_fields);
#define AM_FIELD_OF am_divide_cfg
static const am_field divide_fields[] = {AM_FIELDS(AM_DIVIDE_FIELDS)};
#undef AM_FIELD_OF
const am_schema am_divide_schema =
    AM_SCHEMA("divide", "seeded splits of a set that has none of its own", am_divide_cfg, divide_fields);

// ---- reading ----

static am_err read_name(am_manifest *m, const char *path) {
  const char *file = am_path_name(path);
  int stem = (int)strlen(file) - (am_str_ends(file, ".yaml") ? (int)strlen(".yaml") : 0);
  if (*m->cfg.name) {
    AM_TRY(am_mem_strdup(m->cfg.name, &m->name));
  } else {
    AM_TRY(am_str_format(&m->name, "%.*s", stem, file));
  }
  for (const char *p = m->name; *p; p++) {
    if (!isalnum((unsigned char)*p) && !strchr("._+-", *p)) {
      return am_node_fail(m->tree, "the name \"%s\" names a folder: letters, digits and . _ + -", m->name);
    }
  }
  return AM_OK;
}

static am_err read_class(const am_node *node, am_class_def *c) {
  const char *name = NULL, *folder = NULL;
  if (node->kind == AM_NODE_MAP) {
    static const char *const known[] = {"name", "folder", NULL};
    AM_TRY(am_node_check_keys(node, known));
    if (!am_node_get(node, "name")) return am_node_fail(node, "a class needs a name");
    AM_TRY(am_node_str(am_node_get(node, "name"), &name));
    if (am_node_get(node, "folder")) AM_TRY(am_node_str(am_node_get(node, "folder"), &folder));
  } else {
    AM_TRY(am_node_str(node, &name));
  }
  AM_TRY(am_mem_strdup(name, &c->name));
  return am_mem_strdup(folder ? folder : name, &c->folder);
}

// Files of the set that list its classes; they are read when the set is.
static am_err read_class_files(am_manifest *m, const am_node *map) {
  static const char *const known[] = {"listed_in", "words", NULL};
  const struct {
    const char *key, **file;
  } keys[] = {{"listed_in", &m->class_file}, {"words", &m->word_file}};
  AM_TRY(am_node_check_keys(map, known));
  for (int k = 0; k < AM_COUNT_OF(keys); k++) {
    const am_node *node = am_node_get(map, keys[k].key);
    if (!node) continue;
    AM_TRY(am_node_str(node, keys[k].file));
    AM_TRY(am_manifest_check_inside(node, *keys[k].file));
  }
  return m->class_file ? AM_OK : am_node_fail(map, "expected listed_in: the file that lists the classes");
}

static am_err read_classes(am_manifest *m) {
  const am_node *list = am_node_get(m->tree, "classes");
  if (!list) return AM_OK;
  if (list->kind == AM_NODE_MAP) return read_class_files(m, list);
  if (list->kind != AM_NODE_LIST || list->count == 0)
    return am_node_fail(list, "expected a list of classes, or {listed_in: FILE, words: FILE}");
  AM_TRY(AM_NEW_ARRAY(&m->class_def, list->count));
  for (int64_t k = 0; k < list->count; k++) {
    m->class_count = k + 1;
    AM_TRY(read_class(list->item[k], &m->class_def[k]));
    for (int64_t j = 0; j < k; j++) {
      if (strcmp(m->class_def[j].name, m->class_def[k].name) == 0) {
        return am_node_fail(list->item[k], "the class \"%s\" is listed twice", m->class_def[k].name);
      }
    }
  }
  return AM_OK;
}

static am_err read_extensions(am_manifest *m) {
  static const char *const usual[] = {"jpg", "jpeg", "png"};
  const am_node *list = am_node_get(m->tree, "extensions");
  if (list && (list->kind != AM_NODE_LIST || list->count == 0))
    return am_node_fail(list, "expected a list like [jpg, png]");
  m->extension_count = list ? list->count : AM_COUNT_OF(usual);
  AM_TRY(AM_NEW_ARRAY(&m->extension, m->extension_count));
  for (int64_t k = 0; k < m->extension_count; k++) {
    m->extension[k] = usual[k % AM_COUNT_OF(usual)];
    if (list) AM_TRY(am_node_str(list->item[k], &m->extension[k]));
    if (*m->extension[k] == '.') m->extension[k]++;
  }
  return AM_OK;
}

static am_err read_divide(am_manifest *m) {
  static const char *const also[] = {"fractions", NULL};
  const am_node *node = am_node_get(m->tree, "divide");
  if (!node) return AM_OK;
  if (m->split_count)
    return am_node_fail(node, "the set has splits of its own: it cannot be divided as well");
  AM_TRY(am_bind(node, &am_divide_schema, also, &m->divide));
  const am_node *parts = am_node_get(node, "fractions");
  if (!parts || parts->kind != AM_NODE_MAP || parts->count == 0) {
    return am_node_fail(parts ? parts : node, "expected fractions: a map like {train: 0.8, test: 0.2}");
  }
  AM_TRY(AM_NEW_ARRAY(&m->split_name, parts->count));
  AM_TRY(AM_NEW_ARRAY(&m->fraction, parts->count));
  double sum = 0;
  for (int64_t k = 0; k < parts->count; k++) {
    m->split_name[k] = parts->key[k];
    AM_TRY(am_node_f64(parts->item[k], &m->fraction[k]));
    if (!(m->fraction[k] > 0 && m->fraction[k] <= 1))
      return am_node_fail(parts->item[k], "expected a fraction above 0, at most 1");
    sum += m->fraction[k];
  }
  if (sum < 1 - 1e-6 || sum > 1 + 1e-6)
    return am_node_fail(parts, "the fractions add up to %g, expected 1", sum);
  m->split_count = parts->count;
  m->divided = true;
  return AM_OK;
}

// The drawn set: everything but the words about it is fixed.
static am_err set_drawn(am_manifest *m) {
  static const char *const fixed[] = {"classes", "splits", "divide",    "extensions", "files",
                                      "labels",  "packed", "checksums", NULL};
  for (int k = 0; fixed[k]; k++) {
    if (am_node_get(m->tree, fixed[k]))
      return am_node_fail(am_node_get(m->tree, fixed[k]), "the drawn set has its own %s", fixed[k]);
  }
  AM_TRY(AM_NEW_ARRAY(&m->class_def, AM_SIGNS_CLASSES));
  for (; m->class_count < AM_SIGNS_CLASSES; m->class_count++) {
    am_class_def *c = &m->class_def[m->class_count];
    AM_TRY(am_mem_strdup(am_signs_class_name((int)m->class_count), &c->name));
    AM_TRY(am_mem_strdup(c->name, &c->folder));
  }
  AM_TRY(AM_NEW_ARRAY(&m->split_name, AM_SIGNS_SPLITS));
  for (int k = 0; k < AM_SIGNS_SPLITS; k++) m->split_name[k] = am_signs_split_name((am_signs_split)k);
  m->split_count = AM_SIGNS_SPLITS;
  return AM_OK;
}

static am_err read_tree(const char *path, am_manifest *m) {
  static const char *const also[] = {"classes", "splits", "divide",    "extensions", "files",
                                     "labels",  "packed", "checksums", NULL};
  AM_TRY(am_bind(m->tree, &am_manifest_schema, also, &m->cfg));
  AM_TRY(read_name(m, path));
  if (am_manifest_is_drawn(m)) return set_drawn(m);
  AM_TRY(read_classes(m));
  AM_TRY(read_extensions(m));
  AM_TRY(am_manifest_read_parts(m));
  AM_TRY(read_divide(m));
  return am_manifest_read_checksums(m);
}

// Takes the tree whatever happens.
static am_err manifest_from_tree(const char *path, am_node *tree_take, am_manifest **out) {
  am_manifest *m = NULL;
  am_err err = AM_NEW(&m);
  if (err) {
    am_node_free(tree_take);
    return err;
  }
  m->tree = tree_take;
  err = read_tree(path, m);
  if (err) {
    am_manifest_free(m);
    return err;
  }
  *out = m;
  return AM_OK;
}

am_err am_manifest_parse(const char *name, const char *text, size_t bytes, am_manifest **out) {
  am_node *tree = NULL;
  AM_TRY(am_yaml_parse(name, text, bytes, &tree));
  return manifest_from_tree(name, tree, out);
}

// An unknown name: the nearest known one, and all of them.
static am_err fail_unknown(const char *name, const char *manifest_dir) {
  am_dir_list files = {0};
  am_str known = {0};
  const char **stem = NULL;
  int64_t stems = 0;
  am_err err = AM_OK;
  AM_GO(done, am_dir_read(manifest_dir, &files));
  AM_GO(done, AM_NEW_ARRAY(&stem, files.count));
  for (int64_t i = 0; i < files.count; i++) {
    if (!am_str_ends(files.name[i], ".yaml")) continue;
    files.name[i][strlen(files.name[i]) - strlen(".yaml")] = '\0';
    AM_GO(done, am_str_printf(&known, "%s%s", stems ? ", " : "", files.name[i]));
    stem[stems++] = files.name[i];
  }
  const char *near = am_str_nearest(name, stem, stems);
  err = AM_FAIL(AM_ERR_CONFIG,
                "there is no data set \"%s\" in %s%s%s%s; there are: %s; your own is a path ending in .yaml",
                name, manifest_dir, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                am_str_get(&known));
done:
  free(stem);
  am_str_fini(&known);
  am_dir_list_fini(&files);
  return err;
}

am_err am_manifest_load(const char *name, const char *manifest_dir, am_manifest **out) {
  am_err err = AM_OK;
  am_node *tree = NULL;
  char *path = NULL;
  if (am_str_ends(name, ".yaml")) {
    AM_GO(done, am_mem_strdup(name, &path));
  } else {
    AM_GO(done, am_str_format(&path, "%s/%s.yaml", manifest_dir, name));
    if (!am_path_exists(path)) {
      err = fail_unknown(name, manifest_dir);
      goto done;
    }
  }
  AM_GO(done, am_yaml_read(path, &tree));
  AM_GO(done, manifest_from_tree(path, tree, out));
done:
  free(path);
  return err;
}

void am_manifest_free(am_manifest *m) {
  if (!m) return;
  am_manifest_free_parts(m);
  am_classes_free(m->class_def, m->class_count);
  free(m->extension);
  free(m->split_name);
  free(m->fraction);
  free(m->checksum);
  free(m->name);
  am_node_free(m->tree);
  free(m);
}

const char *am_manifest_name(const am_manifest *m) { return m->name; }
bool am_manifest_is_drawn(const am_manifest *m) { return am_layout_of(m->cfg.layout) == AM_LAYOUT_SIGNS; }
const am_manifest_cfg *am_manifest_describe(const am_manifest *m) { return &m->cfg; }
int64_t am_manifest_split_count(const am_manifest *m) { return m->split_count; }
const char *am_manifest_split_name(const am_manifest *m, int64_t k) { return m->split_name[k]; }
int64_t am_manifest_split_images(const am_manifest *m, int64_t k) {
  return k < m->part_count && m->part[k].split ? m->part[k].images : 0;
}
bool am_manifest_split_is_unlabelled(const am_manifest *m, int64_t k) {
  return k < m->part_count && m->part[k].unlabelled;
}
void am_manifest_set_cache(am_manifest *m, const char *cache_dir) { m->cache_dir = cache_dir; }
