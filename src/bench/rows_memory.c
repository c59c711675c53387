// Passes over flat storage: updates, and sums over ranks.
#include <mpi.h>

#include "base/mem.h"
#include "bench/rows.h"
#include "dist/collective.h"
#include "nn/optim.h"

enum { ELEMENTS = 25557032, TINY_ELEMENTS = 5000 };  // the parameters of ResNet-50

// ---- updates ----

typedef struct {
  am_params *params;  // owned
  am_optim *optim;    // owned
  am_device *device;  // borrowed
} update;

typedef struct {
  am_optim_kind kind;
  int passes;  // reads and writes of every element
} rule;

static void update_close(void *self) {
  update *u = self;
  am_optim_free(u->optim);
  am_params_free(u->params);
  free(u);
}

static am_err update_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  const rule *r = variant;
  const int64_t count = b->tiny ? TINY_ELEMENTS : ELEMENTS;
  update *u = NULL;
  am_param *param = NULL;
  am_optim_cfg cfg = am_optim_cfg_default(r->kind);
  cfg.momentum = 0.9;
  AM_GO(done, AM_NEW(&u));
  u->device = b->device;
  AM_GO(done, am_params_new(&u->params));
  AM_GO(done, am_params_add(u->params, "p", AM_SHAPE(count), AM_PARAM_TRAINABLE, (am_init){AM_INIT_UNIFORM, 1, 0},
                            &param));
  AM_GO(done, am_params_commit(u->params, b->device, AM_F32, AM_BENCH_SEED));
  AM_GO(done, am_optim_new(cfg, u->params, &u->optim));
  // Gradients that differ from element to element: the values themselves.
  AM_GO(done, am_dispatch(b->device, AM_OP_axpby, &(am_axpby_desc){.a = 0.1}, &(am_tensor *){am_params_values(u->params)},
                          &(am_tensor *){am_params_grads(u->params)}));
  *work = (am_bench_work){.items = 1e-9 * sizeof(float) * (double)(count * r->passes)};
  *self = u;
  u = NULL;
done:
  if (u) update_close(u);
  return err;
}

static am_err update_step(void *self) {
  update *u = self;
  return am_optim_step(u->optim, 1e-3);
}

static am_err update_check(void *self, double *value) {
  update *u = self;
  am_tensor *sum = NULL;
  AM_TRY(am_dispatch(u->device, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, 1}, &(am_tensor *){am_params_values(u->params)},
                     &sum));
  am_err err = am_tensor_item(sum, value);
  am_tensor_release(sum);
  return err;
}

#define UPDATE_ROW(id, row_name, text, ...)                          \
  const am_bench_row id = {.name = row_name,                         \
                           .doc = text,                              \
                           .unit = "GB/s",                           \
                           .flags = AM_BENCH_DEVICE,                 \
                           .variant = &(const rule){__VA_ARGS__},    \
                           .open = update_open,                      \
                           .step = update_step,                      \
                           .check = update_check,                    \
                           .close = update_close}

UPDATE_ROW(am_row_sgd, "sgd", "update of 25.6 million parameters, SGD with momentum (5 passes)", AM_OPTIM_SGD, 5);
UPDATE_ROW(am_row_adam, "adam", "update of 25.6 million parameters, Adam (7 passes)", AM_OPTIM_ADAM, 7);

// ---- sums over ranks ----

typedef struct {
  am_comm *comm;  // borrowed
  float *value;   // owned
  int64_t count;
} ranks_sum;

static void allreduce_close(void *self) {
  ranks_sum *s = self;
  free(s->value);
  free(s);
}

static am_err allreduce_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  ranks_sum *s = NULL;
  AM_TRY(AM_NEW(&s));
  s->comm = b->comm;
  s->count = b->tiny ? TINY_ELEMENTS : ELEMENTS;
  am_err err = AM_NEW_ARRAY(&s->value, s->count);
  if (err) {
    allreduce_close(s);
    return err;
  }
  // Every sum is larger by the number of ranks: so small at first that hundreds of steps stay finite.
  for (int64_t i = 0; i < s->count; i++) s->value[i] = 1e-30f * (float)(1 + i % 1000 + am_comm_rank(b->comm));
  int size = am_comm_size(b->comm);
  *work = (am_bench_work){.items = 1e-9 * sizeof(float) * (double)s->count * 2 * (size - 1) / size};
  *self = s;
  return AM_OK;
}

static am_err allreduce_step(void *self) {
  ranks_sum *s = self;
  return am_reduce_slices_f32(s->comm, &s->value, am_comm_size(s->comm), s->count, s->value);
}

static am_err allreduce_check(void *self, double *value) {
  const ranks_sum *s = self;
  *value = 0;
  for (int64_t i = 0; i < s->count; i++) *value += s->value[i];
  return AM_OK;
}

static am_err allreduce_reference(void *self) {
  ranks_sum *s = self;
  int rc = MPI_Allreduce(MPI_IN_PLACE, s->value, (int)s->count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  AM_CHECK(rc == MPI_SUCCESS, AM_ERR_PEER, "MPI_Allreduce failed");
  return AM_OK;
}

const am_bench_row am_row_allreduce = {
    .name = "allreduce",
    .doc = "sum of 25.6 million numbers over the ranks, in the fixed order of training; bytes * 2 (n - 1) / n",
    .unit = "GB/s",
    .flags = AM_BENCH_RANKS,
    .open = allreduce_open,
    .step = allreduce_step,
    .check = allreduce_check,
    .reference = allreduce_reference,
    .reference_doc = "MPI_Allreduce",
    .close = allreduce_close};
