// Fitting a GAN, in the order of the DCGAN reference implementation:
//
//   discriminator   D(real) against "real", D(G(z)) against "fake" with G's part detached: two forward
//                   passes, so BatchNorm never mixes real and fake; gradients added; D's update
//   generator       D(G(z)) of the same z through the updated D against "real"; G's update
//
// The generator's pass asks for gradients of G's weights only: those of D would be thrown away.
// Random numbers of row r of the batch at step s come from streams (seed, purpose, s * 2^20 + r).
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "dist/collective.h"
#include "nn/loss.h"
#include "tensor/later.h"
#include "tensor/replay.h"
#include "train/ddp.h"
#include "train/trainer.h"

enum { SUM_D_LOSS, SUM_G_LOSS, SUM_D_REAL, SUM_D_FAKE, SUM_IMAGES, SUM_COUNT };

// The logits of D that the history needs, a slice's from each half of a step.
enum { D_OF_REAL, D_OF_FAKE, D_RESULTS };
enum { G_RESULTS = 1 };

// A slice between the two halves of a step: G's pass is recorded once and used by both.
typedef struct {
  am_graph *graph;               // owned
  am_tensor *fake;               // borrowed from the graph
  int64_t first, count;          // rows of the batch
  am_tensor *real;               // borrowed from the step: images
  am_tensor *target[D_RESULTS];  // borrowed from the step: of real and of generated images
} gan_slice;

typedef struct {
  const am_gan_job *job;                  // borrowed
  am_dtype compute;                       // of the passes
  am_ddp *d_ddp, *g_ddp;                  // owned
  am_optim *d_optim, *g_optim;            // owned
  uint64_t real_seed, fake_seed, g_seed;  // dropout of the three passes through D
  int64_t first_slice, local_slices;
  gan_slice *slice;          // owned: of this rank
  double *sums;              // owned: (local_slices, SUM_COUNT)
  double **sum_row;          // owned: its rows
  float *target[D_RESULTS];  // owned: (batch_size) each
  am_later *later;           // owned: logits on their way
  am_replay *replay;         // owned: steps that came before
  am_tensor **logits;        // owned: (local_slices, D_RESULTS), each borrowed from the step
  const am_step *at;         // borrowed: of the step under way
} gan;

static uint64_t stream_of(const am_step *at, int64_t row) {
  return ((uint64_t)at->batch_number << 20) + (uint64_t)row;
}

// ---- targets ----

// Four draws per row whatever the options: real target, fake target, and whether each is swapped.
static void draw_targets(gan *m, const am_step *at, const gan_slice *s) {
  const am_fit_cfg *cfg = &m->job->cfg;
  float *real = m->target[D_OF_REAL] + s->first, *fake = m->target[D_OF_FAKE] + s->first;
  for (int64_t i = 0; i < s->count; i++) {
    am_rng rng = am_rng_at(m->job->seed, AM_RNG_LABEL_NOISE, stream_of(at, s->first + i));
    double as_real = am_rng_range(&rng, cfg->real_label_min, cfg->real_label_max);
    double as_fake = am_rng_range(&rng, cfg->fake_label_min, cfg->fake_label_max);
    bool swap_real = am_rng_uniform(&rng) < cfg->label_flip,
         swap_fake = am_rng_uniform(&rng) < cfg->label_flip;
    real[i] = (float)(swap_real ? as_fake : as_real);
    fake[i] = (float)(swap_fake ? as_real : as_fake);
  }
}

// ---- inputs ----

static am_err load_slices(gan *m, const am_step *at, const am_batch *batch) {
  int64_t height, width, channels;
  am_dataset_image_shape(m->job->data, &height, &width, &channels);
  for (int64_t k = 0; k < m->local_slices; k++) {
    gan_slice *s = &m->slice[k];
    am_ddp_slice_rows(m->d_ddp, batch->count, k, &s->first, &s->count);
    if (s->count == 0) continue;
    draw_targets(m, at, s);
    AM_TRY(am_replay_input(m->replay, AM_F32, AM_SHAPE(s->count, channels, height, width),
                           batch->image + s->first * channels * height * width, &s->real));
    for (int i = 0; i < D_RESULTS; i++)
      AM_TRY(am_replay_input(m->replay, AM_F32, AM_SHAPE(s->count), m->target[i] + s->first, &s->target[i]));
  }
  return AM_OK;
}

