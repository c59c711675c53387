// Optimisers over flat storage, learning-rate schedules, gradient clipping, EMA.
#ifndef AM_NN_OPTIM_H
#define AM_NN_OPTIM_H

#include "nn/params.h"

typedef enum { AM_OPTIM_SGD, AM_OPTIM_ADAM, AM_OPTIM_ADAMW } am_optim_kind;
typedef struct {
  am_optim_kind kind;
  double lr;              // peak; each step passes its own
  double momentum, dampening;
  bool nesterov;
  double beta1, beta2, eps;
  double weight_decay;
} am_optim_cfg;
am_optim_cfg am_optim_cfg_default(am_optim_kind kind);  // PyTorch's defaults

typedef struct am_optim am_optim;
AM_MUST_USE am_err am_optim_new(am_optim_cfg cfg, am_params *ps, am_optim **out);  // ps borrowed
void am_optim_free(am_optim *o);
// One update of ps from its flat gradients, one pass over them: parameters whose lr_factor is alike
// and that lie side by side are updated together, with lr times that factor. step() counts from 1.
AM_MUST_USE am_err am_optim_step(am_optim *o, double lr);
int64_t am_optim_steps(const am_optim *o);
// State for checkpoints: the flat tensors (momentum; or m and v), borrowed; count 1 or 2.
int am_optim_state(am_optim *o, am_tensor *state[2]);
void am_optim_set_steps(am_optim *o, int64_t steps);

// Scales flat gradients by max_norm/(norm + 1e-6) when norm > max_norm. A norm that is infinite makes them 0 (and the infinite
// ones NaN), one that is NaN makes them NaN. Where the host reads them in place squares are added in f64; elsewhere by the
// device's own ops, in f32, so that nobody waits for it: from 1.8e19 on a norm is then infinite.
AM_MUST_USE am_err am_clip_grad_norm(am_params *ps, double max_norm);

// shadow <- decay*shadow + (1-decay)*values; buffers are copied.
typedef struct am_ema am_ema;
AM_MUST_USE am_err am_ema_new(am_params *ps, am_ema **out);
void am_ema_free(am_ema *e);
AM_MUST_USE am_err am_ema_update(am_ema *e, am_params *ps, double decay);
// The buffers and counters alone: after they came from another rank or a checkpoint.
AM_MUST_USE am_err am_ema_copy_buffers(am_ema *e, am_params *ps);
am_tensor *am_ema_values(am_ema *e);  // borrowed: flat, as am_params_values
// Exchanges the network's values with the shadow: evaluate, then swap back.
AM_MUST_USE am_err am_ema_swap(am_ema *e, am_params *ps);

// Decay of update n (counted from 1) under the usual warm-up: 0 for the first, then
// min(max_decay, 1 - n^-power); power 3/4 is diffusers' default.
double am_ema_decay_at(int64_t update, double power, double max_decay);

// Learning rate of a step (counted from 0) out of `total`, as PyTorch's schedulers stepped once per
// optimiser step. warmup: linear from 0 over warmup_steps (lr(s) = s/warmup). step_size and the
// milestones count from step 0, warm-up included; cosine falls over what follows the warm-up and
// stays at min_lr from total_steps on.
typedef enum { AM_LR_CONSTANT, AM_LR_STEP, AM_LR_MULTISTEP, AM_LR_COSINE } am_lr_kind;
enum { AM_LR_MILESTONES = 16 };
typedef struct {
  am_lr_kind kind;
  int64_t warmup_steps, total_steps;
  int64_t step_size;                       // step: multiply by gamma every step_size
  int64_t milestone[AM_LR_MILESTONES];     // multistep
  int milestone_count;
  double gamma, min_lr;
} am_lr_cfg;
double am_lr_at(const am_lr_cfg *cfg, double peak_lr, int64_t step);

#endif
