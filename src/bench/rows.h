// The rows there are, for the table in bench.c.
#ifndef AM_BENCH_ROWS_H
#define AM_BENCH_ROWS_H

#include "bench/bench.h"
#include "data/dataset.h"

// rows_train.c: a training step on images in memory
extern const am_bench_row am_row_resnet18_32, am_row_resnet18_64, am_row_resnet50_224;

// ---- what rows share (drawn.c) ----
// A shard of `count` raw images, size x size x 3, of noise; labels go round the classes.
AM_MUST_USE am_err am_bench_draw_shard(const char *path, int64_t count, int64_t size, int64_t classes);
// The same as a data set in the row's scratch folder.
AM_MUST_USE am_err am_bench_draw_dataset(const am_bench *b, int64_t count, int64_t size, int64_t classes,
                                         am_dataset **out);

#endif
