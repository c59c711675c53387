#include "config/node.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/node_internal.h"

// ---- building ----

am_err am_node_new(am_node_kind kind, am_node **out) {
  am_node *n = NULL;
  AM_TRY(AM_NEW(&n));
  n->kind = kind;
  *out = n;
  return AM_OK;
}

void am_node_free(am_node *n) {
  if (!n) return;
  for (int64_t i = 0; i < n->count; i++) {
    am_node_free(n->item[i]);
    if (n->key) free(n->key[i]);
  }
  free(n->item);
  free(n->key);
  free(n->text);
  free(n->path);
  free(n->file_owned);
  free(n);
}

static am_err new_container(am_node_kind kind, const char *file, am_node **out) {
  am_err err = AM_OK;
  am_node *n = NULL;
  AM_GO(failed, am_node_new(kind, &n));
  AM_GO(failed, am_mem_strdup(file ? file : "", &n->file_owned));
  AM_GO(failed, am_mem_strdup("", &n->path));
  n->file = n->file_owned;
  *out = n;
  return AM_OK;
failed:
  am_node_free(n);
  return err;
}

am_err am_node_new_map(const char *file, am_node **out) { return new_container(AM_NODE_MAP, file, out); }

am_err am_node_new_list(const char *file, am_node **out) { return new_container(AM_NODE_LIST, file, out); }

am_err am_node_new_scalar(const char *text, bool quoted, am_node **out) {
  am_node *n = NULL;
  AM_TRY(new_container(AM_NODE_SCALAR, "", &n));
  am_err err = am_mem_strdup(text, &n->text);
  if (err) {
    am_node_free(n);
    return err;
  }
  n->quoted = quoted;
  *out = n;
  return AM_OK;
}

am_err am_node_attach(am_node *parent, const char *key, am_node *child_take) {
  am_err err = AM_OK;
  AM_GO(failed, AM_GROW(&parent->item, &parent->capacity, parent->count + 1));
  if (parent->kind == AM_NODE_MAP) {
    AM_GO(failed, AM_GROW(&parent->key, &parent->key_capacity, parent->count + 1));
    AM_GO(failed, am_mem_strdup(key, &parent->key[parent->count]));
  }
  parent->item[parent->count++] = child_take;
  return AM_OK;
failed:
  am_node_free(child_take);
  return err;
}

am_err am_node_child_path(const am_node *parent, const char *key, int64_t index, char path[AM_YAML_PATH]) {
  const char *base = parent->path ? parent->path : "";
  int used = parent->kind == AM_NODE_LIST
                 ? snprintf(path, AM_YAML_PATH, "%s[%lld]", base, (long long)index)
                 : snprintf(path, AM_YAML_PATH, "%s%s%s", base, *base ? "." : "", key);
  AM_CHECK(used >= 0 && used < AM_YAML_PATH, AM_ERR_CONFIG, "%.60s...: key and path together exceed %d bytes",
           path, AM_YAML_PATH - 1);
  return AM_OK;
}

am_err am_node_set_path(am_node *n, const char *path) {
  char *copy = NULL, child[AM_YAML_PATH];
  AM_TRY(am_mem_strdup(path, &copy));
  free(n->path);
  n->path = copy;
  for (int64_t i = 0; i < n->count; i++) {
    AM_TRY(am_node_child_path(n, n->key ? n->key[i] : NULL, i, child));
    AM_TRY(am_node_set_path(n->item[i], child));
  }
  return AM_OK;
}

// ---- copying ----

// Nodes below share their root's file name: a pointer equal to `old_file` becomes `new_file`.
static am_err copy_node(const am_node *n, const char *old_file, const char *new_file, am_node **out) {
  am_err err = AM_OK;
  am_node *copy = NULL, *child = NULL;
  AM_GO(failed, am_node_new(n->kind, &copy));
  copy->quoted = n->quoted;
  copy->line = n->line;
  copy->column = n->column;
  copy->key_line = n->key_line;
  copy->key_column = n->key_column;
  if (n->file != old_file) {
    AM_GO(failed, am_mem_strdup(n->file, &copy->file_owned));
    old_file = n->file;
    new_file = copy->file_owned;
  }
  copy->file = new_file;
  AM_GO(failed, am_mem_strdup(n->text, &copy->text));
  AM_GO(failed, am_mem_strdup(n->path, &copy->path));
  for (int64_t i = 0; i < n->count; i++) {
    AM_GO(failed, copy_node(n->item[i], old_file, new_file, &child));
    AM_GO(failed, am_node_attach(copy, n->key ? n->key[i] : NULL, child));
  }
  *out = copy;
  return AM_OK;
failed:
  am_node_free(copy);
  return err;
}

am_err am_node_copy(const am_node *n, am_node **out) { return copy_node(n, NULL, NULL, out); }

am_err am_node_copy_shared(const am_node *n, am_node **out) { return copy_node(n, n->file, n->file, out); }

int am_node_depth(const am_node *n) {
  int deepest = 0;
  for (int64_t i = 0; i < n->count; i++) {
    int below = 1 + am_node_depth(n->item[i]);
    if (below > deepest) deepest = below;
  }
  return deepest;
}