// ---- what the history needs, from logits that are computed anyway ----

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

// What the logits of a slice are counted as.
typedef struct {
  am_step at;
  int64_t local, count;
  int loss, probability;  // which sums; SUM_COUNT: nobody asks for the probability
  float target[];         // (count)
} logits_note;

static am_err count_rows(void *self, const void *note, const float *const *value) {
  gan *m = self;
  const logits_note *n = note;
  double *sum = m->sum_row[n->local], total = 0;
  for (int64_t i = 0; i < n->count; i++) {
    double x = value[0][i], t = n->target[i];
    total += fmax(x, 0) - x * t + log1p(exp(-fabs(x)));
    if (n->probability != SUM_COUNT) sum[n->probability] += sigmoid(x);
  }
  AM_CHECK(isfinite(total), AM_ERR_NUMERIC, "%s: a loss is %g at epoch %" PRId64 " step %" PRId64,
           m->job->label, total, n->at.epoch + 1, n->at.step + 1);
  sum[n->loss] += total;
  return AM_OK;
}

// target: NULL means 1 everywhere.
static am_err note_rows(gan *m, const am_step *at, int64_t local, am_tensor *logits, const float *target,
                        int loss, int probability) {
  const int64_t count = am_tensor_count(logits);
  const size_t bytes = sizeof(logits_note) + (size_t)count * sizeof *target;
  logits_note *note = NULL;
  AM_TRY(am_mem_alloc(&note, 1, bytes));
  *note = (logits_note){.at = *at, .local = local, .count = count, .loss = loss, .probability = probability};
  for (int64_t i = 0; i < count; i++) note->target[i] = target ? target[i] : 1;
  const am_err err = am_later_read(m->later, &logits, 1, note, bytes);
  free(note);
  return err;
}

// ---- passes ----

static am_pass pass_of(const gan *m, const gan_slice *s, uint64_t seed) {
  return (am_pass){.graph = s->graph,
                   .train = true,
                   .compute = m->compute,
                   .update_stats = m->first_slice == 0 && s == m->slice,
                   .seed = seed,
                   .index = stream_of(m->at, s->first)};
}

// Gradients of (rows of the slice / rows of the batch) * mean loss of the slice.
static am_err backward(const gan *m, const gan_slice *s, am_params *ps, am_ddp *ddp, int64_t local,
                       bool accumulate, bool last, am_tensor *loss) {
  const bool final = last && local == m->local_slices - 1 && am_comm_size(m->job->comm) > 1;
  am_tensor *seed = NULL;
  int leaves;
  AM_TRY(am_fill(s->graph, loss->dtype, loss->shape, (double)s->count / (double)m->at->group_rows, &seed));
  am_grad_desc d = {.y = &loss,
                    .y_count = 1,
                    .seed = &seed,
                    .x = am_params_leaves(ps, &leaves),
                    .sink = am_ddp_sinks(ddp, local),
                    .accumulate = accumulate,
                    .on_ready = final ? am_ddp_ready : NULL,
                    .user = ddp};
  d.x_count = leaves;
  return am_grad(s->graph, &d, NULL);
}

static am_err generate(gan *m, gan_slice *s) {
  const am_gan_job *job = m->job;
  am_random_desc noise = {.kind = AM_RAND_NORMAL,
                          .dtype = AM_F32,
                          .shape = AM_SHAPE(s->count, job->generator->cfg.latent),
                          .seed = job->seed,
                          .index = stream_of(m->at, s->first),
                          .purpose = AM_RNG_NOISE};
  am_pass pass = pass_of(m, s, job->seed);
  am_tensor *z = NULL;
  AM_TRY(am_random(s->graph, noise, &z));
  return am_model_forward(job->generator, &pass, z, &s->fake);
}

typedef struct {
  uint64_t seed;     // of dropout
  int target;        // of the slice
  bool first, last;  // of the two passes whose gradients are added
} d_pass;

