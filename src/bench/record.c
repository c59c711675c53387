#include "bench/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/path.h"
#include "bench/machine.h"

static const char FORMAT[] = "augmint-bench-1";
enum { FILE_BYTES_MAX = 16 << 20 };

// ---- one row to JSON ----

double am_bench_memory_rate(const am_bench_rates *rates) {
  return fmax(fmax(rates->read_bytes, rates->copy_bytes), rates->update_bytes);
}

// Elementwise ops, normalisation and pooling can in principle be done while a neighbour has the values in
// registers; convolutions, products and updates are what a step cannot do without.
static double floor_sec(const am_bench_record *r) {
  static const am_op_family needed[] = {AM_FAMILY_CONV_FORWARD, AM_FAMILY_CONV_DATA, AM_FAMILY_CONV_WEIGHT,
                                        AM_FAMILY_MATMUL, AM_FAMILY_UPDATE};
  double sum = r->work.bytes / am_bench_memory_rate(&r->rates);
  for (int64_t i = 0; i < AM_COUNT_OF(needed); i++) sum += am_profile_family(&r->profile, needed[i]).floor_sec;
  return sum;
}

static json_t *array_of(const double *value, int count) {
  json_t *array = json_array();
  for (int i = 0; array && i < count; i++) json_array_append_new(array, json_real(value[i]));
  return array;
}

static json_t *profile_json(const am_bench_record *r) {
  json_t *families = json_array();
  for (int f = 0; families && f < AM_FAMILY_COUNT; f++) {
    am_tally t = am_profile_family(&r->profile, (am_op_family)f);
    if (t.calls == 0) continue;
    json_array_append_new(families, json_pack("{s:s, s:I, s:f, s:I, s:I, s:f}", "name",
                                              am_op_family_text((am_op_family)f), "calls", (json_int_t)t.calls,
                                              "sec", t.sec, "bytes", (json_int_t)t.bytes, "flops",
                                              (json_int_t)t.flops, "floor_sec", t.floor_sec));
  }
  return json_pack("{s:f, s:f, s:o*}", "sec", r->profile_sec, "dispatch_sec", r->profile.dispatch_sec, "families",
                   families);
}

am_err am_bench_record_to_json(const am_bench_record *r, json_t **out) {
  const am_bench_row *row = r->row;
  const char *precision = row->flags & AM_BENCH_NETWORK ? r->precision : "";
  json_t *j = json_pack(
      "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:f, s:f, s:I, s:I, s:f, s:o*, s:o*, s:o*}", "name", row->name,
      "unit", row->unit, "note", r->work.note, "reference", row->reference ? row->reference_doc : "", "precision",
      precision, "device", r->device, "threads", r->threads, "ranks", r->ranks, "steps", (json_int_t)r->steps, "items", r->work.items,
      "check", r->check, "peak_bytes", (json_int_t)r->peak_bytes, "idle_bytes", (json_int_t)r->idle_bytes,
      "floor_sec", floor_sec(r), "sec", array_of(r->sec, r->repeats), "cpu_sec", array_of(r->cpu_sec, r->repeats),
      "reference_sec", array_of(r->reference_sec, row->reference ? r->repeats : 0));
  json_t *rates = json_pack("{s:f, s:f, s:f, s:f, s:f}", "f32_flops", r->rates.f32_flops, "bf16_flops",
                            r->rates.bf16_flops, "read_bytes", r->rates.read_bytes, "copy_bytes",
                            r->rates.copy_bytes, "update_bytes", r->rates.update_bytes);
  bool complete = j && rates && !json_object_set_new(j, "rates", rates);
  if (complete && r->profile.dispatch_sec > 0) complete = !json_object_set_new(j, "profile", profile_json(r));
  if (!complete) {
    json_decref(j);
    return AM_FAIL(AM_ERR_NOMEM, "out of memory for the results of %s", row->name);
  }
  *out = j;
  return AM_OK;
}

