// Node building shared by the reader, merging and binding; not for other folders.
#ifndef AM_CONFIG_NODE_INTERNAL_H
#define AM_CONFIG_NODE_INTERNAL_H

#include "config/node.h"

AM_MUST_USE am_err am_node_new(am_node_kind kind, am_node **out);
// Adds child_take at the end of a map or list without looking for an equal key; its path is already
// right. Frees it on failure.
AM_MUST_USE am_err am_node_attach(am_node *parent, const char *key, am_node *child_take);
// The path of a child: key in a map, [index] in a list. Errors: AM_ERR_CONFIG longer than AM_YAML_PATH.
AM_MUST_USE am_err am_node_child_path(const am_node *parent, const char *key, int64_t index,
                                      char path[AM_YAML_PATH]);
// Sets the path of n and of everything below.
AM_MUST_USE am_err am_node_set_path(am_node *n, const char *path);
// The entries of a map by key (bytewise), equal keys by place. *out is heap memory of the caller.
typedef struct {
  const char *key;      // borrowed
  const am_node *item;  // borrowed
} am_named_item;
AM_MUST_USE am_err am_node_sorted(const am_node *map, am_named_item **out);
// Errors: AM_ERR_CONFIG naming both places of a key that comes twice.
AM_MUST_USE am_err am_node_check_duplicates(const am_node *map);
// A copy within the same tree: file names stay borrowed.
AM_MUST_USE am_err am_node_copy_shared(const am_node *n, am_node **out);
int am_node_depth(const am_node *n);     // levels below n
int64_t am_node_size(const am_node *n);  // nodes from n down

#endif
