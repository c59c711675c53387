// A tree of configuration: what YAML said, with the place of every word for messages.
//
// Trees come from am_yaml_read, are merged (defaults, tiny, --set) and then bound to structs
// (config/bind.h). Foreign bytes: text at most 1 MB, depth at most 32, at most 100,000 nodes (alias
// expansion included), duplicate keys, tags, merge keys (<<) and second documents refused.
//
// What a plain word means follows YAML 1.2: true and false are booleans, `null`, `~` and nothing at
// all are null, `no` and `off` are words. Numbers are decimal and finite; 2, 2.0 and 2e0 are alike.
#ifndef AM_CONFIG_NODE_H
#define AM_CONFIG_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef enum { AM_NODE_NULL, AM_NODE_SCALAR, AM_NODE_LIST, AM_NODE_MAP } am_node_kind;

typedef struct am_node am_node;
struct am_node {
  am_node_kind kind;
  char *text;      // owned; scalar: its text
  bool quoted;     // scalar: written in quotes, so never a number, bool or null
  char **key;      // owned; map: key[i] belongs to item[i]
  am_node **item;  // owned; list, map
  int64_t count, capacity, key_capacity;
  char *path;                // owned: "arms.gan2000.train[1].pool"; "" for the root
  const char *file;          // borrowed from the nearest node upwards that owns one; "--set" for overrides
  char *file_owned;          // owned; set at the root, and where a subtree came from another file
  int line, column;          // of the value, from 1; 0: made by the program
  int key_line, key_column;  // of its key, when it sits in a map
};

enum {
  AM_YAML_BYTES = 1 << 20,
  AM_YAML_DEPTH = 32,
  AM_YAML_NODES = 100000,
  AM_YAML_PATH = 512,
  AM_YAML_KEY = 255
};

AM_MUST_USE am_err am_yaml_read(const char *path, am_node **out);
// `name` is for messages. The fuzz target enters here.
AM_MUST_USE am_err am_yaml_parse(const char *name, const char *text, size_t bytes, am_node **out);
void am_node_free(am_node *n);
AM_MUST_USE am_err am_node_copy(const am_node *n, am_node **out);
AM_MUST_USE am_err am_node_new_map(const char *file, am_node **out);
AM_MUST_USE am_err am_node_new_scalar(const char *text, bool quoted, am_node **out);

am_node *am_node_get(const am_node *map, const char *key);  // NULL when absent or not a map
// Walks "a.b[2].c"; NULL when absent.
am_node *am_node_find(const am_node *root, const char *path);
AM_MUST_USE am_err am_node_new_list(const char *file, am_node **out);
// Puts child_take under key (replacing), or appends it to a list. The child belongs to the tree
// from then on, and is freed when the call fails; its path becomes that of its new place.
AM_MUST_USE am_err am_node_put(am_node *map, const char *key, am_node *child_take);
AM_MUST_USE am_err am_node_append(am_node *list, am_node *child_take);
void am_node_remove(am_node *map, const char *key);
// base <- over: maps merge key by key, everything else replaces. `over` keeps its own places.
AM_MUST_USE am_err am_node_merge(am_node *base, const am_node *over);
// One override "train.epochs=2": the value is YAML. Errors: AM_ERR_CONFIG.
AM_MUST_USE am_err am_node_set(am_node *root, const char *assignment);

// Starts an AM_ERR_CONFIG error "file:line:column: path: message" ("--set: path: message" for an
// override). am_node_fail_key points at the node's key instead of its value.
am_err am_node_fail(const am_node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
am_err am_node_fail_key(const am_node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// What the value is, for messages: "\"abc\"", "3", "a list", "a map", "nothing".
enum { AM_NODE_TEXT = 96 };
const char *am_node_describe(const am_node *n, char text[AM_NODE_TEXT]);

// Scalars. Errors: AM_ERR_CONFIG with place, value and the expected type.
AM_MUST_USE am_err am_node_i64(const am_node *n, int64_t *out);
AM_MUST_USE am_err am_node_f64(const am_node *n, double *out);
AM_MUST_USE am_err am_node_bool(const am_node *n, bool *out);
AM_MUST_USE am_err am_node_str(const am_node *n, const char **out);  // borrowed; numbers are text too
// A list of words, or one word, as borrowed strings in owned memory.
AM_MUST_USE am_err am_node_words(const am_node *n, const char ***out, int64_t *count);
// What plain text would mean: true when it is of the kind, and then *out is its value.
bool am_text_is_number(const char *text, double *out);
bool am_text_is_integer(const char *text, int64_t *out);  // digits alone: exact beyond 2^53, too
bool am_text_is_bool(const char *text, bool *out);
bool am_text_is_null(const char *text);
// Shortest text that reads back as exactly this finite number: "80", "0.001", "1e-08".
enum { AM_NUMBER_TEXT = 32 };
const char *am_number_text(double x, char text[AM_NUMBER_TEXT]);

// Canonical text: JSON with sorted keys, numbers in shortest exact form (1e-3 and 0.001 alike),
// no spaces. What addresses are made of: equal meaning, equal text. Appends to out.
AM_MUST_USE am_err am_node_canonical(const am_node *n, am_str *out);
// Readable YAML (for provenance and `augmint plan --show`); reads back as an equal tree.
AM_MUST_USE am_err am_node_print(const am_node *n, am_str *out);

#endif