int64_t am_node_size(const am_node *n) {
  int64_t size = 1;
  for (int64_t i = 0; i < n->count; i++) size += am_node_size(n->item[i]);
  return size;
}

// ---- looking up ----

static int64_t key_index(const am_node *map, const char *key) {
  if (!map || map->kind != AM_NODE_MAP) return -1;
  for (int64_t i = 0; i < map->count; i++) {
    if (!strcmp(map->key[i], key)) return i;
  }
  return -1;
}

am_node *am_node_get(const am_node *map, const char *key) {
  int64_t i = key_index(map, key);
  return i < 0 ? NULL : map->item[i];
}

// One step of a path: "key" (up to '.', '[' or the end) or "[index]". False: not a path.
typedef struct {
  char key[AM_YAML_PATH];
  int64_t index;  // -1: a key
} step;

static bool next_step(const char **rest, step *out) {
  const char *p = *rest;
  if (*p == '[') {
    char *end = NULL;
    if (p[1] < '0' || p[1] > '9') return false;
    out->index = strtoll(p + 1, &end, 10);
    if (*end != ']') return false;
    p = end + 1;
  } else {
    size_t n = strcspn(p, ".[");
    if (n == 0 || n >= sizeof out->key) return false;
    memcpy(out->key, p, n);
    out->key[n] = '\0';
    out->index = -1;
    p += n;
  }
  if (*p == '.') {
    p++;
    if (!*p || *p == '[') return false;
  } else if (*p && *p != '[') {
    return false;
  }
  *rest = p;
  return true;
}

static am_node *step_into(const am_node *n, const step *s) {
  if (s->index < 0) return am_node_get(n, s->key);
  return n->kind == AM_NODE_LIST && s->index < n->count ? n->item[s->index] : NULL;
}

am_node *am_node_find(const am_node *root, const char *path) {
  am_node *n = (am_node *)root;
  step s;
  while (n && *path) {
    if (!next_step(&path, &s)) return NULL;
    n = step_into(n, &s);
  }
  return n;
}

// ---- changing ----

am_err am_node_put(am_node *map, const char *key, am_node *child_take) {
  char path[AM_YAML_PATH];
  am_err err = AM_OK;
  AM_ASSERT(map->kind == AM_NODE_MAP);
  AM_GO(failed, am_node_child_path(map, key, 0, path));
  AM_GO(failed, am_node_set_path(child_take, path));
  int64_t at = key_index(map, key);
  if (at < 0) return am_node_attach(map, key, child_take);
  am_node_free(map->item[at]);
  map->item[at] = child_take;
  return AM_OK;
failed:
  am_node_free(child_take);
  return err;
}

am_err am_node_append(am_node *list, am_node *child_take) {
  char path[AM_YAML_PATH];
  am_err err = AM_OK;
  AM_ASSERT(list->kind == AM_NODE_LIST);
  AM_GO(failed, am_node_child_path(list, NULL, list->count, path));
  AM_GO(failed, am_node_set_path(child_take, path));
  return am_node_attach(list, NULL, child_take);
failed:
  am_node_free(child_take);
  return err;
}

void am_node_remove(am_node *map, const char *key) {
  int64_t at = key_index(map, key);
  if (at < 0) return;
  am_node_free(map->item[at]);
  free(map->key[at]);
  for (int64_t i = at + 1; i < map->count; i++) {
    map->item[i - 1] = map->item[i];
    map->key[i - 1] = map->key[i];
  }
  map->count--;
}

am_err am_node_merge(am_node *base, const am_node *over) {
  if (over->kind == AM_NODE_NULL) return AM_OK;  // an empty section overrides nothing
  if (base->kind != AM_NODE_MAP || over->kind != AM_NODE_MAP) {
    return am_node_fail(over, "only maps can be merged, this is not one");
  }
  for (int64_t i = 0; i < over->count; i++) {
    am_node *mine = am_node_get(base, over->key[i]);
    if (mine && mine->kind == AM_NODE_MAP && over->item[i]->kind == AM_NODE_MAP) {
      AM_TRY(am_node_merge(mine, over->item[i]));
    } else {
      am_node *copy = NULL;
      AM_TRY(am_node_copy(over->item[i], &copy));
      AM_TRY(am_node_put(base, over->key[i], copy));
    }
  }
  return AM_OK;
}

// Puts value_take where one step from n leads.
static am_err put_step(am_node *n, const step *s, am_node *value_take, const char *assignment) {
  char path[AM_YAML_PATH];
  if (s->index < 0 && n->kind == AM_NODE_MAP) return am_node_put(n, s->key, value_take);
  am_err err = AM_OK;
  AM_CHECK_GO(failed, s->index >= 0 && s->index < n->count && n->kind == AM_NODE_LIST, AM_ERR_CONFIG,
              "--set %s: %s is not %s", assignment, n->path && *n->path ? n->path : "the top level",
              s->index < 0 ? "a map" : "a list with such an entry");
  AM_GO(failed, am_node_child_path(n, NULL, s->index, path));
  AM_GO(failed, am_node_set_path(value_take, path));
  am_node_free(n->item[s->index]);
  n->item[s->index] = value_take;
  return AM_OK;
failed:
  am_node_free(value_take);
  return err;
}

