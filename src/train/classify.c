// Training a classifier: forward, loss, backward for each slice of a batch, one update per group.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "dist/collective.h"
#include "nn/loss.h"
#include "tensor/augment.h"
#include "tensor/later.h"
#include "tensor/replay.h"
#include "train/ddp.h"
#include "train/eval.h"
#include "train/trainer.h"

// What an epoch showed so far, of one slice.
enum { SUM_LOSS, SUM_CORRECT, SUM_IMAGES, SUM_COUNT };

enum { RESULT_LOSS, RESULT_LOGITS, RESULT_COUNT };

// Rows of a batch that are computed together.
typedef struct {
  int64_t first, count;        // rows of the batch
  am_tensor *images, *target;  // borrowed from the step
} slice;

typedef struct {
  const am_classify_job *job;  // borrowed
  am_graph *graph;             // owned: one slice after the other
  am_ddp *ddp;                 // owned
  am_optim *optim;             // owned
  am_ema *ema;                 // owned; NULL without
  am_evaluator *watch;         // owned; NULL without
  am_lr_cfg schedule;
  am_dtype compute;
  double lr;  // of the last update
  int64_t first_slice, local_slices;
  double *sums;        // owned: (local_slices, SUM_COUNT)
  double **sum_row;    // owned: its rows
  am_later *later;     // owned: losses and logits on their way
  am_replay *replay;   // owned: steps that came before
  slice *slice;        // owned: of this rank
  am_tensor **result;  // owned: (local_slices, RESULT_COUNT), each borrowed from the step
  float *target;       // owned: (batch_size, classes) at most
  const am_step *at;   // borrowed: of the step under way
} classifier;

// Random numbers of row r of a batch come from stream first_stream + r.
static uint64_t first_stream(const am_step *at) { return (uint64_t)at->batch_number << 20; }

// ---- inputs of one slice ----

static am_err load_images(classifier *c, const am_batch *batch, slice *s) {
  const am_classify_job *job = c->job;
  const am_transform *tr = &job->transform;
  const int64_t height = tr->out_height, width = tr->out_width;
  int64_t ignored, channels;
  am_dataset_image_shape(job->data, &ignored, &ignored, &channels);
  AM_TRY(am_replay_place(c->replay, AM_F32, AM_SHAPE(s->count, channels, height, width), &s->images));
  if (!batch->bytes) return am_tensor_copy_from_host(s->images, batch->image + s->first * channels * height * width);
  return am_device_augment(tr->program, batch->bytes + s->first * tr->bytes, batch->param + s->first * tr->params, s->images);
}

static am_err load_targets(classifier *c, const am_batch *batch, slice *s) {
  const int64_t classes = c->job->model->cfg.classes;
  AM_TRY(am_one_hot(batch->label + s->first, s->count, classes, c->job->cfg.label_smoothing, c->target));
  return am_replay_input(c->replay, AM_F32, AM_SHAPE(s->count, classes), c->target, &s->target);
}

static am_err load_slices(classifier *c, const am_batch *batch) {
  for (int64_t k = 0; k < c->local_slices; k++) {
    slice *s = &c->slice[k];
    am_ddp_slice_rows(c->ddp, batch->count, k, &s->first, &s->count);
    if (s->count == 0) continue;
    AM_TRY(load_images(c, batch, s));
    AM_TRY(load_targets(c, batch, s));
  }
  return AM_OK;
}

// ---- one slice ----

static am_err compute_loss(classifier *c, am_tensor *logits, am_tensor *target, am_tensor **loss) {
  if (strcmp(c->job->cfg.loss, "double_softmax") == 0)
    return am_loss_double_softmax(c->graph, logits, target, loss);
  return am_loss_cross_entropy(c->graph, logits, target, loss);
}

