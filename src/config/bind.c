#include "config/bind.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// "did you mean `epochs`?" for a key or word near enough, else the words there are.
static am_err add_hint(const char *word, const char *const *known, int64_t count, am_str *out) {
  const char *nearest = am_str_nearest(word, known, count);
  if (nearest) return am_str_printf(out, "; did you mean `%s`?", nearest);
  AM_TRY(am_str_printf(out, "; known: "));
  for (int64_t i = 0; i < count; i++) AM_TRY(am_str_printf(out, "%s%s", i ? ", " : "", known[i]));
  return AM_OK;
}

static am_err fail_unknown_key(const am_node *item, const char *key, const char *const *known,
                               int64_t count) {
  am_str hint = {0};
  am_err err = add_hint(key, known, count, &hint);
  if (err == AM_OK) err = am_node_fail_key(item, "unknown key `%s`%s", key, am_str_get(&hint));
  am_str_fini(&hint);
  return err;
}

static am_err check_is_map(const am_node *map) {
  char shown[AM_NODE_TEXT];
  if (map->kind != AM_NODE_MAP)
    return am_node_fail(map, "%s, expected a map of keys", am_node_describe(map, shown));
  return AM_OK;
}

static bool holds(const char *const *known, int64_t count, const char *key) {
  for (int64_t i = 0; i < count; i++) {
    if (!strcmp(known[i], key)) return true;
  }
  return false;
}

static am_err check_keys(const am_node *map, const char *const *known, int64_t count) {
  AM_TRY(check_is_map(map));
  for (int64_t i = 0; i < map->count; i++) {
    if (!holds(known, count, map->key[i])) return fail_unknown_key(map->item[i], map->key[i], known, count);
  }
  return AM_OK;
}

am_err am_node_check_keys(const am_node *map, const char *const *known) {
  int64_t count = 0;
  while (known[count]) count++;
  return check_keys(map, known, count);
}

static am_err check_schema_keys(const am_node *map, const am_schema *schema, const char *const *also) {
  am_err err = AM_OK;
  const char **known = NULL;
  int64_t extra = 0;
  while (also && also[extra]) extra++;
  AM_GO(done, AM_NEW_ARRAY(&known, schema->field_count + extra));
  for (int i = 0; i < schema->field_count; i++) known[i] = schema->field[i].name;
  for (int64_t i = 0; i < extra; i++) known[schema->field_count + i] = also[i];
  AM_GO(done, check_keys(map, known, schema->field_count + extra));
done:
  free(known);
  return err;
}

// ---- one field ----

// Whether word is one of "sgd|adam|adamw".
static bool is_choice(const char *choices, const char *word) {
  size_t n = strchr(word, '|') ? 0 : strlen(word);  // "sgd|adam" stands there, too
  for (const char *p = choices; n > 0 && p; p = strchr(p, '|'), p = p ? p + 1 : NULL) {
    if (!strncmp(p, word, n) && (p[n] == '|' || p[n] == '\0')) return true;
  }
  return false;
}

static am_err fail_choice(const am_node *n, const char *word, const char *choices) {
  enum { MOST = 32 };
  const char *list[MOST], *hint = NULL;
  char *copy = NULL, *rest = NULL;
  int64_t count = 0;
  AM_TRY(am_mem_strdup(choices, &copy));
  for (char *w = strtok_r(copy, "|", &rest); w && count < MOST; w = strtok_r(NULL, "|", &rest))
    list[count++] = w;
  hint = am_str_nearest(word, list, count);
  am_err err = am_node_fail(n, "\"%s\", expected %s%s%s%s", word, choices, hint ? "; did you mean `" : "",
                            hint ? hint : "", hint ? "`?" : "");
  free(copy);
  return err;
}

static am_err check_range(const am_node *n, const am_field *f, double x) {
  char shown[AM_NODE_TEXT], lo[AM_NUMBER_TEXT], hi[AM_NUMBER_TEXT];
  if (x >= f->min && x <= f->max) return AM_OK;
  bool has_unit = f->unit && *f->unit;
  return am_node_fail(n, "%s, expected %s to %s%s%s (%s)", am_node_describe(n, shown),
                      am_number_text(f->min, lo), am_number_text(f->max, hi), has_unit ? " " : "",
                      has_unit ? f->unit : "", f->doc);
}