static am_err put_at(am_node *root, const char *path, am_node *value_take, const char *assignment) {
  am_err err = AM_OK;
  am_node *n = root, *fresh = NULL;
  step s;
  for (int depth = 2;; depth++) {
    AM_CHECK_GO(failed, next_step(&path, &s), AM_ERR_CONFIG,
                "--set %s: expected KEY.KEY=VALUE or KEY[0].KEY=VALUE", assignment);
    AM_CHECK_GO(failed, depth <= AM_YAML_DEPTH, AM_ERR_CONFIG, "--set %s: nested deeper than %d levels",
                assignment, AM_YAML_DEPTH);
    if (!*path) return put_step(n, &s, value_take, assignment);
    am_node *next = step_into(n, &s);
    if (!next || next->kind == AM_NODE_NULL) {
      AM_GO(failed, am_node_new_map("--set", &fresh));
      AM_GO(failed, put_step(n, &s, fresh, assignment));
      next = step_into(n, &s);
    }
    n = next;
  }
failed:
  am_node_free(value_take);
  return err;
}

am_err am_node_set(am_node *root, const char *assignment) {
  const char *equals = strchr(assignment, '=');
  AM_CHECK(equals && equals != assignment, AM_ERR_CONFIG, "--set %s: expected KEY.KEY=VALUE", assignment);
  char *path = NULL;
  am_node *value = NULL;
  am_err err = AM_OK;
  AM_GO(done, am_mem_strdup(assignment, &path));
  path[equals - assignment] = '\0';
  AM_GO(done, am_yaml_parse("--set", equals + 1, strlen(equals + 1), &value));
  AM_GO(done, put_at(root, path, value, assignment));
done:
  free(path);
  return err;
}

// ---- sorted keys ----

static int by_key(const void *a, const void *b) {
  const am_named_item *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  if (order) return order;
  if (x->item->key_line != y->item->key_line) return x->item->key_line < y->item->key_line ? -1 : 1;
  return x->item->key_column < y->item->key_column ? -1 : x->item->key_column > y->item->key_column;
}

am_err am_node_sorted(const am_node *map, am_named_item **out) {
  am_named_item *sorted = NULL;
  AM_TRY(AM_NEW_ARRAY(&sorted, map->count));
  for (int64_t i = 0; i < map->count; i++) sorted[i] = (am_named_item){map->key[i], map->item[i]};
  qsort(sorted, (size_t)map->count, sizeof *sorted, by_key);
  *out = sorted;
  return AM_OK;
}

am_err am_node_check_duplicates(const am_node *map) {
  am_err err = AM_OK;
  am_named_item *sorted = NULL;
  AM_TRY(am_node_sorted(map, &sorted));
  for (int64_t i = 1; i < map->count && err == AM_OK; i++) {
    if (strcmp(sorted[i - 1].key, sorted[i].key)) continue;
    err = am_node_fail_key(sorted[i].item, "key `%s` comes twice; it is already given in line %d",
                           sorted[i].key, sorted[i - 1].item->key_line);
  }
  free(sorted);
  return err;
}

// ---- messages ----

__attribute__((format(printf, 4, 0))) static am_err fail_at(const am_node *n, int line, int column,
                                                            const char *fmt, va_list args) {
  char message[AM_ERR_MESSAGE_BYTES], place[64] = "";
  vsnprintf(message, sizeof message, fmt, args);
  const char *file = n->file && *n->file ? n->file : "configuration";
  const char *path = n->path ? n->path : "";
  if (line > 0 && strcmp(file, "--set")) snprintf(place, sizeof place, ":%d:%d", line, column);
  return AM_FAIL(AM_ERR_CONFIG, "%s%s: %s%s%s", file, place, path, *path ? ": " : "", message);
}

am_err am_node_fail(const am_node *n, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  am_err err = fail_at(n, n->line, n->column, fmt, args);
  va_end(args);
  return err;
}

am_err am_node_fail_key(const am_node *n, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  bool has_key = n->key_line > 0;
  am_err err = fail_at(n, has_key ? n->key_line : n->line, has_key ? n->key_column : n->column, fmt, args);
  va_end(args);
  return err;
}

const char *am_node_describe(const am_node *n, char text[AM_NODE_TEXT]) {
  double number;
  bool truth;
  switch (n->kind) {
    case AM_NODE_NULL:
      return "nothing";
    case AM_NODE_LIST:
      return "a list";
    case AM_NODE_MAP:
      return "a map";
    case AM_NODE_SCALAR:
      break;
  }
  bool bare = !n->quoted && (am_text_is_number(n->text, &number) || am_text_is_bool(n->text, &truth));
  enum { SHOWN = 60 };
  const char *more = strlen(n->text) > SHOWN ? "..." : "";
  snprintf(text, AM_NODE_TEXT, bare ? "%.*s%s" : "\"%.*s%s\"", SHOWN, n->text, more);
  return text;
}