// Gradients of (rows of the slice / rows of the group) * mean loss of the slice: their sum over the
// slices and batches of a group is the gradient of the group's mean loss.
static am_err backward(classifier *c, const am_step *at, int64_t local, int64_t count, am_tensor *loss) {
  am_tensor *seed = NULL;
  int leaves;
  bool last = at->group_last && local == c->local_slices - 1 && am_comm_size(c->job->comm) > 1;
  AM_TRY(am_fill(c->graph, loss->dtype, loss->shape, (double)count / (double)at->group_rows, &seed));
  am_grad_desc d = {.y = &loss,
                    .y_count = 1,
                    .seed = &seed,
                    .x = am_params_leaves(c->job->model->params, &leaves),
                    .sink = am_ddp_sinks(c->ddp, local),
                    .accumulate = !at->group_first,
                    .on_ready = last ? am_ddp_ready : NULL,
                    .user = c->ddp};
  d.x_count = leaves;
  return am_grad(c->graph, &d, NULL);
}

// ---- what an epoch showed ----

typedef struct {
  am_step at;
  int64_t local, count, classes;
  int32_t label[];  // (count)
} slice_note;

static am_err count_results(void *self, const void *note, const float *const *value) {
  classifier *c = self;
  const slice_note *n = note;
  const double mean = value[0][0];
  double *sum = c->sum_row[n->local];
  AM_CHECK(isfinite(mean), AM_ERR_NUMERIC, "%s: the loss is %g at epoch %" PRId64 " step %" PRId64,
           c->job->label, mean, n->at.epoch + 1, n->at.step + 1);
  sum[SUM_LOSS] += mean * (double)n->count;
  sum[SUM_IMAGES] += (double)n->count;
  for (int64_t i = 0; i < n->count; i++) {
    const float *row = value[1] + i * n->classes;
    int64_t best = 0;
    for (int64_t k = 1; k < n->classes; k++) best = row[k] > row[best] ? k : best;
    sum[SUM_CORRECT] += best == n->label[i];
  }
  return AM_OK;
}

static am_err note_results(classifier *c, const am_step *at, int64_t local, const int32_t *label,
                           am_tensor *const result[RESULT_COUNT]) {
  const am_shape logits = result[RESULT_LOGITS]->shape;
  const int64_t count = logits.dim[0];
  const size_t labels = (size_t)count * sizeof *label, bytes = sizeof(slice_note) + labels;
  slice_note *note = NULL;
  AM_TRY(am_mem_alloc(&note, 1, bytes));
  *note = (slice_note){.at = *at, .local = local, .count = count, .classes = logits.dim[1]};
  memcpy(note->label, label, labels);
  const am_err err = am_later_read(c->later, result, RESULT_COUNT, note, bytes);
  free(note);
  return err;
}

// A slice without images (a short last batch) adds nothing: its gradients must be zero all the same.
static am_err skip_slice(classifier *c, const am_step *at, int64_t local) {
  int leaves;
  am_params_leaves(c->job->model->params, &leaves);
  for (int j = 0; at->group_first && j < leaves; j++) {
    am_tensor *sink = am_ddp_sinks(c->ddp, local)[j], *zero = NULL;
    AM_TRY(am_fill(c->graph, sink->dtype, sink->shape, 0, &zero));
    AM_TRY(am_apply(c->graph, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &zero, &sink));
  }
  return AM_OK;
}

static am_err slice_step(classifier *c, const am_step *at, int64_t local, am_tensor *result[RESULT_COUNT]) {
  const slice *s = &c->slice[local];
  am_tensor *logits = NULL, *loss = NULL;
  am_pass pass = {.graph = c->graph,
                  .train = true,
                  .update_stats = c->first_slice + local == 0,
                  .compute = c->compute,
                  .seed = c->job->seed,
                  .index = first_stream(at) + (uint64_t)s->first};
  AM_TRY(am_model_forward(c->job->model, &pass, s->images, &logits));
  AM_TRY(compute_loss(c, logits, s->target, &loss));
  result[RESULT_LOSS] = am_tensor_retain(loss);  // before backward, which gives back what nobody holds
  result[RESULT_LOGITS] = am_tensor_retain(logits);
  return backward(c, at, local, s->count, loss);
}

