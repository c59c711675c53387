// The parts of a manifest: its splits, or the whole set as one. Which layout each has, which files it is made
// of, what their names say.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "data/manifest_internal.h"

static const char *const layout_word[] = {"class_folders", "object_folders", "flat",
                                          "idx",           "records",        "signs"};

am_layout am_layout_of(const char *word) {
  am_layout k = AM_LAYOUT_CLASS_FOLDERS;
  while (strcmp(layout_word[k], word) != 0) k++;  // the schema lets only these words through
  return k;
}

// ---- patterns ----

// regcomp copies what is repeated, and its time grows with every operator: a line of text can keep it busy for
// hours, or until memory ends. Names of files need little of what it can do.
enum { PATTERN_BYTES = 256, PATTERN_REPEATS = 16, PATTERN_COPIES = 1024 };

// What is too much in a regular expression; NULL: nothing.
static const char *excess_of(const char *text) {
  int repeats = 0;
  int64_t copies = 1;
  bool repeated = false;  // the character before was an operator
  if (strlen(text) > PATTERN_BYTES) return "it is longer than 256 characters";
  for (const char *p = text; *p; p++) {
    const bool repeats_here = strchr("*+?{", *p) != NULL;
    if (repeats_here && repeated) return "it repeats a repetition";
    if (repeats_here && ++repeats > PATTERN_REPEATS) return "it has more than 16 repetitions";
    if (*p == '{') {
      int64_t most = 1;
      for (; *p && *p != '}'; p++) {
        if (*p < '0' || *p > '9') continue;
        most = am_max_i64(most, strtol(p, NULL, 10));
      }
      copies = most > PATTERN_COPIES ? most : copies * most;
      if (copies > PATTERN_COPIES) return "its {bounds} come to more than 1024 copies";
      if (!*p) return NULL;  // regcomp says what is wrong
    }
    if (*p == '[') {  // up to the closing bracket, which may come first
      p += p[1] == '^' ? 2 : 1;
      if (*p == ']') p++;
      while (*p && *p != ']') p++;
      if (!*p) return NULL;
    }
    if (*p == '\\') {
      if (p[1] >= '0' && p[1] <= '9') return "it refers back to a group";
      if (p[1]) p++;
    }
    repeated = repeats_here;
  }
  return NULL;
}

static am_err pattern_set(am_name_pattern *p, const am_node *where, const char *key, const char *text) {
  p->text = text;
  if (!*text) return AM_OK;
  const am_node *node = am_node_get(where, key);
  const char *excess = excess_of(text);
  if (excess)
    return am_node_fail(node ? node : where, "\"%.64s\" is not taken as a regular expression: %s", text, excess);
  int rc = regcomp(&p->compiled, text, REG_EXTENDED);
  if (rc != 0) {
    char why[256];
    regerror(rc, &p->compiled, why, sizeof why);
    return am_node_fail(node ? node : where, "\"%s\" is not a regular expression: %s", text, why);
  }
  p->ready = true;
  if (p->compiled.re_nsub < 1) {
    return am_node_fail(node ? node : where,
                        "\"%s\" has no (group): the part in brackets is what the name says", text);
  }
  return AM_OK;
}

am_err am_name_pattern_match(const am_name_pattern *p, const char *name, bool *matches, char **out) {
  regmatch_t at[2];
  *matches = regexec(&p->compiled, name, 2, at, 0) == 0 && at[1].rm_so >= 0;
  if (!*matches) return AM_OK;
  return am_str_format(out, "%.*s", (int)(at[1].rm_eo - at[1].rm_so), name + at[1].rm_so);
}

// ---- packed files ----

am_err am_manifest_check_inside(const am_node *node, const char *path) {
  if (path[0] == '/')
    return am_node_fail(node, "\"%s\" is an absolute path: folders and files are relative to the data set's",
                        path);
  return AM_OK;
}

static am_err read_file_names(const am_node *node, const char ***out, int64_t *count) {
  AM_TRY(am_node_words(node, out, count));
  if (*count == 0) return am_node_fail(node, "expected at least one file");
  for (int64_t k = 0; k < *count; k++) AM_TRY(am_manifest_check_inside(node, (*out)[k]));
  return AM_OK;
}

