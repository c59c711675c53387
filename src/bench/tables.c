// Tables for people, made from results as JSON.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "bench/record.h"

static const char *text_of(json_t *row, const char *key) {
  const char *text = json_string_value(json_object_get(row, key));
  return text ? text : "";
}

static double number_of(json_t *row, const char *key) { return json_number_value(json_object_get(row, key)); }

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct {
  double low, median, high;  // NAN without values
} spread;

static spread spread_of(json_t *array) {
  double value[AM_BENCH_REPEATS_MAX];
  size_t n = json_array_size(array);
  if (n == 0 || n > AM_BENCH_REPEATS_MAX) return (spread){NAN, NAN, NAN};
  for (size_t i = 0; i < n; i++) value[i] = json_number_value(json_array_get(array, i));
  qsort(value, n, sizeof *value, compare_doubles);
  return (spread){value[0], (value[(n - 1) / 2] + value[n / 2]) / 2, value[n - 1]};
}

// Three significant digits, no exponent for what is common: "0.0123", "53.1", "1.53e+06".
static const char *digits(double x, char text[32]) {
  if (isfinite(x)) snprintf(text, 32, fabs(x) >= 1000 && fabs(x) < 1e6 ? "%.0f" : "%.3g", x);
  else snprintf(text, 32, "-");
  return text;
}

static const char *percent(double part, double whole, char text[32]) {
  if (isfinite(part) && part > 0 && whole > 0) snprintf(text, 32, "%.0f %%", 100 * part / whole);
  else snprintf(text, 32, "-");
  return text;
}

static am_err table_row(json_t *row, am_str *out) {
  char median[32], low[32], high[32], cpu[32], floor_text[32], reference[32];
  const double items = number_of(row, "items");
  spread sec = spread_of(json_object_get(row, "sec")), cpu_sec = spread_of(json_object_get(row, "cpu_sec"));
  spread other = spread_of(json_object_get(row, "reference_sec"));
  AM_TRY(am_str_printf(
      out, "%-18s %-4s %3.0f %-9s %9s %9s %9s %10s %8.0f %7s %9s\n", text_of(row, "name"), text_of(row, "precision"),
      number_of(row, "threads") * number_of(row, "ranks"), text_of(row, "unit"), digits(items / sec.median, median),
      digits(items / sec.high, low), digits(items / sec.low, high), digits(items / cpu_sec.median, cpu),
      number_of(row, "peak_bytes") / (1 << 20), percent(number_of(row, "floor_sec"), sec.median, floor_text),
      percent(other.median, sec.median, reference)));
  if (*text_of(row, "note")) AM_TRY(am_str_printf(out, "    %s\n", text_of(row, "note")));
  if (*text_of(row, "reference")) AM_TRY(am_str_printf(out, "    reference: %s\n", text_of(row, "reference")));
  return AM_OK;
}

am_err am_bench_table(json_t *rows, am_str *out) {
  json_t *row;
  size_t i;
  AM_TRY(am_str_printf(out, "%-18s %-4s %3s %-9s %9s %9s %9s %10s %8s %7s %9s\n", "row", "type", "thr", "unit", "median",
                       "min", "max", "per CPU-s", "peak MiB", "floor", "reference"));
  json_array_foreach(rows, i, row) AM_TRY(table_row(row, out));
  return AM_OK;
}

// ---- profile ----

static am_err profile_line(am_str *out, const char *name, double calls, double sec, double whole, double flops,
                           double bytes, double floor_sec) {
  char count[32], gflops[32], gbytes[32], floor_ms[32], ratio[32];
  return am_str_printf(out, "  %-30s %6s %9.2f %6.1f %% %9s %8s %9s %8s\n", name, digits(calls, count), 1e3 * sec,
                       100 * sec / whole, digits(flops > 0 ? flops / sec / 1e9 : NAN, gflops),
                       digits(bytes > 0 ? bytes / sec / 1e9 : NAN, gbytes),
                       digits(floor_sec > 0 ? 1e3 * floor_sec : NAN, floor_ms),
                       digits(floor_sec > 0 ? sec / floor_sec : NAN, ratio));
}