// What the device does for a batch: a part of the step (tensor/replay.h).
static am_err slice_steps(void *self, am_tensor **result) {
  classifier *c = self;
  am_err err = AM_OK;
  for (int64_t k = 0; k < c->local_slices && !err; k++) {
    err =
        c->slice[k].count > 0 ? slice_step(c, c->at, k, result + k * RESULT_COUNT) : skip_slice(c, c->at, k);
    am_graph_reset(c->graph);
  }
  return err;
}

// ---- one batch ----

static am_err update(classifier *c, const am_step *at) {
  am_params *ps = c->job->model->params;
  if (c->job->cfg.clip_norm > 0) AM_TRY(am_clip_grad_norm(ps, c->job->cfg.clip_norm));
  c->lr = am_lr_at(&c->schedule, c->job->optimizer.lr, at->update);
  AM_TRY(am_optim_step(c->optim, c->lr));
  return c->ema ? am_ema_update(c->ema, ps, c->job->cfg.ema) : AM_OK;
}

static am_err gradients(classifier *c, const am_step *at, const am_batch *batch) {
  AM_TRY(load_slices(c, batch));
  AM_TRY(am_replay_run(c->replay, slice_steps, c, c->result, (int)c->local_slices * RESULT_COUNT));
  for (int64_t k = 0; k < c->local_slices; k++) {
    if (c->slice[k].count > 0)
      AM_TRY(note_results(c, at, k, batch->label + c->slice[k].first, c->result + k * RESULT_COUNT));
  }
  return AM_OK;
}

static am_err gradients_by_replay(classifier *c, const am_step *at, const am_batch *batch) {
  const struct {
    int64_t rows, group_rows, accumulates;
  } key = {batch->count, at->group_rows, !at->group_first};
  AM_TRY(am_replay_begin(c->replay, &key, sizeof key, first_stream(at)));
  c->at = at;
  return am_replay_end(c->replay, gradients(c, at, batch));
}

static am_err classifier_step(void *self, const am_step *at, const am_batch *batch, am_err failed) {
  classifier *c = self;
  const am_err err = failed ? failed : gradients_by_replay(c, at, batch);
  if (!at->group_last) return err;
  AM_TRY(am_ddp_join(c->ddp, err));
  return update(c, at);
}

// ---- epochs ----

enum {
  COLUMN_EPOCH,
  COLUMN_LR,
  COLUMN_LOSS,
  COLUMN_ACCURACY,
  COLUMN_WATCH_LOSS,
  COLUMN_WATCH_ACCURACY,
  COLUMNS
};
static const char *const column_name[COLUMNS] = {"epoch",          "lr",         "train_loss",
                                                 "train_accuracy", "watch_loss", "watch_accuracy"};

// The network of every rank becomes rank 0's, running statistics included.
static am_err share_network(classifier *c) {
  AM_TRY(am_ddp_share_buffers(c->ddp));
  return c->ema ? am_ema_copy_buffers(c->ema, c->job->model->params) : AM_OK;
}

static am_err evaluate_watched(classifier *c, double *loss, double *accuracy) {
  const char *name[] = {strcmp(c->job->cfg.loss, "double_softmax") == 0 ? "double_softmax_loss" : "loss",
                        "accuracy"};
  double mean[2];
  *loss = *accuracy = NAN;
  if (!c->watch) return AM_OK;
  AM_TRY(share_network(c));
  if (c->ema) AM_TRY(am_ema_swap(c->ema, c->job->model->params));
  am_err err = am_evaluator_means(c->watch, c->job->comm, name, 2, mean);
  if (c->ema) {
    am_err back = am_ema_swap(c->ema, c->job->model->params);
    if (!err) err = back;
  }
  if (err) return err;
  *loss = mean[0];
  *accuracy = mean[1];
  return AM_OK;
}