// Where labels are: before each image of a record, in files of their own, or nowhere.
static am_err read_labels(const am_manifest *m, const am_node *where, am_part *part) {
  const am_node *node = am_node_get(where, "labels");
  bool inside = part->layout == AM_LAYOUT_RECORDS && m->packed.label_bytes > 0;
  int64_t count = 0;
  if (inside && node)
    return am_node_fail(node, "the records have label bytes: there are no files of labels besides");
  if (inside) return AM_OK;
  if (!node) return am_node_fail(where, "say which files hold the labels, or `labels: none`");
  if (node->kind == AM_NODE_SCALAR && strcmp(node->text, "none") == 0) {
    part->unlabelled = true;
    return AM_OK;
  }
  AM_TRY(read_file_names(node, &part->label_file, &count));
  if (count != part->file_count)
    return am_node_fail(node, "%lld files of labels for %lld of images, expected one for each",
                        (long long)count, (long long)part->file_count);
  return AM_OK;
}

static am_err read_packed(const am_manifest *m, const am_node *where, am_part *part) {
  const am_node *files = am_node_get(where, "files");
  if (!files) return am_node_fail(where, "expected `files`: the files that hold the images");
  AM_TRY(read_file_names(files, &part->file, &part->file_count));
  AM_TRY(read_labels(m, where, part));
  if (m->class_count == 0 && !part->unlabelled)
    return am_node_fail(m->tree, "expected `classes`: their names in the order of the labels");
  return AM_OK;
}

static am_err read_packed_section(am_manifest *m) {
  const am_node *node = am_node_get(m->tree, "packed");
  AM_TRY(am_bind(node, &am_packed_schema, NULL, &m->packed));
  if (!node) return AM_OK;
  if (m->packed.channels == 2) return am_node_fail(am_node_get(node, "channels"), "2, expected 1 or 3");
  if (m->packed.label_bytes > 0 && m->packed.label_at >= m->packed.label_bytes)
    return am_node_fail(am_node_get(node, "label_at"), "%lld, expected one of the %lld label bytes, from 0",
                        (long long)m->packed.label_at, (long long)m->packed.label_bytes);
  return AM_OK;
}

// Once every part is known: whether the section is needed, and says what it must.
static am_err check_packed_section(const am_manifest *m) {
  const am_node *node = am_node_get(m->tree, "packed");
  bool packed = false, records = false;
  for (int64_t k = 0; k < m->part_count; k++) {
    packed |= am_layout_is_packed(m->part[k].layout);
    records |= m->part[k].layout == AM_LAYOUT_RECORDS;
  }
  if (node && !packed) return am_node_fail_key(node, "only the layouts idx and records have packed files");
  if (records && (m->packed.height == 0 || m->packed.width == 0))
    return am_node_fail(node ? node : m->tree, "records need packed: {height: PX, width: PX}");
  return AM_OK;
}

// ---- splits ----

// Flat folders may have their labels in a list.
static am_err read_flat_labels(const am_node *where, am_part *part) {
  const am_node *node = am_node_get(where, "labels");
  const char *file = NULL;
  if (!node) return AM_OK;
  AM_TRY(am_node_str(node, &file));
  AM_TRY(am_manifest_check_inside(node, file));
  if (*part->class_of.text)
    return am_node_fail(node, "the class_pattern already says what the files show: give one of the two");
  part->unlabelled = strcmp(file, "none") == 0;
  part->label_list = part->unlabelled ? NULL : file;
  return AM_OK;
}

static am_err set_part(const am_manifest *m, const am_node *where, const char *class_pattern,
                       const char *object_pattern, am_part *part) {
  const am_node *files = am_node_get(where, "files"), *labels = am_node_get(where, "labels");
  AM_TRY(pattern_set(&part->class_of, where, "class_pattern", class_pattern));
  AM_TRY(pattern_set(&part->object_of, where, "object_pattern", object_pattern));
  if (am_layout_is_packed(part->layout)) return read_packed(m, where, part);
  if (files) return am_node_fail_key(files, "only the layouts idx and records name their files");
  if (part->layout == AM_LAYOUT_FLAT) return read_flat_labels(where, part);
  return labels ? am_node_fail_key(labels, "only the layouts flat, idx and records have labels in files")
                : AM_OK;
}