// *logits: a reference for the caller, taken before backward gives back what nobody holds.
static am_err discriminate(gan *m, int64_t local, am_tensor *images, d_pass p, am_tensor **logits) {
  gan_slice *s = &m->slice[local];
  am_params *ps = m->job->discriminator->params;
  am_pass pass = pass_of(m, s, p.seed);
  am_tensor *y = NULL, *loss = NULL;
  AM_TRY(am_model_forward(m->job->discriminator, &pass, images, &y));
  AM_TRY(am_loss_bce_logits(s->graph, y, s->target[p.target], &loss));
  *logits = am_tensor_retain(y);
  return backward(m, s, ps, m->d_ddp, local, !p.first, p.last, loss);
}

static am_err discriminator_slice(gan *m, int64_t local, am_tensor *logits[D_RESULTS]) {
  gan_slice *s = &m->slice[local];
  am_tensor *detached = NULL;
  AM_TRY(
      discriminate(m, local, s->real, (d_pass){m->real_seed, D_OF_REAL, .first = true}, &logits[D_OF_REAL]));
  AM_TRY(generate(m, s));
  AM_TRY(am_detach(s->graph, s->fake, &detached));
  return discriminate(m, local, detached, (d_pass){m->fake_seed, D_OF_FAKE, .last = true},
                      &logits[D_OF_FAKE]);
}

static am_err generator_slice(gan *m, int64_t local, am_tensor **logits) {
  gan_slice *s = &m->slice[local];
  am_pass pass = pass_of(m, s, m->g_seed);
  am_tensor *y = NULL, *target = NULL, *loss = NULL;
  AM_TRY(am_model_forward(m->job->discriminator, &pass, s->fake, &y));
  AM_TRY(am_fill(s->graph, AM_F32, AM_SHAPE(s->count), 1, &target));
  AM_TRY(am_loss_bce_logits(s->graph, y, target, &loss));
  *logits = am_tensor_retain(y);
  return backward(m, s, m->job->generator->params, m->g_ddp, local, false, true, loss);
}

// A slice without images (a short last batch) adds nothing: its gradients must be zero all the same.
static am_err clear_slice(gan *m, am_ddp *ddp, am_params *ps, int64_t local) {
  int leaves;
  am_params_leaves(ps, &leaves);
  for (int j = 0; j < leaves; j++) {
    am_tensor *sink = am_ddp_sinks(ddp, local)[j], *zero = NULL;
    AM_TRY(am_fill(m->slice[local].graph, sink->dtype, sink->shape, 0, &zero));
    AM_TRY(am_apply(m->slice[local].graph, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &zero, &sink));
  }
  return AM_OK;
}

// ---- the halves of a step: what the device does, each a part of the step (tensor/replay.h) ----

static am_err discriminator_half(void *self, am_tensor **logits) {
  gan *m = self;
  for (int64_t k = 0; k < m->local_slices; k++) {
    AM_TRY(m->slice[k].count > 0 ? discriminator_slice(m, k, logits + k * D_RESULTS)
                                 : clear_slice(m, m->d_ddp, m->job->discriminator->params, k));
  }
  return AM_OK;
}

static am_err generator_half(void *self, am_tensor **logits) {
  gan *m = self;
  for (int64_t k = 0; k < m->local_slices; k++) {
    AM_TRY(m->slice[k].count > 0 ? generator_slice(m, k, logits + k * G_RESULTS)
                                 : clear_slice(m, m->g_ddp, m->job->generator->params, k));
  }
  return AM_OK;
}

// ---- one step ----

static am_err discriminator_gradients(gan *m, const am_step *at, const am_batch *batch) {
  AM_TRY(load_slices(m, at, batch));
  AM_TRY(am_replay_run(m->replay, discriminator_half, m, m->logits, (int)m->local_slices * D_RESULTS));
  for (int64_t k = 0; k < m->local_slices; k++) {
    const gan_slice *s = &m->slice[k];
    am_tensor *const *logits = m->logits + k * D_RESULTS;
    if (s->count == 0) continue;
    AM_TRY(note_rows(m, at, k, logits[D_OF_REAL], m->target[D_OF_REAL] + s->first, SUM_D_LOSS, SUM_D_REAL));
    AM_TRY(note_rows(m, at, k, logits[D_OF_FAKE], m->target[D_OF_FAKE] + s->first, SUM_D_LOSS, SUM_D_FAKE));
    m->sum_row[k][SUM_IMAGES] += (double)s->count;
  }
  return AM_OK;
}