static am_err classifier_end_epoch(void *self, int64_t epoch, double *row) {
  classifier *c = self;
  double total[SUM_COUNT];
  AM_TRY(am_agree(c->job->comm, am_later_finish(c->later)));
  AM_TRY(am_reduce_slices_f64(c->job->comm, c->sum_row, c->job->cfg.slices, SUM_COUNT, total));
  memset(c->sums, 0, (size_t)(c->local_slices * SUM_COUNT) * sizeof *c->sums);
  row[COLUMN_EPOCH] = (double)(epoch + 1);
  row[COLUMN_LR] = c->lr;
  row[COLUMN_LOSS] = total[SUM_LOSS] / total[SUM_IMAGES];
  row[COLUMN_ACCURACY] = total[SUM_CORRECT] / total[SUM_IMAGES];
  return evaluate_watched(c, &row[COLUMN_WATCH_LOSS], &row[COLUMN_WATCH_ACCURACY]);
}

static am_err classifier_finish(void *self) {
  classifier *c = self;
  AM_TRY(am_ddp_check_equal(c->ddp));
  AM_TRY(share_network(c));
  return c->ema ? am_ema_swap(c->ema, c->job->model->params) : AM_OK;
}

static am_err classifier_describe(void *self, am_str *text) {
  classifier *c = self;
  double loss = 0, correct = 0, images = 0;
  for (int64_t k = 0; k < c->local_slices; k++) {
    loss += c->sum_row[k][SUM_LOSS];
    correct += c->sum_row[k][SUM_CORRECT];
    images += c->sum_row[k][SUM_IMAGES];
  }
  if (images == 0) return am_str_printf(text, "lr %.3g", c->lr);
  return am_str_printf(text, "loss %.4g top1 %.3f lr %.3g", loss / images, correct / images, c->lr);
}

// ---- checkpoints ----

static am_err classifier_save(void *self, am_checkpoint *ck) {
  classifier *c = self;
  AM_TRY(am_agree(c->job->comm, am_later_finish(c->later)));
  AM_TRY(am_ddp_check_equal(c->ddp));
  AM_TRY(am_checkpoint_put_slices(ck, "sums", c->job->comm, c->job->cfg.slices, c->sums, SUM_COUNT));
  if (am_comm_rank(c->job->comm) != 0) return AM_OK;
  AM_TRY(am_checkpoint_put_params(ck, "model", c->job->model->params));
  AM_TRY(am_checkpoint_put_optim(ck, "optimizer", c->optim));
  if (c->ema) AM_TRY(am_checkpoint_put_tensor(ck, "ema", am_ema_values(c->ema)));
  return am_checkpoint_put(ck, "lr", &c->lr, sizeof c->lr);
}

static am_err classifier_restore(void *self, const am_checkpoint *ck) {
  classifier *c = self;
  AM_TRY(am_checkpoint_get_params(ck, "model", c->job->model->params));
  AM_TRY(am_checkpoint_get_optim(ck, "optimizer", c->optim));
  if (c->ema) {
    AM_TRY(am_checkpoint_get_tensor(ck, "ema", am_ema_values(c->ema)));
    AM_TRY(am_ema_copy_buffers(c->ema, c->job->model->params));
  }
  AM_TRY(am_checkpoint_get(ck, "lr", &c->lr, sizeof c->lr));
  return am_checkpoint_get_slices(ck, "sums", c->job->comm, c->job->cfg.slices, c->sums, SUM_COUNT);
}

// ---- the job ----

static am_err parse_milestones(const char *text, int64_t updates, am_lr_cfg *out) {
  const char *at = text;
  while (*at) {
    char *end = NULL;
    long long epoch = strtoll(at, &end, 10);
    AM_CHECK(end != at && epoch >= 0 && (*end == ',' || *end == '\0'), AM_ERR_CONFIG,
             "milestones is \"%s\", expected epochs separated by commas", text);
    AM_CHECK(out->milestone_count < AM_LR_MILESTONES, AM_ERR_CONFIG, "milestones names more than %d epochs",
             AM_LR_MILESTONES);
    out->milestone[out->milestone_count++] = epoch * updates;
    at = *end == ',' ? end + 1 : end;
    while (*at == ' ') at++;
  }
  return AM_OK;
}

