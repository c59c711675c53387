// YAML text to a node tree, over libyaml's events.
//
// libyaml does the syntax. What is decided here is what a configuration may hold: the limits of
// node.h, so that a small hostile file stays small in memory, and the parts of YAML that surprise
// people (tags, merge keys, silently overwritten keys), which are refused with a place.
#include <yaml.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "config/node.h"
#include "config/node_internal.h"

typedef struct {
  char *name;           // owned
  const am_node *node;  // borrowed: complete, somewhere in the tree being built
} anchor;

typedef struct {
  yaml_parser_t yaml;
  yaml_event_t event;  // the current one, when has_event
  bool has_event;
  const char *name;  // borrowed: for messages until the root exists
  am_node *root;     // borrowed: owns the file name
  int64_t node_count;
  anchor *anchors;  // owned
  int64_t anchor_count, anchor_capacity;
} reader;

static am_err fail_at(const reader *r, yaml_mark_t mark, const char *what) {
  return AM_FAIL(AM_ERR_CONFIG, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static void drop_event(reader *r) {
  if (r->has_event) yaml_event_delete(&r->event);
  r->has_event = false;
}

static am_err next_event(reader *r) {
  drop_event(r);
  if (yaml_parser_parse(&r->yaml, &r->event)) {
    r->has_event = true;
    return AM_OK;
  }
  AM_CHECK(r->yaml.error != YAML_MEMORY_ERROR, AM_ERR_NOMEM, "out of memory while reading %s", r->name);
  const char *problem = r->yaml.problem ? r->yaml.problem : "not YAML";
  if (r->yaml.error == YAML_READER_ERROR) {
    return AM_FAIL(AM_ERR_CONFIG, "%s: byte %zu: %s", r->name, r->yaml.problem_offset, problem);
  }
  AM_TRY(fail_at(r, r->yaml.problem_mark, problem));
  return AM_OK;
}

static am_err count_nodes(reader *r, int64_t more) {
  r->node_count += more;
  AM_CHECK(r->node_count <= AM_YAML_NODES, AM_ERR_CONFIG,
           "%s:%zu: more than %d values (aliases count each time they are used)", r->name,
           r->event.start_mark.line + 1, AM_YAML_NODES);
  return AM_OK;
}

static am_err check_depth(const reader *r, int depth) {
  AM_CHECK(depth <= AM_YAML_DEPTH, AM_ERR_CONFIG, "%s:%zu: nested deeper than %d levels", r->name,
           r->event.start_mark.line + 1, AM_YAML_DEPTH);
  return AM_OK;
}

// A node at the place of the current event, counted against the budget.
static am_err start_node(reader *r, am_node_kind kind, am_node **out) {
  am_node *n = NULL;
  AM_TRY(count_nodes(r, 1));
  AM_TRY(am_node_new(kind, &n));
  n->line = (int)r->event.start_mark.line + 1;
  n->column = (int)r->event.start_mark.column + 1;
  if (!r->root) {
    am_err err = am_mem_strdup(r->name, &n->file_owned);
    if (err) {
      am_node_free(n);
      return err;
    }
    n->file = n->file_owned;
    r->root = n;
  } else {
    n->file = r->root->file;
  }
  *out = n;
  return AM_OK;
}

static am_err check_scalar(const reader *r) {
  const char *text = (const char *)r->event.data.scalar.value;
  if (strlen(text) != r->event.data.scalar.length) {
    return fail_at(r, r->event.start_mark, "a text holds a zero byte");
  }
  return AM_OK;
}

static am_err read_scalar(reader *r, am_node *n) {
  AM_TRY(check_scalar(r));
  const char *text = (const char *)r->event.data.scalar.value;
  n->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  if (!n->quoted && am_text_is_null(text)) n->kind = AM_NODE_NULL;
  return am_mem_strdup(text, &n->text);
}

static am_err remember_anchor(reader *r, const char *name, const am_node *n) {
  AM_TRY(AM_GROW(&r->anchors, &r->anchor_capacity, r->anchor_count + 1));
  AM_TRY(am_mem_strdup(name, &r->anchors[r->anchor_count].name));
  r->anchors[r->anchor_count++].node = n;
  return AM_OK;
}

// A name may be used again; the latest one counts. NULL for an anchor that is still open, too: a
// value cannot contain itself.
static const am_node *find_anchor(const reader *r, const char *name) {
  for (int64_t i = r->anchor_count - 1; i >= 0; i--) {
    if (!strcmp(r->anchors[i].name, name)) return r->anchors[i].node;
  }
  return NULL;
}

static am_err expand_alias(reader *r, const char *path, int depth, am_node **out) {
  const char *name = (const char *)r->event.data.alias.anchor;
  const am_node *target = find_anchor(r, name);
  if (!target) {
    return AM_FAIL(AM_ERR_CONFIG, "%s:%zu:%zu: *%s names no finished value before this place", r->name,
                   r->event.start_mark.line + 1, r->event.start_mark.column + 1, name);
  }
  AM_TRY(check_depth(r, depth + am_node_depth(target)));
  AM_TRY(count_nodes(r, am_node_size(target)));
  am_node *copy = NULL;
  AM_TRY(am_node_copy_shared(target, &copy));
  am_err err = am_node_set_path(copy, path);
  if (err) {
    am_node_free(copy);
    return err;
  }
  *out = copy;
  return AM_OK;
}

static am_err read_node(reader *r, const char *path, int depth, am_node **out);

static am_err read_list(reader *r, am_node *list, int depth) {
  char path[AM_YAML_PATH];
  for (;;) {
    AM_TRY(next_event(r));
    if (r->event.type == YAML_SEQUENCE_END_EVENT) return AM_OK;
    am_node *item = NULL;
    AM_TRY(am_node_child_path(list, NULL, list->count, path));
    AM_TRY(read_node(r, path, depth + 1, &item));
    AM_TRY(am_node_attach(list, NULL, item));
  }
}

static am_err read_key(reader *r, char **key) {
  yaml_mark_t mark = r->event.start_mark;
  if (r->event.type != YAML_SCALAR_EVENT || r->event.data.scalar.tag) {
    return fail_at(r, mark, "a key must be a plain word or a quoted text");
  }
  AM_TRY(check_scalar(r));
  const char *text = (const char *)r->event.data.scalar.value;
  if (!*text) return fail_at(r, mark, "a key is empty");
  if (strlen(text) > AM_YAML_KEY) return fail_at(r, mark, "a key is longer than 255 bytes");
  for (const char *p = text; *p; p++) {
    if (iscntrl((unsigned char)*p)) return fail_at(r, mark, "a key holds a control character");
  }
  if (!strcmp(text, "<<") && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
    return fail_at(r, mark, "merge keys (<<) are not supported: share values through `defaults: FILE`");
  }
  return am_mem_strdup(text, key);
}

// One "key: value"; the key is the current event.
static am_err read_entry(reader *r, am_node *map, int depth) {
  am_err err = AM_OK;
  char *key = NULL, path[AM_YAML_PATH];
  am_node *item = NULL;
  yaml_mark_t mark = r->event.start_mark;
  AM_GO(done, read_key(r, &key));
  err = am_node_child_path(map, key, 0, path);
  if (err) {
    am_err_prefix("%s:%zu:%zu", r->name, mark.line + 1, mark.column + 1);
    goto done;
  }
  AM_GO(done, next_event(r));
  AM_GO(done, read_node(r, path, depth + 1, &item));
  item->key_line = (int)mark.line + 1;
  item->key_column = (int)mark.column + 1;
  AM_GO(done, am_node_attach(map, key, item));
done:
  free(key);
  return err;
}

static am_err read_map(reader *r, am_node *map, int depth) {
  for (;;) {
    AM_TRY(next_event(r));
    if (r->event.type == YAML_MAPPING_END_EVENT) return am_node_check_duplicates(map);
    AM_TRY(read_entry(r, map, depth));
  }
}

// The value that starts with the current event; the event that ends it is current afterwards.
static am_err read_node(reader *r, const char *path, int depth, am_node **out) {
  am_err err = AM_OK;
  am_node *n = NULL;
  char *anchor_name = NULL;
  AM_TRY(check_depth(r, depth));
  const yaml_char_t *anchor_text = NULL, *tag = NULL;
  am_node_kind kind = AM_NODE_SCALAR;
  switch (r->event.type) {
    case YAML_ALIAS_EVENT:
      return expand_alias(r, path, depth, out);
    case YAML_SCALAR_EVENT:
      anchor_text = r->event.data.scalar.anchor;
      tag = r->event.data.scalar.tag;
      break;
    case YAML_SEQUENCE_START_EVENT:
      anchor_text = r->event.data.sequence_start.anchor;
      tag = r->event.data.sequence_start.tag;
      kind = AM_NODE_LIST;
      break;
    case YAML_MAPPING_START_EVENT:
      anchor_text = r->event.data.mapping_start.anchor;
      tag = r->event.data.mapping_start.tag;
      kind = AM_NODE_MAP;
      break;
    default:
      return fail_at(r, r->event.start_mark, "a value was expected here");
  }
  if (tag) return fail_at(r, r->event.start_mark, "tags (!...) are not supported");
  AM_GO(done, start_node(r, kind, &n));
  AM_GO(done, am_mem_strdup((const char *)anchor_text, &anchor_name));
  AM_GO(done, am_mem_strdup(path, &n->path));
  if (kind == AM_NODE_SCALAR) {
    AM_GO(done, read_scalar(r, n));
  } else if (kind == AM_NODE_LIST) {
    AM_GO(done, read_list(r, n, depth));
  } else {
    AM_GO(done, read_map(r, n, depth));
  }
  if (anchor_name) AM_GO(done, remember_anchor(r, anchor_name, n));
  *out = n;
  n = NULL;
done:
  am_node_free(n);
  free(anchor_name);
  return err;
}

static am_err read_document(reader *r, am_node **out) {
  am_err err = AM_OK;
  am_node *root = NULL;
  AM_GO(failed, next_event(r));  // stream start
  AM_GO(failed, next_event(r));
  if (r->event.type == YAML_STREAM_END_EVENT) {
    AM_GO(failed, start_node(r, AM_NODE_NULL, &root));
    AM_GO(failed, am_mem_strdup("", &root->path));
    AM_GO(failed, am_mem_strdup("", &root->text));
    *out = root;
    return AM_OK;
  }
  AM_GO(failed, next_event(r));  // the first event inside the document
  AM_GO(failed, read_node(r, "", 1, &root));
  AM_GO(failed, next_event(r));  // document end
  AM_GO(failed, next_event(r));
  if (r->event.type != YAML_STREAM_END_EVENT) {
    err = fail_at(r, r->event.start_mark, "a second document starts here; one per file is allowed");
    goto failed;
  }
  *out = root;
  return AM_OK;
failed:
  am_node_free(root);
  return err;
}

am_err am_yaml_parse(const char *name, const char *text, size_t bytes, am_node **out) {
  AM_CHECK(bytes <= AM_YAML_BYTES, AM_ERR_CONFIG, "%s: %zu bytes, the limit for a configuration is %d", name,
           bytes, AM_YAML_BYTES);
  reader r = {.name = name};
  AM_CHECK(yaml_parser_initialize(&r.yaml), AM_ERR_NOMEM, "out of memory while reading %s", name);
  yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, bytes);
  am_err err = read_document(&r, out);
  drop_event(&r);
  yaml_parser_delete(&r.yaml);
  for (int64_t i = 0; i < r.anchor_count; i++) free(r.anchors[i].name);
  free(r.anchors);
  if (err) am_err_add_frame(__FILE__, __LINE__, __func__);
  return err;
}

am_err am_yaml_read(const char *path, am_node **out) {
  char *text = NULL;
  size_t bytes = 0;
  am_err err = am_file_read(path, AM_YAML_BYTES, &text, &bytes);
  // A configuration that is not there or too large is the user's to mend: exit code 2.
  if (err == AM_ERR_IO || err == AM_ERR_DATA) err = AM_FAIL(AM_ERR_CONFIG, "%s", am_err_last()->message);
  if (err) return err;
  err = am_yaml_parse(path, text, bytes, out);
  free(text);
  return err;
}