static am_err generator_gradients(gan *m, const am_step *at) {
  AM_TRY(am_replay_run(m->replay, generator_half, m, m->logits, (int)m->local_slices * G_RESULTS));
  for (int64_t k = 0; k < m->local_slices; k++) {
    if (m->slice[k].count > 0)
      AM_TRY(note_rows(m, at, k, m->logits[k * G_RESULTS], NULL, SUM_G_LOSS, SUM_COUNT));
  }
  return AM_OK;
}

static am_err update_discriminator(gan *m, const am_step *at, const am_batch *batch, am_err err) {
  if (!err) err = discriminator_gradients(m, at, batch);
  AM_TRY(am_ddp_join(m->d_ddp, err));
  return am_optim_step(m->d_optim, m->job->optimizer.lr);
}

static am_err update_generator(gan *m, const am_step *at, am_err err) {
  if (!err) err = generator_gradients(m, at);
  AM_TRY(am_ddp_join(m->g_ddp, err));
  return am_optim_step(m->g_optim, m->job->optimizer.lr);
}

static am_err gan_step(void *self, const am_step *at, const am_batch *batch, am_err failed) {
  gan *m = self;
  am_err err = failed
                   ? failed
                   : am_replay_begin(m->replay, &(int64_t){batch->count}, sizeof(int64_t), stream_of(at, 0));
  const bool begun = !err;
  m->at = at;
  err = update_discriminator(m, at, batch, err);
  err = update_generator(m, at, err);
  for (int64_t k = 0; k < m->local_slices; k++) am_graph_reset(m->slice[k].graph);
  return begun ? am_replay_end(m->replay, err) : err;
}

// ---- epochs ----

enum { COLUMN_EPOCH, COLUMN_D_LOSS, COLUMN_G_LOSS, COLUMN_D_REAL, COLUMN_D_FAKE, COLUMNS };
static const char *const column_name[COLUMNS] = {"epoch", "d_loss", "g_loss", "d_real", "d_fake"};

static am_err gan_end_epoch(void *self, int64_t epoch, double *row) {
  gan *m = self;
  double total[SUM_COUNT];
  AM_TRY(am_agree(m->job->comm, am_later_finish(m->later)));
  AM_TRY(am_reduce_slices_f64(m->job->comm, m->sum_row, m->job->cfg.slices, SUM_COUNT, total));
  memset(m->sums, 0, (size_t)(m->local_slices * SUM_COUNT) * sizeof *m->sums);
  row[COLUMN_EPOCH] = (double)(epoch + 1);
  row[COLUMN_D_LOSS] = total[SUM_D_LOSS] / total[SUM_IMAGES];
  row[COLUMN_G_LOSS] = total[SUM_G_LOSS] / total[SUM_IMAGES];
  row[COLUMN_D_REAL] = total[SUM_D_REAL] / total[SUM_IMAGES];
  row[COLUMN_D_FAKE] = total[SUM_D_FAKE] / total[SUM_IMAGES];
  return AM_OK;
}

static am_err check_equal(gan *m) {
  AM_TRY(am_ddp_check_equal(m->d_ddp));
  return am_ddp_check_equal(m->g_ddp);
}

static am_err gan_finish(void *self) {
  gan *m = self;
  AM_TRY(check_equal(m));
  AM_TRY(am_ddp_share_buffers(m->d_ddp));
  return am_ddp_share_buffers(m->g_ddp);
}

static am_err gan_describe(void *self, am_str *text) {
  gan *m = self;
  double sum[SUM_COUNT] = {0};
  for (int64_t k = 0; k < m->local_slices * SUM_COUNT; k++) sum[k % SUM_COUNT] += m->sums[k];
  double n = fmax(sum[SUM_IMAGES], 1);
  return am_str_printf(text, "d_loss %.4g g_loss %.4g d_real %.3f d_fake %.3f", sum[SUM_D_LOSS] / n,
                       sum[SUM_G_LOSS] / n, sum[SUM_D_REAL] / n, sum[SUM_D_FAKE] / n);
}

// ---- checkpoints ----