// Epochs to updates.
static am_err make_schedule(const am_train_cfg *cfg, int64_t updates, am_lr_cfg *out) {
  static const struct {
    const char *name;
    am_lr_kind kind;
  } kinds[] = {{"constant", AM_LR_CONSTANT},
               {"step", AM_LR_STEP},
               {"multistep", AM_LR_MULTISTEP},
               {"cosine", AM_LR_COSINE}};
  *out = (am_lr_cfg){.gamma = cfg->gamma, .min_lr = cfg->min_lr};
  for (int64_t i = 0; i < AM_COUNT_OF(kinds); i++) {
    if (strcmp(cfg->schedule, kinds[i].name) == 0) out->kind = kinds[i].kind;
  }
  out->total_steps = cfg->epochs * updates;
  out->warmup_steps = (int64_t)llround(cfg->warmup_epochs * (double)updates);
  out->step_size = cfg->step_epochs * updates;
  return out->kind == AM_LR_MULTISTEP ? parse_milestones(cfg->milestones, updates, out) : AM_OK;
}

// Balanced: every class is drawn equally often, the images of a class equally often.
static am_err balanced_weights(const am_dataset *data, double **out) {
  am_err err = AM_OK;
  int64_t n = am_dataset_count(data), classes = am_dataset_classes(data), *count = NULL;
  double *weight = NULL;
  AM_GO(done, AM_NEW_ARRAY(&count, classes));
  AM_GO(done, AM_NEW_ARRAY(&weight, n));
  for (int64_t i = 0; i < n; i++) {
    int32_t label = am_dataset_label(data, i);
    AM_CHECK_GO(done, label >= 0 && label < classes, AM_ERR_DATA,
                "image %" PRId64 " has label %d, there are %" PRId64 " classes", i, (int)label, classes);
    count[label]++;
  }
  for (int64_t i = 0; i < n; i++) weight[i] = 1.0 / (double)count[am_dataset_label(data, i)];
  *out = weight;
  weight = NULL;
done:
  free(count);
  free(weight);
  return err;
}

static void say_who_augments(const am_classify_job *job) {
  if (!am_device_augments(job->device)) return;
  if (job->transform.program) AM_DEBUG("%s: the device augments", job->label);
  if (job->transform.host_only)
    AM_INFO("%s: the host augments: no device does its %s", job->label, job->transform.host_only);
}

static am_err classifier_init(classifier *c, const am_classify_job *job) {
  *c = (classifier){.job = job};
  am_params *ps = job->model->params;
  int64_t steps = job->cfg.drop_last ? am_dataset_count(job->data) / job->cfg.batch_size
                                     : am_ceil_div(am_dataset_count(job->data), job->cfg.batch_size);
  AM_CHECK(job->cfg.slices <= job->cfg.batch_size, AM_ERR_CONFIG,
           "%" PRId64 " slices cannot share a batch of %" PRId64, job->cfg.slices, job->cfg.batch_size);
  AM_CHECK(job->model->cfg.classes == am_dataset_classes(job->data), AM_ERR_CONFIG,
           "the network has %" PRId64 " classes, the data %" PRId64, job->model->cfg.classes,
           am_dataset_classes(job->data));
  AM_TRY(am_compute_use(job->device, job->cfg.precision, &c->compute));
  AM_TRY(make_schedule(&job->cfg, am_ceil_div(steps, job->cfg.accumulate), &c->schedule));
  AM_TRY(am_graph_new(job->device, &c->graph));
  AM_TRY(am_ddp_new(job->comm, ps, job->cfg.slices, job->cfg.reduce, &c->ddp));
  am_ddp_slices(c->ddp, &c->first_slice, &c->local_slices);
  AM_TRY(am_optim_new(am_optimizer_to_optim(&job->optimizer), ps, &c->optim));
  if (job->cfg.ema > 0) AM_TRY(am_ema_new(ps, &c->ema));
  if (job->watch && am_dataset_count(job->watch) > 0) {
    AM_TRY(am_evaluator_new(job->model, job->watch, job->eval_transform, c->compute, job->cfg.batch_size,
                            &c->watch));
  }
  AM_TRY(AM_NEW_ARRAY(&c->sums, c->local_slices * SUM_COUNT));
  AM_TRY(AM_NEW_ARRAY(&c->sum_row, c->local_slices));
  for (int64_t k = 0; k < c->local_slices; k++) c->sum_row[k] = c->sums + k * SUM_COUNT;
  AM_TRY(AM_NEW_ARRAY(&c->slice, c->local_slices));
  AM_TRY(AM_NEW_ARRAY(&c->result, c->local_slices * RESULT_COUNT));
  AM_TRY(AM_NEW_ARRAY(&c->target, job->cfg.batch_size * job->model->cfg.classes));
  AM_TRY(am_replay_new(job->device, am_comm_size(job->comm) == 1, &c->replay));
  AM_TRY(am_params_replayed(ps, c->replay));
  say_who_augments(job);
  return am_later_new(job->device, count_results, c, &c->later);
}

