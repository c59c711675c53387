#include "sweep/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { VARIABLES_MAX = 16, COMBINATIONS_MAX = 10000 };

// What every variable is in one combination; values are borrowed from the tree.
typedef struct {
  const am_node *value[VARIABLES_MAX];
} combination;

typedef struct {
  const char *name[VARIABLES_MAX];     // borrowed
  const am_node *list[VARIABLES_MAX];  // borrowed
  bool mentioned[VARIABLES_MAX];
  int count;
  combination *row;  // owned
  int64_t row_count, row_capacity;
} variables;

// ---- combinations ----

static int find_variable(const variables *v, const char *name, size_t bytes) {
  for (int i = 0; i < v->count; i++)
    if (strlen(v->name[i]) == bytes && memcmp(v->name[i], name, bytes) == 0) return i;
  return -1;
}

static am_err unknown_variable(const variables *v, const am_node *where, const char *name, size_t bytes) {
  char word[64];
  snprintf(word, sizeof word, "%.*s", (int)bytes, name);
  const char *nearest = am_str_nearest(word, v->name, v->count);
  return am_node_fail(where, "no variable \"%s\" in matrix or zip%s%s%s", word,
                      nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static am_err declare(variables *v, const am_node *section) {
  if (!section) return AM_OK;
  if (section->kind != AM_NODE_MAP) return am_node_fail(section, "expected a map of lists");
  for (int64_t i = 0; i < section->count; i++) {
    const am_node *list = section->item[i];
    if (list->kind != AM_NODE_LIST || list->count == 0)
      return am_node_fail(list, "expected a list of values");
    if (find_variable(v, section->key[i], strlen(section->key[i])) >= 0)
      return am_node_fail(list, "variable \"%s\" is declared twice", section->key[i]);
    if (v->count == VARIABLES_MAX) return am_node_fail(list, "more than %d variables", VARIABLES_MAX);
    v->name[v->count] = section->key[i];
    v->list[v->count++] = list;
  }
  return AM_OK;
}

static am_err add_row(variables *v, const am_node *where, const combination *row) {
  if (v->row_count == COMBINATIONS_MAX)
    return am_node_fail(where, "more than %d combinations", COMBINATIONS_MAX);
  AM_TRY(AM_GROW(&v->row, &v->row_capacity, v->row_count + 1));
  v->row[v->row_count++] = *row;
  return AM_OK;
}

// Counts through the matrix like an odometer, the last variable fastest, with every row of zip.
static am_err multiply(variables *v, int matrix_count, const am_node *root) {
  int64_t zip_rows = matrix_count < v->count ? v->list[matrix_count]->count : 1;
  for (int i = matrix_count; i < v->count; i++)
    if (v->list[i]->count != zip_rows)
      return am_node_fail(v->list[i],
                          "zip pairs lists of equal length: this one has %lld values, \"%s\" has %lld",
                          (long long)v->list[i]->count, v->name[matrix_count], (long long)zip_rows);
  int64_t digit[VARIABLES_MAX] = {0};
  for (;;) {
    combination row = {0};
    for (int i = 0; i < matrix_count; i++) row.value[i] = v->list[i]->item[digit[i]];
    for (int64_t z = 0; z < zip_rows; z++) {
      for (int i = matrix_count; i < v->count; i++) row.value[i] = v->list[i]->item[z];
      AM_TRY(add_row(v, root, &row));
    }
    int i = matrix_count - 1;
    while (i >= 0 && ++digit[i] == v->list[i]->count) digit[i--] = 0;
    if (i < 0) return AM_OK;
  }
}

static am_err equal_nodes(const am_node *a, const am_node *b, bool *equal) {
  am_str x = {0}, y = {0};
  am_err err = am_node_canonical(a, &x);
  if (!err) err = am_node_canonical(b, &y);
  if (!err) *equal = strcmp(am_str_get(&x), am_str_get(&y)) == 0;
  am_str_fini(&x);
  am_str_fini(&y);
  return err;
}

static am_err matches(const variables *v, const combination *row, const am_node *pattern, bool *all) {
  *all = true;
  for (int64_t k = 0; k < pattern->count && *all; k++) {
    int at = find_variable(v, pattern->key[k], strlen(pattern->key[k]));
    if (at < 0) return unknown_variable(v, pattern->item[k], pattern->key[k], strlen(pattern->key[k]));
    AM_TRY(equal_nodes(row->value[at], pattern->item[k], all));
  }
  return AM_OK;
}

static am_err check_patterns(const am_node *list) {
  if (list->kind != AM_NODE_LIST) return am_node_fail(list, "expected a list of maps");
  for (int64_t i = 0; i < list->count; i++)
    if (list->item[i]->kind != AM_NODE_MAP || list->item[i]->count == 0)
      return am_node_fail(list->item[i], "expected a map of variables to values");
  return AM_OK;
}

static am_err exclude(variables *v, const am_node *list) {
  if (!list) return AM_OK;
  AM_TRY(check_patterns(list));
  for (int64_t p = 0; p < list->count; p++) {
    int64_t kept = 0;
    for (int64_t r = 0; r < v->row_count; r++) {
      bool drop = false;
      AM_TRY(matches(v, &v->row[r], list->item[p], &drop));
      if (!drop) v->row[kept++] = v->row[r];
    }
    if (kept == v->row_count) return am_node_fail(list->item[p], "excludes nothing");
    v->row_count = kept;
  }
  return AM_OK;
}

static am_err include(variables *v, const am_node *list) {
  if (!list) return AM_OK;
  AM_TRY(check_patterns(list));
  for (int64_t p = 0; p < list->count; p++) {
    const am_node *pattern = list->item[p];
    combination row = {0};
    for (int64_t k = 0; k < pattern->count; k++) {
      int at = find_variable(v, pattern->key[k], strlen(pattern->key[k]));
      if (at < 0) return unknown_variable(v, pattern->item[k], pattern->key[k], strlen(pattern->key[k]));
      row.value[at] = pattern->item[k];
    }
    for (int i = 0; i < v->count; i++)
      if (!row.value[i])
        return am_node_fail(pattern, "must name every variable; \"%s\" is missing", v->name[i]);
    AM_TRY(add_row(v, pattern, &row));
  }
  return AM_OK;
}

// ---- mentions and substitution ----

// Calls for each ${name} of a text; returns the text after it, or NULL at the end.
static const char *next_mention(const char *text, const char **open, const char **name, size_t *bytes) {
  const char *start = strstr(text, "${");
  const char *end = start ? strchr(start, '}') : NULL;
  if (!end) return NULL;
  *open = start;
  *name = start + 2;
  *bytes = (size_t)(end - start - 2);
  return end + 1;
}

static am_err mark_text(variables *v, const am_node *where, const char *text, unsigned *mask) {
  const char *open, *name;
  size_t bytes;
  while ((text = next_mention(text, &open, &name, &bytes))) {
    int at = find_variable(v, name, bytes);
    if (at < 0) return unknown_variable(v, where, name, bytes);
    v->mentioned[at] = true;
    *mask |= 1u << at;
  }
  return AM_OK;
}

static am_err mark(variables *v, const am_node *n, unsigned *mask) {
  if (n->kind == AM_NODE_SCALAR) return mark_text(v, n, n->text, mask);
  for (int64_t i = 0; i < n->count; i++) {
    if (n->kind == AM_NODE_MAP) AM_TRY(mark_text(v, n->item[i], n->key[i], mask));
    AM_TRY(mark(v, n->item[i], mask));
  }
  return AM_OK;
}

static am_err fill_text(const variables *v, const combination *row, const am_node *where, const char *text,
                        char **out) {
  am_err err = AM_OK;
  am_str s = {0};
  const char *open, *name, *rest;
  size_t bytes;
  while ((rest = next_mention(text, &open, &name, &bytes))) {
    const am_node *value = row->value[find_variable(v, name, bytes)];
    if (value->kind != AM_NODE_SCALAR) {
      err = am_node_fail(where, "a list or map can only stand alone, not inside \"%s\"", text);
      goto done;
    }
    AM_GO(done, am_str_append(&s, text, open - text));
    AM_GO(done, am_str_printf(&s, "%s", value->text));
    text = rest;
  }
  AM_GO(done, am_str_printf(&s, "%s", text));
  AM_GO(done, am_str_take(&s, out));
done:
  am_str_fini(&s);
  return err;
}

// The value when a scalar is one mention and nothing else: it keeps its kind ("${ratio}" is a number).
static const am_node *whole_value(const variables *v, const combination *row, const am_node *n) {
  const char *open, *name;
  size_t bytes;
  const char *rest = n->kind == AM_NODE_SCALAR ? next_mention(n->text, &open, &name, &bytes) : NULL;
  return rest && open == n->text && !*rest ? row->value[find_variable(v, name, bytes)] : NULL;
}

// A copy of n with the values of one combination.
static am_err fill(const variables *v, const combination *row, const am_node *n, am_node **out) {
  am_err err = AM_OK;
  am_node *made = NULL, *child = NULL;
  char *text = NULL;
  const am_node *whole = whole_value(v, row, n);
  if (whole || n->kind == AM_NODE_NULL) return am_node_copy(whole ? whole : n, out);
  if (n->kind == AM_NODE_SCALAR) {
    AM_GO(done, fill_text(v, row, n, n->text, &text));
    AM_GO(done, am_node_copy(n, &made));
    free(made->text);
    made->text = text;
    text = NULL;
  } else {
    AM_GO(done, n->kind == AM_NODE_MAP ? am_node_new_map(n->file, &made) : am_node_new_list(n->file, &made));
    made->line = n->line;
    made->column = n->column;
    for (int64_t i = 0; i < n->count; i++) {
      AM_GO(done, fill(v, row, n->item[i], &child));
      if (n->kind == AM_NODE_LIST) {
        AM_GO(done, am_node_append(made, child));
        continue;
      }
      err = fill_text(v, row, n->item[i], n->key[i], &text);
      if (err) am_node_free(child);
      AM_GO(done, err);
      err = am_node_put(made, text, child);
      free(text);
      text = NULL;
      AM_GO(done, err);
    }
  }
  *out = made;
  made = NULL;
done:
  am_node_free(made);
  free(text);
  return err;
}

// True when an earlier row has the same values of the variables in mask.
static am_err seen_before(const variables *v, int64_t row, unsigned mask, bool *seen) {
  *seen = false;
  for (int64_t r = 0; r < row && !*seen; r++) {
    bool same = true;
    for (int i = 0; i < v->count && same; i++)
      if (mask >> i & 1) AM_TRY(equal_nodes(v->row[r].value[i], v->row[row].value[i], &same));
    *seen = same;
  }
  return AM_OK;
}

// Adds one entry of a section to `to`, once for each distinct choice of what it mentions.
static am_err repeat_entry(variables *v, const am_node *section, int64_t i, am_node *to) {
  am_err err = AM_OK;
  const am_node *entry = section->item[i];
  const char *key = section->kind == AM_NODE_MAP ? section->key[i] : "";
  unsigned mask = 0;
  am_node *made = NULL;
  char *name = NULL;
  AM_GO(done, mark_text(v, entry, key, &mask));
  AM_GO(done, mark(v, entry, &mask));
  for (int64_t r = 0; r < (mask ? v->row_count : 1); r++) {
    bool seen = false;
    if (mask) AM_GO(done, seen_before(v, r, mask, &seen));
    if (seen) continue;
    static const combination none = {0};
    const combination *row = mask ? &v->row[r] : &none;
    AM_GO(done, fill_text(v, row, entry, key, &name));
    if (section->kind == AM_NODE_MAP && am_node_get(to, name)) {
      err = am_node_fail(entry, "\"%s\" is there already: put the variables into the name", name);
      goto done;
    }
    AM_GO(done, fill(v, row, entry, &made));
    err = section->kind == AM_NODE_MAP ? am_node_put(to, name, made) : am_node_append(to, made);
    made = NULL;
    AM_GO(done, err);
    free(name);
    name = NULL;
  }
done:
  free(name);
  return err;
}

static am_err repeat_section(variables *v, am_node *parent, const char *key) {
  const am_node *section = am_node_get(parent, key);
  if (!section || (section->kind != AM_NODE_MAP && section->kind != AM_NODE_LIST)) return AM_OK;
  am_err err = AM_OK;
  am_node *to = NULL;
  AM_GO(failed, section->kind == AM_NODE_MAP ? am_node_new_map(section->file, &to)
                                             : am_node_new_list(section->file, &to));
  to->line = section->line;
  to->column = section->column;
  for (int64_t i = 0; i < section->count; i++) AM_GO(failed, repeat_entry(v, section, i, to));
  return am_node_put(parent, key, to);
failed:
  am_node_free(to);
  return err;
}

am_err am_expand(am_node *root) {
  static const char *const keys[] = {"matrix", "zip", "include", "exclude"};
  static const char *const sections[] = {"generators", "pools", "arms", "models", "published"};
  am_err err = AM_OK;
  variables v = {0};
  AM_GO(done, declare(&v, am_node_get(root, "matrix")));
  int matrix_count = v.count;
  AM_GO(done, declare(&v, am_node_get(root, "zip")));
  if (v.count) AM_GO(done, multiply(&v, matrix_count, root));
  AM_GO(done, exclude(&v, am_node_get(root, "exclude")));
  AM_GO(done, include(&v, am_node_get(root, "include")));
  for (int i = 0; i < AM_COUNT_OF(sections); i++) AM_GO(done, repeat_section(&v, root, sections[i]));
  am_node *data = am_node_get(root, "data");
  if (data) AM_GO(done, repeat_section(&v, data, "draws"));
  for (int i = 0; i < v.count; i++) {
    if (v.mentioned[i]) continue;
    err = am_node_fail(v.list[i], "no arm, model, pool, generator or draw mentions ${%s}", v.name[i]);
    goto done;
  }
  for (int i = 0; i < AM_COUNT_OF(keys); i++) am_node_remove(root, keys[i]);
done:
  free(v.row);
  return err;
}