static am_err gan_save(void *self, am_checkpoint *ck) {
  gan *m = self;
  AM_TRY(am_agree(m->job->comm, am_later_finish(m->later)));
  AM_TRY(check_equal(m));
  AM_TRY(am_checkpoint_put_slices(ck, "sums", m->job->comm, m->job->cfg.slices, m->sums, SUM_COUNT));
  if (am_comm_rank(m->job->comm) != 0) return AM_OK;
  AM_TRY(am_checkpoint_put_params(ck, "generator", m->job->generator->params));
  AM_TRY(am_checkpoint_put_params(ck, "discriminator", m->job->discriminator->params));
  AM_TRY(am_checkpoint_put_optim(ck, "generator_optimizer", m->g_optim));
  return am_checkpoint_put_optim(ck, "discriminator_optimizer", m->d_optim);
}

static am_err gan_restore(void *self, const am_checkpoint *ck) {
  gan *m = self;
  AM_TRY(am_checkpoint_get_params(ck, "generator", m->job->generator->params));
  AM_TRY(am_checkpoint_get_params(ck, "discriminator", m->job->discriminator->params));
  AM_TRY(am_checkpoint_get_optim(ck, "generator_optimizer", m->g_optim));
  AM_TRY(am_checkpoint_get_optim(ck, "discriminator_optimizer", m->d_optim));
  return am_checkpoint_get_slices(ck, "sums", m->job->comm, m->job->cfg.slices, m->sums, SUM_COUNT);
}

// ---- the job ----

// As torchvision's ToTensor and Normalize(0.5, 0.5): u8 (h, w, c) to f32 (c, h, w) in [-1, 1].
static am_err to_minus_one_one(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                               am_transform_work *work, float *out) {
  (void)user, (void)seed, (void)stream, (void)work;
  int64_t plane = image->height * image->width;
  for (int64_t i = 0; i < plane; i++) {
    for (int64_t c = 0; c < image->channels; c++) {
      float x = (float)image->bytes[i * image->channels + c] / 255.0f;
      out[c * plane + i] = (x - 0.5f) / 0.5f;
    }
  }
  return AM_OK;
}

static am_err check_networks(const am_gan_job *job) {
  int64_t height, width, channels;
  am_dataset_image_shape(job->data, &height, &width, &channels);
  const am_model_cfg *g = &job->generator->cfg, *d = &job->discriminator->cfg;
  AM_CHECK(job->generator->def->role == AM_ROLE_GENERATOR &&
               job->discriminator->def->role == AM_ROLE_DISCRIMINATOR,
           AM_ERR_CONFIG, "%s and %s are no generator and discriminator", job->generator->def->name,
           job->discriminator->def->name);
  AM_CHECK(height == g->size && width == g->size && channels == g->channels && d->size == g->size &&
               d->channels == g->channels,
           AM_ERR_CONFIG,
           "images are %" PRId64 " x %" PRId64 " x %" PRId64 ", %s makes %" PRId64 " x %" PRId64
           " x %" PRId64,
           height, width, channels, job->generator->def->name, g->size, g->size, g->channels);
  AM_CHECK(job->cfg.slices <= job->cfg.batch_size, AM_ERR_CONFIG,
           "%" PRId64 " slices cannot share a batch of %" PRId64, job->cfg.slices, job->cfg.batch_size);
  return AM_OK;
}

