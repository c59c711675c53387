// results/<experiment>/results.h5: everything an experiment showed, readable with h5py alone.
//
// Attributes of /: format "augmint-results-1", name, question, paper_id, paper_where, tiny (0|1),
// config (canonical text), provenance (JSON text), devices (text). Tables are groups of equally
// long one-dimensional data sets (columns); text columns are fixed-length UTF-8, zero-padded.
// Missing numbers are NaN. Contiguous, unfiltered, no timestamps.
//
//   /cells     id arm model draw seed(i64) address status("done"|"failed"|"missing") error
//              train_images(i64) seconds(f64) device_seconds(f64)
//   /metrics   cell(i64: row of /cells) split metric unit better("higher"|"lower") value(f64) n(i64)
//   /history   cell(i64) epoch(i64) column value(f64)                       long form
//   /fits      id generator class_name run(i64) draw seed(i64) address status error seconds(f64) images(i64)
//   /fit_history  fit(i64: row of /fits) epoch(i64) column value(f64)
//   /pools     id generator draw seed(i64) address status images(i64) seconds(f64)
//   /rows      the result table, as table.csv: arm model split metric unit n_seeds(i64) ours_mean(f64)
//              ours_sd(f64) published(f64) difference(f64) verdict then sd_draws(f64) ci_lo(f64)
//              ci_hi(f64) reference note
//   /published arm split metric value(f64) tolerance(f64)
//   /predictions/<cell row>/<split>/{logits (n, k) f32, label (n) i32}
//   /confusion/<cell row>/<split>   (k, k) i64, [true][predicted]; attribute class_names
//   /samples/<pool id, '/' as ':'>  (n, h, w, 3) u8, the first images of each class; attribute label (n)
//   /real/<split>                   (n, h, w, 3) u8 likewise, real images of that split (first draw)
#ifndef AM_REPORT_RESULTS_H
#define AM_REPORT_RESULTS_H

#include "report/frame.h"

typedef struct am_results am_results;

// Empty frames with the columns above: cells metrics history fits fit_history pools rows published.
AM_MUST_USE am_err am_results_new(am_results **out);
void am_results_free(am_results *r);
am_frame *am_results_frame(am_results *r, const char *name);  // borrowed; NULL when unknown
AM_MUST_USE am_err am_results_set_attr(am_results *r, const char *name, const char *text);
const char *am_results_attr(const am_results *r, const char *name);  // "" when absent
// Arrays by path ("predictions/3/test/logits"): copied in; attribute text may be NULL.
typedef enum { AM_ARRAY_U8, AM_ARRAY_I32, AM_ARRAY_I64, AM_ARRAY_F32 } am_array_type;
typedef struct {
  char *path;          // owned by the results
  am_array_type type;
  int ndim;
  int64_t dim[4];
  void *data;
} am_array;
AM_MUST_USE am_err am_results_put_array(am_results *r, const char *path, am_array_type type, int ndim, const int64_t *dim, const void *data);
const am_array *am_results_array(const am_results *r, const char *path);  // NULL when absent
// Whole file, atomically. Equal content gives equal bytes.
AM_MUST_USE am_err am_results_write(const am_results *r, const char *path);
AM_MUST_USE am_err am_results_read(const char *path, am_results **out);  // foreign bytes: checked

// /rows from cells, metrics and published: mean and sd over seeds and draws (kept apart), the
// difference to the reference arm paired on (draw, seed) with its 95 % interval, the verdict.
AM_MUST_USE am_err am_results_compute_rows(am_results *r, const char *reference_arm);
// Renders /rows as table.txt .md .csv .tex and report.html into dir. Tiny runs are marked in each.
AM_MUST_USE am_err am_report_write(am_results *r, const char *dir);

#endif