static am_err set_field(const am_node *n, const am_field *f, void *at) {
  double x = 0;
  int64_t whole = 0;
  const char *word = NULL;
  switch (f->type) {
    case AM_FIELD_I64:
      AM_TRY(am_node_i64(n, &whole));
      AM_TRY(check_range(n, f, (double)whole));
      memcpy(at, &whole, sizeof whole);
      return AM_OK;
    case AM_FIELD_F64:
      AM_TRY(am_node_f64(n, &x));
      AM_TRY(check_range(n, f, x));
      memcpy(at, &x, sizeof x);
      return AM_OK;
    case AM_FIELD_BOOL:
      return am_node_bool(n, (bool *)at);
    case AM_FIELD_STR:
    case AM_FIELD_CHOICE:
      AM_TRY(am_node_str(n, &word));
      if (f->type == AM_FIELD_CHOICE && !is_choice(f->choices, word)) return fail_choice(n, word, f->choices);
      memcpy(at, &word, sizeof word);
      return AM_OK;
  }
  return AM_FAIL(AM_ERR_INTERNAL, "field %s has no type", f->name);
}

// Defaults go through the same checks as values; only text is taken as it is, because the struct
// borrows it and the literal lives for ever.
static am_err set_default(const am_schema *schema, const am_field *f, void *at) {
  if (f->type == AM_FIELD_STR || f->type == AM_FIELD_CHOICE) {
    memcpy(at, &f->default_text, sizeof f->default_text);
    return AM_OK;
  }
  am_node *n = NULL;
  AM_TRY(am_node_new_scalar(f->default_text, false, &n));
  am_err err = set_field(n, f, at);
  am_node_free(n);
  if (err)
    err = AM_FAIL(AM_ERR_INTERNAL, "default of %s.%s: %s", schema->name, f->name, am_err_last()->message);
  return err;
}

am_err am_bind(const am_node *map, const am_schema *schema, const char *const *also, void *out) {
  if (map && map->kind == AM_NODE_NULL) map = NULL;  // "train:" with nothing below
  if (map) AM_TRY(check_schema_keys(map, schema, also));
  memset(out, 0, schema->struct_bytes);
  for (int i = 0; i < schema->field_count; i++) {
    const am_field *f = &schema->field[i];
    const am_node *n = map ? am_node_get(map, f->name) : NULL;
    char *at = (char *)out + f->offset;
    if (n) {
      AM_TRY(set_field(n, f, at));
    } else if (f->default_text) {
      AM_TRY(set_default(schema, f, at));
    } else if (map) {
      return am_node_fail(map, "key `%s` is missing (%s)", f->name, f->doc);
    } else {
      return AM_FAIL(AM_ERR_CONFIG, "%s: key `%s` is missing (%s)", schema->name, f->name, f->doc);
    }
  }
  return AM_OK;
}

// ---- and back ----

static am_err field_to_node(const am_field *f, const void *at, am_node **out) {
  char text[AM_NUMBER_TEXT];
  int64_t whole;
  double x;
  const char *word;
  switch (f->type) {
    case AM_FIELD_I64:
      memcpy(&whole, at, sizeof whole);
      snprintf(text, sizeof text, "%lld", (long long)whole);
      return am_node_new_scalar(text, false, out);
    case AM_FIELD_F64:
      memcpy(&x, at, sizeof x);
      return am_node_new_scalar(am_number_text(x, text), false, out);
    case AM_FIELD_BOOL:
      return am_node_new_scalar(*(const bool *)at ? "true" : "false", false, out);
    case AM_FIELD_STR:
    case AM_FIELD_CHOICE:
      memcpy(&word, at, sizeof word);
      return am_node_new_scalar(word ? word : "", true, out);
  }
  return AM_FAIL(AM_ERR_INTERNAL, "field %s has no type", f->name);
}

am_err am_bind_to_node(const am_schema *schema, const void *in, am_node **out) {
  am_err err = AM_OK;
  am_node *map = NULL, *value = NULL;
  AM_GO(done, am_node_new_map("", &map));
  for (int i = 0; i < schema->field_count; i++) {
    const am_field *f = &schema->field[i];
    AM_GO(done, field_to_node(f, (const char *)in + f->offset, &value));
    AM_GO(done, am_node_put(map, f->name, value));
  }
  *out = map;
  map = NULL;
done:
  am_node_free(map);
  return err;
}
