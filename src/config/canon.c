// A tree back to text: canonical JSON, which addresses are hashed from, and YAML for readers.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/node.h"
#include "config/node_internal.h"

// Length of a character at p that may not stand raw in YAML although it is UTF-8 (C1 controls and
// the two noncharacters U+FFFE, U+FFFF), and its code; 0 for all others.
static int unprintable(const unsigned char *p, unsigned *code) {
  if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) return *code = p[1], 2;
  if (p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe) return *code = 0xffc0u + (p[2] & 0x3fu), 3;
  if (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf) return *code = 0xfeff, 3;
  return 0;
}

// A double-quoted text that JSON and YAML read alike.
static am_err put_quoted(const char *text, am_str *out) {
  const unsigned char *p = (const unsigned char *)text;
  AM_TRY(am_str_append(out, "\"", 1));
  while (*p) {
    unsigned code = 0;
    int bytes = unprintable(p, &code);
    if (*p == '"' || *p == '\\') {
      AM_TRY(am_str_printf(out, "\\%c", *p));
    } else if (*p < 0x20 || *p == 0x7f) {
      AM_TRY(am_str_printf(out, "\\u%04x", *p));
    } else if (bytes) {
      AM_TRY(am_str_printf(out, "\\u%04x", code));
    } else {
      AM_TRY(am_str_append(out, (const char *)p, 1));
    }
    p += bytes ? bytes : 1;
  }
  return am_str_append(out, "\"", 1);
}

static am_err put_scalar(const am_node *n, am_str *out) {
  char number[AM_NUMBER_TEXT];
  double x;
  int64_t whole;
  bool truth;
  if (!n->quoted && am_text_is_integer(n->text, &whole)) return am_str_printf(out, "%lld", (long long)whole);
  if (!n->quoted && am_text_is_number(n->text, &x))
    return am_str_printf(out, "%s", am_number_text(x, number));
  if (!n->quoted && am_text_is_bool(n->text, &truth)) return am_str_printf(out, truth ? "true" : "false");
  return put_quoted(n->text, out);
}

static am_err put_list(const am_node *n, am_str *out) {
  AM_TRY(am_str_append(out, "[", 1));
  for (int64_t i = 0; i < n->count; i++) {
    if (i > 0) AM_TRY(am_str_append(out, ",", 1));
    AM_TRY(am_node_canonical(n->item[i], out));
  }
  return am_str_append(out, "]", 1);
}

static am_err put_map(const am_node *n, am_str *out) {
  am_err err = AM_OK;
  am_named_item *sorted = NULL;
  AM_GO(done, am_node_sorted(n, &sorted));
  AM_GO(done, am_str_append(out, "{", 1));
  for (int64_t i = 0; i < n->count; i++) {
    if (i > 0) AM_GO(done, am_str_append(out, ",", 1));
    AM_GO(done, put_quoted(sorted[i].key, out));
    AM_GO(done, am_str_append(out, ":", 1));
    AM_GO(done, am_node_canonical(sorted[i].item, out));
  }
  AM_GO(done, am_str_append(out, "}", 1));
done:
  free(sorted);
  return err;
}

am_err am_node_canonical(const am_node *n, am_str *out) {
  switch (n->kind) {
    case AM_NODE_NULL:
      return am_str_append(out, "null", 4);
    case AM_NODE_SCALAR:
      return put_scalar(n, out);
    case AM_NODE_LIST:
      return put_list(n, out);
    case AM_NODE_MAP:
      return put_map(n, out);
  }
  return AM_FAIL(AM_ERR_INTERNAL, "node of kind %d", (int)n->kind);
}

// ---- YAML for readers ----

// Words that mean themselves without quotes, in block and flow context alike.
static bool is_plain_word(const char *text) {
  if (!isalnum((unsigned char)*text) && *text != '_' && *text != '/') return false;
  for (const char *p = text; *p; p++) {
    if (!isalnum((unsigned char)*p) && !strchr("_./+-", *p)) return false;
  }
  return true;
}

static am_err print_key(const char *key, am_str *out) {
  return is_plain_word(key) ? am_str_printf(out, "%s", key) : put_quoted(key, out);
}

static am_err print_scalar(const am_node *n, am_str *out) {
  double x;
  bool truth;
  if (n->kind == AM_NODE_NULL) return am_str_printf(out, "null");
  bool special =
      am_text_is_number(n->text, &x) || am_text_is_bool(n->text, &truth) || am_text_is_null(n->text);
  bool bare = special ? !n->quoted : is_plain_word(n->text);
  return bare ? am_str_printf(out, "%s", n->text) : put_quoted(n->text, out);
}

static bool is_leaf(const am_node *n) { return n->kind == AM_NODE_NULL || n->kind == AM_NODE_SCALAR; }

// Lists of scalars stay on one line, and so do empty containers.
static bool is_one_line(const am_node *n) {
  if (is_leaf(n) || n->count == 0) return true;
  if (n->kind == AM_NODE_MAP) return false;
  for (int64_t i = 0; i < n->count; i++) {
    if (!is_leaf(n->item[i])) return false;
  }
  return true;
}

static am_err print_one_line(const am_node *n, am_str *out) {
  if (is_leaf(n)) return print_scalar(n, out);
  if (n->kind == AM_NODE_MAP) return am_str_printf(out, "{}");
  AM_TRY(am_str_printf(out, "["));
  for (int64_t i = 0; i < n->count; i++) {
    if (i > 0) AM_TRY(am_str_printf(out, ", "));
    AM_TRY(print_scalar(n->item[i], out));
  }
  return am_str_printf(out, "]");
}

// Entries of a container, one a line, `indent` columns in; the first line's indent is already there.
static am_err print_block(const am_node *n, int indent, am_str *out) {
  for (int64_t i = 0; i < n->count; i++) {
    const am_node *item = n->item[i];
    if (i > 0) AM_TRY(am_str_printf(out, "%*s", indent, ""));
    if (n->kind == AM_NODE_MAP) {
      AM_TRY(print_key(n->key[i], out));
      AM_TRY(am_str_printf(out, ":"));
    } else {
      AM_TRY(am_str_printf(out, "-"));
    }
    if (is_one_line(item)) {
      AM_TRY(am_str_printf(out, " "));
      AM_TRY(print_one_line(item, out));
      AM_TRY(am_str_printf(out, "\n"));
    } else if (n->kind == AM_NODE_MAP) {
      AM_TRY(am_str_printf(out, "\n%*s", indent + 2, ""));
      AM_TRY(print_block(item, indent + 2, out));
    } else {
      AM_TRY(am_str_printf(out, " "));
      AM_TRY(print_block(item, indent + 2, out));
    }
  }
  return AM_OK;
}

am_err am_node_print(const am_node *n, am_str *out) {
  if (!is_one_line(n)) return print_block(n, 0, out);
  AM_TRY(print_one_line(n, out));
  return am_str_printf(out, "\n");
}