static am_err gan_init(gan *m, const am_gan_job *job) {
  *m = (gan){.job = job,
             .real_seed = am_seed_derive(job->seed, "dropout/real"),
             .fake_seed = am_seed_derive(job->seed, "dropout/fake"),
             .g_seed = am_seed_derive(job->seed, "dropout/generator")};
  am_optim_cfg optim = am_optimizer_to_optim(&job->optimizer);
  AM_TRY(check_networks(job));
  AM_TRY(am_compute_use(job->device, job->cfg.precision, &m->compute));
  AM_TRY(am_ddp_new(job->comm, job->discriminator->params, job->cfg.slices, job->cfg.reduce, &m->d_ddp));
  AM_TRY(am_ddp_new(job->comm, job->generator->params, job->cfg.slices, job->cfg.reduce, &m->g_ddp));
  AM_TRY(am_optim_new(optim, job->discriminator->params, &m->d_optim));
  AM_TRY(am_optim_new(optim, job->generator->params, &m->g_optim));
  am_ddp_slices(m->d_ddp, &m->first_slice, &m->local_slices);
  AM_TRY(AM_NEW_ARRAY(&m->slice, m->local_slices));
  AM_TRY(AM_NEW_ARRAY(&m->sums, m->local_slices * SUM_COUNT));
  AM_TRY(AM_NEW_ARRAY(&m->sum_row, m->local_slices));
  for (int64_t k = 0; k < m->local_slices; k++) {
    AM_TRY(am_graph_new(job->device, &m->slice[k].graph));
    m->sum_row[k] = m->sums + k * SUM_COUNT;
  }
  for (int i = 0; i < D_RESULTS; i++) AM_TRY(AM_NEW_ARRAY(&m->target[i], job->cfg.batch_size));
  AM_TRY(AM_NEW_ARRAY(&m->logits, m->local_slices * D_RESULTS));
  AM_TRY(am_replay_new(job->device, am_comm_size(job->comm) == 1, &m->replay));
  AM_TRY(am_params_replayed(job->discriminator->params, m->replay));
  AM_TRY(am_params_replayed(job->generator->params, m->replay));
  return am_later_new(job->device, count_rows, m, &m->later);
}

static void gan_free(void *self) {
  gan *m = self;
  for (int64_t k = 0; m->slice && k < m->local_slices; k++) am_graph_free(m->slice[k].graph);
  am_replay_free(m->replay);
  am_ddp_free(m->d_ddp);
  am_ddp_free(m->g_ddp);
  am_optim_free(m->d_optim);
  am_optim_free(m->g_optim);
  free(m->slice);
  free(m->sums);
  free(m->sum_row);
  for (int i = 0; i < D_RESULTS; i++) free(m->target[i]);
  free(m->logits);
  am_later_free(m->later);
  free(m);
}

static const am_objective objective = {
    .column_count = COLUMNS,
    .column = column_name,
    .step = gan_step,
    .end_epoch = gan_end_epoch,
    .finish = gan_finish,
    .save = gan_save,
    .restore = gan_restore,
    .describe = gan_describe,
    .free = gan_free,
};

am_err am_gan_begin(const am_gan_job *job, am_training *out) {
  gan *m = NULL;
  AM_TRY(AM_NEW(&m));
  am_err err = gan_init(m, job);
  if (err) {
    gan_free(m);
    return err;
  }
  *out = (am_training){&objective, m};
  return AM_OK;
}

static am_err describe_identity(const am_gan_job *job, char **out) {
  return am_str_format(out,
                       "gan %s %s %" PRId64 "+%" PRId64 " elements seed %" PRIu64 " images %" PRId64
                       " batch %" PRId64 " slices %" PRId64 " optimizer %s lr %.17g precision %s",
                       job->generator->def->name, job->discriminator->def->name,
                       am_params_trainable_elements(job->generator->params),
                       am_params_trainable_elements(job->discriminator->params), job->seed,
                       am_dataset_count(job->data), job->cfg.batch_size, job->cfg.slices, job->optimizer.kind,
                       job->optimizer.lr, job->cfg.precision);
}

am_err am_fit_gan(const am_gan_job *job, am_history **history) {
  am_training t = {0};
  char *identity = NULL;
  int64_t height, width, channels;
  am_dataset_image_shape(job->data, &height, &width, &channels);
  am_err err = am_gan_begin(job, &t);
  if (!err) err = describe_identity(job, &identity);
  AM_GO(done, am_agree(job->comm, err));
  am_trainer_cfg cfg = {
      .comm = job->comm,
      .data = job->data,
      .epochs = job->cfg.epochs,
      .accumulate = 1,
      .loader = {.batch_size = job->cfg.batch_size,
                 .shuffle = true,
                 .seed = job->seed,
                 .transform = {.apply = to_minus_one_one, .out_height = height, .out_width = width},
                 .rows = am_ddp_rows,
                 .rows_user = ((gan *)t.self)->d_ddp},
      .checkpoint_sec = job->cfg.checkpoint_sec,
      .checkpoint_dir = job->checkpoint_dir,
      .identity = identity,
      .label = job->label,
      .objective = t.objective,
      .self = t.self};
  AM_GO(done, am_trainer_run(&cfg, history));
done:
  am_training_end(&t);
  free(identity);
  return err;
}
