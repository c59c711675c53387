// A growing string, always terminated. Start from {0}; free with am_str_fini.
#ifndef AM_BASE_STR_H
#define AM_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  char *text;  // owned; NULL until the first write
  int64_t length;
  int64_t capacity;
} am_str;

AM_MUST_USE am_err am_str_printf(am_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
AM_MUST_USE am_err am_str_append(am_str *s, const char *bytes, int64_t count);
// Hands the text over (never NULL after success) and resets s.
AM_MUST_USE am_err am_str_take(am_str *s, char **out);
void am_str_clear(am_str *s);  // keeps the memory
void am_str_fini(am_str *s);
static inline const char *am_str_get(const am_str *s) { return s->text ? s->text : ""; }

// *out = heap text.
AM_MUST_USE am_err am_str_format(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool am_str_starts(const char *text, const char *prefix);
bool am_str_ends(const char *text, const char *suffix);
// Edit distance of two words, case-insensitive: for "did you mean".
int am_str_distance(const char *a, const char *b);
// The nearest of `count` words to `word` within distance 3 and half its length, or NULL.
const char *am_str_nearest(const char *word, const char *const *words, int64_t count);

#endif
