#include "base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

__attribute__((format(printf, 2, 0))) static am_err print_into(am_str *s, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  int need = vsnprintf(NULL, 0, fmt, again);
  va_end(again);
  AM_CHECK(need >= 0, AM_ERR_INTERNAL, "format \"%s\" failed", fmt);
  AM_TRY(AM_GROW(&s->text, &s->capacity, s->length + need + 1));
  vsnprintf(s->text + s->length, (size_t)need + 1, fmt, args);
  s->length += need;
  return AM_OK;
}

am_err am_str_printf(am_str *s, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  am_err err = print_into(s, fmt, args);
  va_end(args);
  return err;
}

am_err am_str_append(am_str *s, const char *bytes, int64_t count) {
  AM_TRY(AM_GROW(&s->text, &s->capacity, s->length + count + 1));
  if (count > 0) memcpy(s->text + s->length, bytes, (size_t)count);
  s->length += count;
  s->text[s->length] = '\0';
  return AM_OK;
}

am_err am_str_take(am_str *s, char **out) {
  AM_TRY(am_str_append(s, "", 0));
  *out = s->text;
  *s = (am_str){0};
  return AM_OK;
}

void am_str_clear(am_str *s) {
  s->length = 0;
  if (s->text) s->text[0] = '\0';
}

void am_str_fini(am_str *s) {
  free(s->text);
  *s = (am_str){0};
}

am_err am_str_format(char **out, const char *fmt, ...) {
  am_str s = {0};
  va_list args;
  va_start(args, fmt);
  am_err err = print_into(&s, fmt, args);
  va_end(args);
  if (err) {
    am_str_fini(&s);
    return err;
  }
  *out = s.text;
  return AM_OK;
}

bool am_str_starts(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool am_str_ends(const char *text, const char *suffix) {
  size_t n = strlen(text), m = strlen(suffix);
  return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

int am_str_distance(const char *a, const char *b) {
  enum { LONGEST = 64 };
  int n = (int)strnlen(a, LONGEST), m = (int)strnlen(b, LONGEST);
  int row[LONGEST + 1];
  for (int j = 0; j <= m; j++) row[j] = j;
  for (int i = 1; i <= n; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
      int best = diagonal + !same;
      diagonal = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[m];
}

const char *am_str_nearest(const char *word, const char *const *words, int64_t count) {
  const char *best = NULL;
  int best_distance = 1 + (int)am_min_i64(3, ((int64_t)strlen(word) + 1) / 2);
  for (int64_t i = 0; i < count; i++) {
    int d = am_str_distance(word, words[i]);
    if (d < best_distance) {
      best_distance = d;
      best = words[i];
    }
  }
  return best;
}