am_err am_bench_profile_table(json_t *row, am_str *out) {
  json_t *profile = json_object_get(row, "profile"), *families = json_object_get(profile, "families"), *f;
  json_t *rates = json_object_get(row, "rates");
  size_t i;
  if (!profile) return am_str_printf(out, "%s has no profile: it computes on no device\n", text_of(row, "name"));
  double whole = number_of(profile, "sec");
  AM_TRY(am_str_printf(out,
                       "%s %s, one step; floors by %.0f GFLOP/s fp32, %.0f bf16; %.1f GB/s read, %.1f copied, %.1f "
                       "updated\n  %-30s %6s %9s %8s %9s %8s %9s %8s\n",
                       text_of(row, "name"), text_of(row, "precision"), number_of(rates, "f32_flops") / 1e9,
                       number_of(rates, "bf16_flops") / 1e9, number_of(rates, "read_bytes") / 1e9,
                       number_of(rates, "copy_bytes") / 1e9, number_of(rates, "update_bytes") / 1e9, "family", "calls", "ms", "share", "GFLOP/s", "GB/s",
                       "floor ms", "x floor"));
  json_array_foreach(families, i, f) {
    AM_TRY(profile_line(out, text_of(f, "name"), number_of(f, "calls"), number_of(f, "sec"), whole,
                        number_of(f, "flops"), number_of(f, "bytes"), number_of(f, "floor_sec")));
  }
  AM_TRY(profile_line(out, "host: between the ops", NAN, whole - number_of(profile, "dispatch_sec"), whole, 0, 0, 0));
  return profile_line(out, "the step", NAN, whole, whole, 0, 0, number_of(row, "floor_sec"));
}

// ---- comparison ----

static am_err compare_machines(json_t *now, json_t *old, am_str *out) {
  const char *key;
  json_t *value;
  json_object_foreach(now, key, value) {
    json_t *before = json_object_get(old, key);
    if (json_equal(value, before) || strcmp(key, "commit") == 0) continue;
    char *a = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));
    char *b = before ? json_dumps(before, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4)) : NULL;
    am_err err = am_str_printf(out, "warning: %s differs: %s now, %s before\n", key, a ? a : "?", b ? b : "unknown");
    free(a);
    free(b);
    if (err) return err;
  }
  return AM_OK;
}

static bool same_work(json_t *a, json_t *b) {
  return strcmp(text_of(a, "name"), text_of(b, "name")) == 0 &&
         strcmp(text_of(a, "precision"), text_of(b, "precision")) == 0 &&
         strcmp(text_of(a, "unit"), text_of(b, "unit")) == 0 && number_of(a, "ranks") == number_of(b, "ranks");
}

static am_err compare_row(json_t *row, json_t *before, am_str *out) {
  char now_text[32], old_text[32];
  double now = number_of(row, "items") / spread_of(json_object_get(row, "sec")).median;
  double old = number_of(before, "items") / spread_of(json_object_get(before, "sec")).median;
  const char *but = "";
  if (strcmp(text_of(row, "device"), text_of(before, "device")) != 0) but = "  other device or engines";
  if (number_of(row, "threads") != number_of(before, "threads")) but = "  other number of threads";
  AM_TRY(am_str_printf(out, "%-18s %-4s %-9s %9s %9s %6.2fx%s\n", text_of(row, "name"), text_of(row, "precision"),
                       text_of(row, "unit"), digits(now, now_text), digits(old, old_text), now / old, but));
  return AM_OK;
}

am_err am_bench_compare(json_t *now, json_t *old, am_str *out) {
  json_t *row, *before, *old_rows = json_object_get(old, "rows");
  size_t i, k;
  AM_TRY(compare_machines(json_object_get(now, "machine"), json_object_get(old, "machine"), out));
  AM_TRY(am_str_printf(out, "%-18s %-4s %-9s %9s %9s %7s\n", "row", "type", "unit", "now", "before", "ratio"));
  json_array_foreach(json_object_get(now, "rows"), i, row) {
    json_array_foreach(old_rows, k, before) {
      if (!same_work(row, before)) continue;
      AM_TRY(compare_row(row, before, out));
      break;
    }
    if (k == json_array_size(old_rows))
      AM_TRY(am_str_printf(out, "%-18s %-4s was not measured before\n", text_of(row, "name"), text_of(row, "precision")));
  }
  return AM_OK;
}
