#include "train/eval.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "dist/collective.h"
#include "metrics/metrics.h"

struct am_evaluator {
  am_model *model;   // borrowed
  am_dataset *data;  // borrowed
  am_transform transform;
  am_dtype compute;
  int64_t batch_size, channels, classes;
  am_graph *graph;  // owned, not recording
  am_transform_work work;
  float *input;     // owned: (batch_size, c, h, w)
  float *logits;    // owned: (batch_size, classes)
  int32_t *label;   // owned: (batch_size)
};

am_err am_evaluator_new(am_model *model, am_dataset *data, am_transform transform, am_dtype compute,
                        int64_t batch_size, am_evaluator **out) {
  am_err err = AM_OK;
  am_evaluator *e = NULL;
  am_device *dev = am_params_values(model->params)->device;
  AM_CHECK(model->def->role == AM_ROLE_CLASSIFIER, AM_ERR_ARG, "%s is not a classifier", model->def->name);
  AM_TRY(AM_NEW(&e));
  *e = (am_evaluator){.model = model,
                      .data = data,
                      .transform = transform,
                      .compute = compute,
                      .batch_size = batch_size,
                      .classes = model->cfg.classes};
  int64_t height, width;
  am_dataset_image_shape(data, &height, &width, &e->channels);
  AM_GO(done, am_graph_new(dev, &e->graph));
  am_graph_record(e->graph, false);
  AM_GO(done, AM_NEW_ARRAY(&e->input, batch_size * e->channels * transform.out_height * transform.out_width));
  AM_GO(done, AM_NEW_ARRAY(&e->logits, batch_size * e->classes));
  AM_GO(done, AM_NEW_ARRAY(&e->label, batch_size));
  *out = e;
  e = NULL;
done:
  am_evaluator_free(e);
  return err;
}

void am_evaluator_free(am_evaluator *e) {
  if (!e) return;
  am_graph_free(e->graph);
  am_transform_work_fini(&e->work);
  free(e->input);
  free(e->logits);
  free(e->label);
  free(e);
}

static am_err load_rows(am_evaluator *e, int64_t first, int64_t count) {
  int64_t row = e->channels * e->transform.out_height * e->transform.out_width;
  memset(e->input, 0, (size_t)(e->batch_size * row) * sizeof *e->input);
  for (int64_t i = 0; i < count; i++)
    AM_TRY(am_transform_item(&e->transform, e->data, first + i, 0, 0, &e->work, e->input + i * row));
  return AM_OK;
}

am_err am_evaluator_block(am_evaluator *e, int64_t first, int64_t count, float *logits) {
  AM_TRY(am_peer_check());
  AM_TRY(load_rows(e, first, count));
  am_graph *g = e->graph;
  am_pass pass = {.graph = g, .compute = e->compute};
  am_tensor *x = NULL, *y = NULL;
  am_shape shape = AM_SHAPE(e->batch_size, e->channels, e->transform.out_height, e->transform.out_width);
  am_err err = AM_OK;
  AM_GO(done, am_tensor_from_host(am_graph_device(g), AM_F32, shape, e->input, &x));
  AM_GO(done, am_graph_own(g, x));
  AM_GO(done, am_model_forward(e->model, &pass, x, &y));
  AM_CHECK_GO(done, am_tensor_count(y) == e->batch_size * e->classes, AM_ERR_INTERNAL,
              "%s gives %lld logits for %lld images", e->model->def->name, (long long)am_tensor_count(y),
              (long long)e->batch_size);
  AM_GO(done, am_tensor_to_host(y, e->logits));
  memcpy(logits, e->logits, (size_t)(count * e->classes) * sizeof *logits);
done:
  am_graph_reset(g);
  return err;
}

// Sums of one block, in out[0..count).
static am_err block_sums(am_evaluator *e, int64_t block, const am_metric *const *metric, int count,
                         float *logits, double *out) {
  int64_t first = block * e->batch_size, n = am_min_i64(e->batch_size, am_dataset_count(e->data) - first);
  AM_TRY(am_evaluator_block(e, first, n, logits));
  for (int64_t i = 0; i < n; i++) e->label[i] = am_dataset_label(e->data, first + i);
  am_predictions p = {.logits = logits, .label = e->label, .n = n, .k = e->classes};
  for (int m = 0; m < count; m++) {
    AM_TRY(metric[m]->compute(&p, &out[m]));
    out[m] *= (double)n;
  }
  return AM_OK;
}

am_err am_evaluator_means(am_evaluator *e, am_comm *c, const char *const *name, int count, double *out) {
  enum { MAX_METRICS = 8 };
  const am_metric *metric[MAX_METRICS];
  double *sums = NULL, **block_sum = NULL, total[MAX_METRICS];
  float *logits = NULL;
  int64_t items = am_dataset_count(e->data), blocks = am_ceil_div(items, e->batch_size), first, mine;
  am_err err = AM_OK;
  AM_CHECK(count <= MAX_METRICS && items > 0, AM_ERR_ARG, "%d metrics of %lld images", count,
           (long long)items);
  am_partition(blocks, am_comm_size(c), am_comm_rank(c), &first, &mine);
  AM_GO(agree, AM_NEW_ARRAY(&sums, mine * count));
  AM_GO(agree, AM_NEW_ARRAY(&block_sum, mine));
  AM_GO(agree, AM_NEW_ARRAY(&logits, e->batch_size * e->classes));
  for (int m = 0; m < count; m++) {
    metric[m] = am_metric_find(name[m]);
    AM_CHECK_GO(agree, metric[m], AM_ERR_ARG, "unknown metric %s", name[m]);
  }
  for (int64_t b = 0; b < mine; b++) {
    block_sum[b] = sums + b * count;
    AM_GO(agree, block_sums(e, first + b, metric, count, logits, block_sum[b]));
  }
agree:
  err = am_agree(c, err);
  if (!err) err = am_reduce_slices_f64(c, block_sum, blocks, count, total);
  for (int m = 0; m < count && !err; m++) out[m] = total[m] / (double)items;
  free(sums);
  free(block_sum);
  free(logits);
  return err;
}

am_err am_classifier_logits(am_model *model, am_dataset *data, am_transform transform, am_dtype compute,
                            int64_t batch_size, float *logits) {
  am_evaluator *e = NULL;
  am_err err = am_evaluator_new(model, data, transform, compute, batch_size, &e);
  for (int64_t at = 0; at < am_dataset_count(data) && !err; at += batch_size) {
    err = am_evaluator_block(e, at, am_min_i64(batch_size, am_dataset_count(data) - at),
                             logits + at * e->classes);
  }
  am_evaluator_free(e);
  return err;
}
