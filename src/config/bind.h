// Field lists: one list makes the struct, its defaults, range checks, YAML binding, `augmint
// schema`, and the canonical text.
//
//   #define AM_FIT_FIELDS(I, F, B, S, C)
//     I(epochs, 100, 1, 1000000, "", "passes over the training images")
//     F(lr, 2e-4, 0, 10, "", "learning rate")
//     B(per_class, true, "one network per class")
//     S(model, NULL, "network name")                     (NULL default: required)
//     C(loss, "bce", "bce|mse", "what is minimised")     (one of the words)
//   typedef struct { AM_STRUCT(AM_FIT_FIELDS) } am_fit_cfg;
//   #define AM_FIELD_OF am_fit_cfg
//   static const am_field fit_fields[] = {AM_FIELDS(AM_FIT_FIELDS)};
//   #undef AM_FIELD_OF
//   const am_schema am_fit_schema = AM_SCHEMA("fit", "how a generator is fitted", am_fit_cfg, fit_fields);
//
// I int64_t, F double, B bool, S and C const char * (borrowed from the node tree or the literal).
#ifndef AM_CONFIG_BIND_H
#define AM_CONFIG_BIND_H

#include <stddef.h>

#include "config/node.h"

typedef enum { AM_FIELD_I64, AM_FIELD_F64, AM_FIELD_BOOL, AM_FIELD_STR, AM_FIELD_CHOICE } am_field_type;
typedef struct {
  const char *name;
  am_field_type type;
  size_t offset;
  const char *default_text;  // as it would be written in YAML; NULL: required
  double min, max;           // numbers
  const char *unit, *choices, *doc;
} am_field;
typedef struct {
  const char *name, *doc;  // "train", "how a classifier is trained"
  size_t struct_bytes;
  const am_field *field;
  int field_count;
} am_schema;

#define AM_STRUCT_I(name, def, lo, hi, unit, doc) int64_t name;
#define AM_STRUCT_F(name, def, lo, hi, unit, doc) double name;
#define AM_STRUCT_B(name, def, doc)               bool name;
#define AM_STRUCT_S(name, def, doc)               const char *name;
#define AM_STRUCT_C(name, def, choices, doc)      const char *name;
#define AM_STRUCT(FIELDS) FIELDS(AM_STRUCT_I, AM_STRUCT_F, AM_STRUCT_B, AM_STRUCT_S, AM_STRUCT_C)

#define AM_FIELD_HEAD(n, kind, d) .name = #n, .type = kind, .offset = offsetof(AM_FIELD_OF, n), .doc = d
#define AM_FIELD_I(n, def, lo, hi, u, d)                                                              \
  {AM_FIELD_HEAD(n, AM_FIELD_I64, d), .default_text = #def, .min = (double)(lo), .max = (double)(hi), \
   .unit = u},
#define AM_FIELD_F(n, def, lo, hi, u, d) \
  {AM_FIELD_HEAD(n, AM_FIELD_F64, d), .default_text = #def, .min = (lo), .max = (hi), .unit = u},
#define AM_FIELD_B(n, def, d)     {AM_FIELD_HEAD(n, AM_FIELD_BOOL, d), .default_text = #def},
#define AM_FIELD_S(n, def, d)     {AM_FIELD_HEAD(n, AM_FIELD_STR, d), .default_text = def},
#define AM_FIELD_C(n, def, ch, d) {AM_FIELD_HEAD(n, AM_FIELD_CHOICE, d), .default_text = def, .choices = ch},
// Use with AM_FIELD_OF defined as the struct type, as above.
#define AM_FIELDS(FIELDS) FIELDS(AM_FIELD_I, AM_FIELD_F, AM_FIELD_B, AM_FIELD_S, AM_FIELD_C)
#define AM_SCHEMA(schema_name, schema_doc, type, fields)                                   \
  {                                                                                        \
    .name = schema_name, .doc = schema_doc, .struct_bytes = sizeof(type), .field = fields, \
    .field_count = (int)(sizeof(fields) / sizeof((fields)[0]))                             \
  }

// Fills `out` (struct_bytes) from a map node; absent keys take defaults; `map` may be NULL.
// Keys in `also` (NULL-terminated, may be NULL) are allowed and left to the caller.
// Errors: AM_ERR_CONFIG with place, path and, for unknown keys and words, the nearest known one.
AM_MUST_USE am_err am_bind(const am_node *map, const am_schema *schema, const char *const *also, void *out);
// The bound struct as a canonical map node: every field, defaults included.
AM_MUST_USE am_err am_bind_to_node(const am_schema *schema, const void *in, am_node **out);
// `augmint schema`: a table of keys with type, unit, default, range and meaning.
AM_MUST_USE am_err am_schema_print(const am_schema *schema, am_str *out);
// Refuses keys of map that are not in `known` (NULL-terminated), naming the nearest.
AM_MUST_USE am_err am_node_check_keys(const am_node *map, const char *const *known);

#endif
