// Exponential moving average of a network's values.
#include <math.h>

#include "base/mem.h"
#include "nn/optim.h"
#include "tensor/backend.h"

struct am_ema {
  am_tensor *values;   // owned: flat, as am_params_values
  am_tensor *buffers;  // owned: NULL when the network has none
  int64_t *counter;    // owned: of every parameter; zero where it has none
  int64_t count;
};

// y <- a*x + b*y
static am_err mix(double a, am_tensor *x, double b, am_tensor *y) {
  return am_dispatch(y->device, AM_OP_axpby, &(am_axpby_desc){.a = a, .b = b}, &x, &y);
}

static am_err clone(am_tensor *t, am_tensor **out) {
  return am_dispatch(t->device, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_AFFINE, .a = 1}, &t, out);
}

am_err am_ema_new(am_params *ps, am_ema **out) {
  am_err err = AM_OK;
  am_ema *e = NULL;
  AM_TRY(AM_NEW(&e));
  e->count = am_params_count(ps);
  AM_GO(done, AM_NEW_ARRAY(&e->counter, e->count));
  AM_GO(done, clone(am_params_values(ps), &e->values));
  if (am_params_buffers(ps)) AM_GO(done, clone(am_params_buffers(ps), &e->buffers));
  for (int64_t i = 0; i < e->count; i++) e->counter[i] = am_params_at(ps, i)->counter;
  *out = e;
  e = NULL;
done:
  am_ema_free(e);
  return err;
}

void am_ema_free(am_ema *e) {
  if (!e) return;
  am_tensor_release(e->values);
  am_tensor_release(e->buffers);
  free(e->counter);
  free(e);
}

am_err am_ema_copy_buffers(am_ema *e, am_params *ps) {
  if (e->buffers) AM_TRY(mix(1, am_params_buffers(ps), 0, e->buffers));
  for (int64_t i = 0; i < e->count; i++) e->counter[i] = am_params_at(ps, i)->counter;
  return AM_OK;
}

am_err am_ema_update(am_ema *e, am_params *ps, double decay) {
  AM_TRY(mix(1 - decay, am_params_values(ps), decay, e->values));
  return am_ema_copy_buffers(e, ps);
}

am_tensor *am_ema_values(am_ema *e) { return e->values; }

static am_err exchange(am_tensor *a, am_tensor *b) {
  am_err err = AM_OK;
  am_tensor *old = NULL;
  AM_GO(done, clone(a, &old));
  AM_GO(done, mix(1, b, 0, a));
  AM_GO(done, mix(1, old, 0, b));
done:
  am_tensor_release(old);
  return err;
}

am_err am_ema_swap(am_ema *e, am_params *ps) {
  AM_TRY(exchange(am_params_values(ps), e->values));
  if (e->buffers) AM_TRY(exchange(am_params_buffers(ps), e->buffers));
  for (int64_t i = 0; i < e->count; i++) {
    int64_t other = am_params_at(ps, i)->counter;
    am_params_at(ps, i)->counter = e->counter[i];
    e->counter[i] = other;
  }
  return AM_OK;
}

double am_ema_decay_at(int64_t update, double power, double max_decay) {
  if (update <= 1) return 0;
  return fmin(max_decay, 1 - pow((double)update, -power));
}