static void classifier_free(void *self) {
  classifier *c = self;
  am_graph_free(c->graph);
  am_replay_free(c->replay);
  am_ddp_free(c->ddp);
  am_optim_free(c->optim);
  am_ema_free(c->ema);
  am_evaluator_free(c->watch);
  free(c->sums);
  free(c->sum_row);
  free(c->slice);
  free(c->result);
  free(c->target);
  am_later_free(c->later);
  free(c);
}

static const am_objective objective = {
    .column_count = COLUMNS,
    .column = column_name,
    .step = classifier_step,
    .end_epoch = classifier_end_epoch,
    .finish = classifier_finish,
    .save = classifier_save,
    .restore = classifier_restore,
    .describe = classifier_describe,
    .free = classifier_free,
};

am_err am_classifier_begin(const am_classify_job *job, am_training *out) {
  classifier *c = NULL;
  AM_TRY(AM_NEW(&c));
  am_err err = classifier_init(c, job);
  if (err) {
    classifier_free(c);
    return err;
  }
  *out = (am_training){&objective, c};
  return AM_OK;
}

static am_err describe_identity(const am_classify_job *job, char **out) {
  return am_str_format(out,
                       "classifier %s %" PRId64 " elements seed %" PRIu64 " images %" PRId64 " batch %" PRId64
                       " slices %" PRId64 " accumulate %" PRId64 " epochs %" PRId64
                       " optimizer %s lr %.17g loss %s precision %s",
                       job->model->def->name, am_params_trainable_elements(job->model->params), job->seed,
                       am_dataset_count(job->data), job->cfg.batch_size, job->cfg.slices, job->cfg.accumulate,
                       job->cfg.epochs, job->optimizer.kind, job->optimizer.lr, job->cfg.loss,
                       job->cfg.precision);
}

am_err am_train_classifier(const am_classify_job *job, am_history **history) {
  am_training t = {0};
  double *weight = NULL;
  char *identity = NULL;
  am_err err = am_classifier_begin(job, &t);
  if (!err && strcmp(job->cfg.sampler, "balanced") == 0) err = balanced_weights(job->data, &weight);
  if (!err) err = describe_identity(job, &identity);
  AM_GO(done, am_agree(job->comm, err));
  am_trainer_cfg cfg = {.comm = job->comm,
                        .data = job->data,
                        .epochs = job->cfg.epochs,
                        .accumulate = job->cfg.accumulate,
                        .loader = {.batch_size = job->cfg.batch_size,
                                   .shuffle = true,
                                   .drop_last = job->cfg.drop_last,
                                   .seed = job->seed,
                                   .workers = job->loader_workers,
                                   .weight = weight,
                                   .transform = job->transform,
                                   .for_device = job->transform.program && am_device_augments(job->device),
                                   .rows = am_ddp_rows,
                                   .rows_user = ((classifier *)t.self)->ddp},
                        .checkpoint_sec = job->cfg.checkpoint_sec,
                        .checkpoint_dir = job->checkpoint_dir,
                        .identity = identity,
                        .label = job->label,
                        .objective = t.objective,
                        .self = t.self};
  AM_GO(done, am_trainer_run(&cfg, history));
done:
  am_training_end(&t);
  free(weight);
  free(identity);
  return err;
}