static bool is_layout_of_files(const char *word) {
  for (int k = AM_LAYOUT_CLASS_FOLDERS; k < AM_LAYOUT_SIGNS; k++)
    if (strcmp(word, layout_word[k]) == 0) return true;
  return false;
}

// A split is a folder, or a map of the keys in which it differs from the rest.
static am_err read_split(const am_manifest *m, const am_node *node, am_part *part) {
  static const char *const known[] = {"folder", "layout", "class_pattern", "object_pattern",
                                      "files",  "labels", "images",        NULL};
  const char *folder = m->cfg.folder, *layout = m->cfg.layout, *class_pattern = m->cfg.class_pattern,
             *object_pattern = m->cfg.object_pattern;
  if (node->kind == AM_NODE_MAP) {
    const struct {
      const char *key, **value;
    } keys[] = {{"folder", &folder},
                {"layout", &layout},
                {"class_pattern", &class_pattern},
                {"object_pattern", &object_pattern}};
    AM_TRY(am_node_check_keys(node, known));
    for (int k = 0; k < AM_COUNT_OF(keys); k++) {
      if (am_node_get(node, keys[k].key)) AM_TRY(am_node_str(am_node_get(node, keys[k].key), keys[k].value));
    }
    if (!is_layout_of_files(layout))
      return am_node_fail(am_node_get(node, "layout"),
                          "\"%s\" is no layout of files: class_folders, object_folders, flat, idx or records",
                          layout);
    const am_node *images = am_node_get(node, "images");
    if (images) AM_TRY(am_node_i64(images, &part->images));
    if (part->images < 0) return am_node_fail(images, "a negative number of images");
  } else {
    AM_TRY(am_node_str(node, &folder));
  }
  AM_TRY(am_manifest_check_inside(node, folder));
  part->folder = folder;
  part->layout = am_layout_of(layout);
  return set_part(m, node, class_pattern, object_pattern, part);
}

static am_err read_splits(am_manifest *m, const am_node *splits) {
  if (splits->kind != AM_NODE_MAP || splits->count == 0)
    return am_node_fail(splits, "expected a map like {train: FOLDER, test: FOLDER}");
  AM_TRY(AM_NEW_ARRAY(&m->part, splits->count));
  AM_TRY(AM_NEW_ARRAY(&m->split_name, splits->count));
  m->part_count = m->split_count = splits->count;
  for (int64_t k = 0; k < splits->count; k++) {
    m->part[k].split = m->split_name[k] = splits->key[k];
    AM_TRY(read_split(m, splits->item[k], &m->part[k]));
  }
  return AM_OK;
}

static am_err read_whole(am_manifest *m) {
  AM_TRY(AM_NEW_ARRAY(&m->part, 1));
  m->part_count = 1;
  m->part[0].folder = m->cfg.folder;
  m->part[0].layout = am_layout_of(m->cfg.layout);
  AM_TRY(am_manifest_check_inside(m->tree, m->cfg.folder));
  return set_part(m, m->tree, m->cfg.class_pattern, m->cfg.object_pattern, &m->part[0]);
}

am_err am_manifest_read_parts(am_manifest *m) {
  const am_node *splits = am_node_get(m->tree, "splits");
  AM_TRY(am_manifest_check_inside(m->tree, m->cfg.archive_folder));
  AM_TRY(read_packed_section(m));
  AM_TRY(splits ? read_splits(m, splits) : read_whole(m));
  return check_packed_section(m);
}

void am_manifest_free_parts(am_manifest *m) {
  for (int64_t k = 0; k < m->part_count; k++) {
    am_part *part = &m->part[k];
    if (part->class_of.ready) regfree(&part->class_of.compiled);
    if (part->object_of.ready) regfree(&part->object_of.compiled);
    free(part->file);
    free(part->label_file);
  }
  free(m->part);
}