// ---- whole results ----

am_err am_bench_results_new(json_t **out) {
  am_machine machine;
  json_t *description = NULL;
  am_machine_read(&machine);
  AM_TRY(am_machine_to_json(&machine, &description));
  json_t *j = json_pack("{s:s, s:o, s:[]}", "format", FORMAT, "machine", description, "rows");
  AM_CHECK(j, AM_ERR_NOMEM, "out of memory for results");
  *out = j;
  return AM_OK;
}

am_err am_bench_results_write(json_t *results, const char *path) {
  char *text = json_dumps(results, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
  AM_CHECK(text, AM_ERR_NOMEM, "out of memory for %s", path);
  am_err err = am_file_write(path, text, strlen(text));
  free(text);
  return err;
}

// What every reader of a row relies on.
static am_err check_row(json_t *row) {
  static const char *const texts[] = {"name", "unit", "note", "reference", "precision"};
  static const char *const numbers[] = {"threads", "ranks", "items", "peak_bytes", "idle_bytes", "floor_sec"};
  static const char *const arrays[] = {"sec", "cpu_sec", "reference_sec"};
  AM_CHECK(json_is_object(row), AM_ERR_DATA, "is no object");
  for (int64_t i = 0; i < AM_COUNT_OF(texts); i++)
    AM_CHECK(json_is_string(json_object_get(row, texts[i])), AM_ERR_DATA, "has no text \"%s\"", texts[i]);
  for (int64_t i = 0; i < AM_COUNT_OF(numbers); i++)
    AM_CHECK(json_is_number(json_object_get(row, numbers[i])), AM_ERR_DATA, "has no number \"%s\"", numbers[i]);
  for (int64_t i = 0; i < AM_COUNT_OF(arrays); i++) {
    json_t *array = json_object_get(row, arrays[i]), *value;
    size_t k;
    AM_CHECK(json_is_array(array) && json_array_size(array) <= AM_BENCH_REPEATS_MAX, AM_ERR_DATA,
             "has no array \"%s\" of at most %d numbers", arrays[i], AM_BENCH_REPEATS_MAX);
    json_array_foreach(array, k, value)
      AM_CHECK(json_is_number(value), AM_ERR_DATA, "has something else than a number in \"%s\"", arrays[i]);
  }
  AM_CHECK(json_array_size(json_object_get(row, "sec")) > 0, AM_ERR_DATA, "has no time in \"sec\"");
  return AM_OK;
}

static am_err check_results(json_t *j) {
  const char *format = json_string_value(json_object_get(j, "format"));
  json_t *rows = json_object_get(j, "rows"), *row;
  size_t i;
  AM_CHECK(format && strcmp(format, FORMAT) == 0, AM_ERR_DATA, "\"format\" is not \"%s\"", FORMAT);
  AM_CHECK(json_is_object(json_object_get(j, "machine")), AM_ERR_DATA, "there is no object \"machine\"");
  AM_CHECK(json_is_array(rows), AM_ERR_DATA, "there is no array \"rows\"");
  json_array_foreach(rows, i, row) {
    am_err err = check_row(row);
    if (err) am_err_prefix("row %zu", i + 1);
    if (err) return err;
  }
  return AM_OK;
}

am_err am_bench_results_read(const char *path, json_t **out) {
  am_err err = AM_OK;
  char *text = NULL;
  size_t bytes = 0;
  json_t *j = NULL;
  json_error_t error;
  AM_GO(done, am_file_read(path, FILE_BYTES_MAX, &text, &bytes));
  j = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  AM_CHECK_GO(done, j, AM_ERR_DATA, "%s is not JSON: line %d: %s", path, error.line, error.text);
  err = check_results(j);
  if (err) am_err_prefix("%s is no result of augmint bench", path);
  if (err) goto done;
  *out = j;
  j = NULL;
done:
  json_decref(j);
  free(text);
  return err;
}
