// The named parameters of a network, in flat storage.
//
// A network first declares everything it owns under PyTorch's state-dict names (am_params_add), then
// am_params_commit allocates all trainable values as one flat tensor, their gradients as another,
// buffers (BatchNorm's running statistics) as a third, and points every slot at its part. So an
// optimiser is one pass over memory, a reduction one message, and a checkpoint one write. Flat
// storage is packed in the order of declaration, without gaps.
//
// Fine-tuning is said between declaration and commit. A frozen parameter becomes a buffer: it keeps its
// name and place in files, and everything that trains (gradients, optimiser, weight decay, reductions)
// never sees it, while what copies state (checkpoints, averages, files) does.
#ifndef AM_NN_PARAMS_H
#define AM_NN_PARAMS_H

#include "tensor/replay.h"

typedef enum { AM_PARAM_TRAINABLE, AM_PARAM_BUFFER, AM_PARAM_COUNTER } am_param_kind;

// How a parameter starts. Streams: (seed, AM_RNG_INIT, index of the parameter).
typedef enum {
  AM_INIT_CONSTANT,  // a
  AM_INIT_UNIFORM,   // U(-a, a)
  AM_INIT_NORMAL     // N(a, b)
} am_init_kind;
typedef struct { am_init_kind kind; double a, b; } am_init;

typedef struct {
  char *name;           // owned: "layer1.0.conv1.weight"
  am_shape shape;
  am_param_kind kind;
  am_init init;
  double lr_factor;     // trainable: of the learning rate of a step; 1 unless said otherwise
  bool hold_statistics;  // of a frozen BatchNorm weight: its layer uses its running statistics and keeps them
  int64_t offset;       // elements into the flat storage of its kind; from am_params_commit
  am_tensor *value;     // owned view; NULL for counters
  am_tensor *grad;      // owned view into the flat gradients; trainable only
  int64_t counter;      // AM_PARAM_COUNTER: a host integer (num_batches_tracked)
  am_tensor *derived[2];     // owned; what a layer computed from its parameters (BatchNorm's scale and shift) ...
  uint64_t derived_from[4];  // ... when they had these stamps (see am_view)
} am_param;

typedef struct am_params am_params;

AM_MUST_USE am_err am_params_new(am_params **out);
void am_params_free(am_params *ps);
// Declares one parameter; *out is stable until am_params_free. Errors: AM_ERR_ARG name taken.
AM_MUST_USE am_err am_params_add(am_params *ps, const char *name, am_shape shape, am_param_kind kind,
                                 am_init init, am_param **out);
// Whether a pattern means a parameter: its name, or a module it is in ("layer1" and "layer1.0" mean
// "layer1.0.conv1.weight", "conv1" does not); * ? [] stand for characters as in the shell, dots included.
bool am_param_matches(const char *name, const char *pattern);
// Before commit: trainable parameters that the pattern means become buffers. With hold_statistics
// BatchNorms frozen by it normalise with their running statistics in training, too, and keep them.
// Returns how many there were.
int64_t am_params_freeze(am_params *ps, const char *pattern, bool hold_statistics);
// Before am_optim_new: sets lr_factor of what the pattern means; returns how many parameters that are.
int64_t am_params_scale_lr(am_params *ps, const char *pattern, double factor);
// Allocates on dev, all zero, for values that come from elsewhere. Declares nothing more afterwards.
AM_MUST_USE am_err am_params_allocate(am_params *ps, am_device *dev, am_dtype dtype);
// Allocates and initialises from seed.
AM_MUST_USE am_err am_params_commit(am_params *ps, am_device *dev, am_dtype dtype, uint64_t seed);

int64_t am_params_count(const am_params *ps);              // entries, in order of declaration
am_param *am_params_at(am_params *ps, int64_t i);
am_param *am_params_find(am_params *ps, const char *name);  // NULL when absent
int64_t am_params_trainable_elements(const am_params *ps);
am_tensor *am_params_values(am_params *ps);   // borrowed: flat trainable values (n)
am_tensor *am_params_grads(am_params *ps);    // borrowed: flat gradients (n)
am_tensor *am_params_buffers(am_params *ps);  // borrowed: flat buffers (m); NULL when there are none
// The trainable values and their gradient views as arrays for am_grad; borrowed, count entries.
am_tensor *const *am_params_leaves(am_params *ps, int *count);
am_tensor *const *am_params_grad_views(am_params *ps, int *count);
// SHA-256 over names, shapes and bytes of everything, in order: equal networks, equal hash.
AM_MUST_USE am_err am_params_hash(am_params *ps, char hex[65]);
// The counters move with the steps of r (tensor/replay.h).
AM_MUST_USE am_err am_params_replayed(am_params *ps, am_replay *r);
// Copies all values, buffers and counters between two sets declared alike.
AM_MUST_USE am_err am_params_copy(am_params *from, am_params *to);

#endif
