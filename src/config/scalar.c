// What a scalar means: numbers and booleans by the YAML 1.2 rules of node.h, and back to text.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/node.h"

static const char *skip_digits(const char *p) {
  while (*p >= '0' && *p <= '9') p++;
  return p;
}

// [-+]? (digits [. digits?] | . digits) ([eE] [-+]? digits)?   strtod alone would take "0x1p3",
// "inf" and "nan" as well.
bool am_text_is_number(const char *text, double *out) {
  const char *p = text + (*text == '-' || *text == '+');
  const char *whole = p;
  p = skip_digits(p);
  int64_t digits = p - whole;
  if (*p == '.') {
    const char *fraction = ++p;
    p = skip_digits(p);
    digits += p - fraction;
  }
  if (digits == 0) return false;
  if (*p == 'e' || *p == 'E') {
    p++;
    if (*p == '-' || *p == '+') p++;
    const char *exponent = p;
    p = skip_digits(p);
    if (p == exponent) return false;
  }
  if (*p) return false;
  double x = strtod(text, NULL);
  if (!isfinite(x)) return false;  // 1e999
  *out = x;
  return true;
}

bool am_text_is_bool(const char *text, bool *out) {
  static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
  for (int i = 0; i < 3; i++) {
    bool is_yes = !strcmp(text, yes[i]);
    if (!is_yes && strcmp(text, no[i])) continue;
    *out = is_yes;
    return true;
  }
  return false;
}

bool am_text_is_null(const char *text) {
  return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
         !strcmp(text, "NULL");
}

// Every integer up to here is a double, and the next one is not.
#define EXACT_INTEGER 9007199254740992.0

const char *am_number_text(double x, char text[AM_NUMBER_TEXT]) {
  if (x == floor(x) && fabs(x) <= EXACT_INTEGER) {
    snprintf(text, AM_NUMBER_TEXT, "%lld", (long long)x);
    return text;
  }
  for (int digits = 1; digits <= DBL_DECIMAL_DIG; digits++) {
    snprintf(text, AM_NUMBER_TEXT, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  return text;
}

static bool scalar_number(const am_node *n, double *out) {
  return n->kind == AM_NODE_SCALAR && !n->quoted && am_text_is_number(n->text, out);
}

bool am_text_is_integer(const char *text, int64_t *out) {
  double x;
  if (text[strspn(text, "+-0123456789")] || !am_text_is_number(text, &x) || fabs(x) >= 0x1p63) return false;
  *out = strtoll(text, NULL, 10);
  return true;
}

am_err am_node_i64(const am_node *n, int64_t *out) {
  char shown[AM_NODE_TEXT];
  double x = 0;
  if (!scalar_number(n, &x))
    return am_node_fail(n, "%s, expected a whole number", am_node_describe(n, shown));
  if (am_text_is_integer(n->text, out)) return AM_OK;
  if (x != floor(x) || fabs(x) > EXACT_INTEGER) {
    return am_node_fail(n, "%s, expected a whole number", am_node_describe(n, shown));
  }
  *out = (int64_t)x;
  return AM_OK;
}

am_err am_node_f64(const am_node *n, double *out) {
  char shown[AM_NODE_TEXT];
  double x = 0;
  if (!scalar_number(n, &x)) return am_node_fail(n, "%s, expected a number", am_node_describe(n, shown));
  *out = x;
  return AM_OK;
}

am_err am_node_bool(const am_node *n, bool *out) {
  char shown[AM_NODE_TEXT];
  bool x = false;
  if (n->kind != AM_NODE_SCALAR || n->quoted || !am_text_is_bool(n->text, &x)) {
    return am_node_fail(n, "%s, expected true or false", am_node_describe(n, shown));
  }
  *out = x;
  return AM_OK;
}

am_err am_node_str(const am_node *n, const char **out) {
  char shown[AM_NODE_TEXT];
  if (n->kind != AM_NODE_SCALAR) return am_node_fail(n, "%s, expected a text", am_node_describe(n, shown));
  *out = n->text;
  return AM_OK;
}

am_err am_node_words(const am_node *n, const char ***out, int64_t *count) {
  const char **words = NULL;
  am_err err = AM_OK;
  if (n->kind == AM_NODE_MAP || n->kind == AM_NODE_NULL)
    return am_node_fail(n, "expected a word or a list of words");
  int64_t total = n->kind == AM_NODE_LIST ? n->count : 1;
  AM_TRY(AM_NEW_ARRAY(&words, total));
  for (int64_t i = 0; i < total; i++)
    AM_GO(failed, am_node_str(n->kind == AM_NODE_LIST ? n->item[i] : n, &words[i]));
  *out = words;
  *count = total;
  return AM_OK;
failed:
  free(words);
  return err;
}
