// results/<experiment>/results.h5: everything an experiment showed, readable with h5py alone.
//
// Attributes of /: format "augmint-results-2", name, question, paper_id, paper_where, tiny (0|1),
// config (canonical text), provenance (JSON text), devices (text), reference (arm), notes (one a
// line), watch (the split that histories watch), budget (of a comparison: what was made equal). Tables are groups of equally long one-dimensional data sets (columns); text columns are
// fixed-length UTF-8, zero-padded. Missing numbers are NaN. Contiguous, unfiltered, no timestamps.
//
//   /cells     id arm model draw seed(i64) address status("done"|"failed"|"missing") error
//              train_images(i64) seconds(f64) device_seconds(f64) stand_in("" or what stands for what)
//              epochs(i64) steps(i64: updates of the optimiser, as planned) fit_device_seconds(f64)
//              generate_device_seconds(f64): of the generators and pools that it learned from, whole
//              loss("loss"|"double_softmax_loss": the metric that watch_loss is)
//   /metrics   cell(i64: row of /cells) split metric unit better("higher"|"lower") value(f64) n(i64)
//   /history   cell(i64) epoch(i64) column value(f64)                       long form
//   /fits      id generator class_name run(i64) draw seed(i64) address status error seconds(f64) images(i64)
//              device_seconds(f64)
//   /fit_history  fit(i64: row of /fits) epoch(i64) column value(f64)
//   /pools     id generator draw seed(i64) address status images(i64) seconds(f64)
//              device_seconds(f64)
//   /rows      the result table, as table.csv: arm model split metric unit n_seeds(i64) ours_mean(f64)
//              ours_sd(f64) published(f64) difference(f64) verdict then n_draws(i64) sd_draws(f64)
//              vs_reference(f64) ci_lo(f64) ci_hi(f64) reference note n_pairs(i64) t_lo(f64) t_hi(f64)
//              p(f64) p_min(f64) p_method("exact"|"random")
//   /published arm split metric value(f64) tolerance(f64) reason("" or why it cannot be reproduced)
//   /spent     arm model cells(i64) epochs(f64) steps(f64) train_device_sec(f64) fit_device_sec(f64)
//              generate_device_sec(f64): means over trained cells; taken_at(f64): comparisons only, where
//              in units of the budget values were taken before the end; NaN: at the end
//   /splits    draw split address images(i64)                               which images a split is
//   /predictions/<cell row>/<split>/{logits (n, k) f32, label (n) i32}
//   /confusion/<cell row>/<split>   (k, k) i64, [true][predicted]; attribute class_names (texts)
//   /samples/<pool id, '/' as ':'>  (n, h, w, 3 or 1) u8, the first images of each class; attribute label (n, i64)
//   /real/<split>                   (n, h, w, 3 or 1) u8 likewise, real images of that split (first draw)
#ifndef AM_REPORT_RESULTS_H
#define AM_REPORT_RESULTS_H

#include "base/str.h"
#include "report/frame.h"

typedef struct am_results am_results;

// Empty frames with the columns above: cells metrics history fits fit_history pools rows published.
AM_MUST_USE am_err am_results_new(am_results **out);
void am_results_free(am_results *r);
am_frame *am_results_frame(am_results *r, const char *name);  // borrowed; NULL when unknown
AM_MUST_USE am_err am_results_set_attr(am_results *r, const char *name, const char *text);
const char *am_results_attr(const am_results *r, const char *name);  // "" when absent
// Arrays by path ("predictions/3/test/logits"): copied in, replacing an earlier one.
typedef enum { AM_ARRAY_U8, AM_ARRAY_I32, AM_ARRAY_I64, AM_ARRAY_F32 } am_array_type;
typedef struct {
  char *path;  // owned, as everything here, by the results
  am_array_type type;
  int ndim;
  int64_t dim[4];
  void *data;
  int64_t *label;  // NULL, or label_count values: attribute `label`
  int64_t label_count;
  char **class_name;  // NULL, or class_count texts: attribute `class_names`
  int64_t class_count;
} am_array;
AM_MUST_USE am_err am_results_put_array(am_results *r, const char *path, am_array_type type, int ndim,
                                        const int64_t *dim, const void *data);
// Attributes of an array that is there. Errors: AM_ERR_ARG no such array.
AM_MUST_USE am_err am_results_label_array(am_results *r, const char *path, const int64_t *label,
                                          int64_t count);
AM_MUST_USE am_err am_results_name_classes(am_results *r, const char *path, const char *const *name,
                                           int64_t count);
const am_array *am_results_array(const am_results *r, const char *path);  // NULL when absent
int64_t am_results_array_count(const am_results *r);
const am_array *am_results_array_at(const am_results *r, int64_t i);  // ordered by path
// Whole file, atomically. Equal content gives equal bytes.
AM_MUST_USE am_err am_results_write(const am_results *r, const char *path);
AM_MUST_USE am_err am_results_read(const char *path, am_results **out);  // foreign bytes: checked

// Fills /rows from cells, metrics and published, one row for each arm, model, split and metric:
//   n_seeds, n_draws   seeds of a draw (the most any draw has) and draws that gave a value
//   ours_mean          mean of the draws' means; ours_sd: between trainings on one draw; sd_draws: between
//                      draws (variance components, am_spread; NaN where there is one draw)
//   difference         ours_mean - published
//   vs_reference       mean difference to the reference arm over n_pairs pairs of the same draw and seed
//     ci_lo, ci_hi     its 95 % bootstrap interval; p, p_min, p_method: its sign-flip test (am_comparison)
//     t_lo, t_hi       Student's 95 % interval, over draws, or over seeds when there is one draw
//   verdict            where a number was published: `reproduced` (|difference| <= tolerance),
//                      `differs`, `not reproducible` (note says why), `not run`, or `tiny`
// reference_arm "" or NULL: the first arm. Errors: AM_ERR_CONFIG no such arm.
AM_MUST_USE am_err am_results_compute_rows(am_results *r, const char *reference_arm);
// The result table for a terminal, at most 110 columns: what `augmint run` ends with.
AM_MUST_USE am_err am_report_text(am_results *r, am_str *out);
// Renders /rows as table.txt .md .csv .tex and report.html, and /spent as spent.csv, into dir. Tiny runs, missing and failed
// cells are marked in each.
AM_MUST_USE am_err am_report_write(am_results *r, const char *dir);

#endif
