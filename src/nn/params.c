#include "nn/params.h"

#include <fnmatch.h>
#include <string.h>

#include "autograd/graph.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

struct am_params {
  am_param **entry;  // owned: each its own object, so that pointers stay valid
  int64_t count, capacity;
  bool committed;
  int64_t trainable_elements, buffer_elements;
  am_tensor *values;      // owned
  am_tensor *grads;       // owned
  am_tensor *buffers;     // owned, NULL when there are none
  am_tensor **leaf;       // owned array of borrowed tensors
  am_tensor **leaf_grad;  // owned array of borrowed tensors
  int leaf_count;
};

am_err am_params_new(am_params **out) { return AM_NEW(out); }

void am_params_free(am_params *ps) {
  if (!ps) return;
  for (int64_t i = 0; i < ps->count; i++) {
    am_tensor_release(ps->entry[i]->value);
    am_tensor_release(ps->entry[i]->grad);
    for (int k = 0; k < 2; k++) am_tensor_release(ps->entry[i]->derived[k]);
    free(ps->entry[i]->name);
    free(ps->entry[i]);
  }
  am_tensor_release(ps->values);
  am_tensor_release(ps->grads);
  am_tensor_release(ps->buffers);
  free(ps->leaf);
  free(ps->leaf_grad);
  free(ps->entry);
  free(ps);
}

// ---- declaration ----

am_err am_params_add(am_params *ps, const char *name, am_shape shape, am_param_kind kind, am_init init,
                     am_param **out) {
  am_err err = AM_OK;
  am_param *p = NULL;
  AM_CHECK(!ps->committed, AM_ERR_ARG, "parameter %s is declared after the parameters were allocated", name);
  AM_CHECK(!am_params_find(ps, name), AM_ERR_ARG, "there is already a parameter %s", name);
  AM_TRY(AM_GROW(&ps->entry, &ps->capacity, ps->count + 1));
  AM_TRY(AM_NEW(&p));
  AM_GO(fail, am_mem_strdup(name, &p->name));
  p->shape = shape;
  p->kind = kind;
  p->init = init;
  p->lr_factor = 1;
  ps->entry[ps->count++] = p;
  *out = p;
  return AM_OK;
fail:
  free(p);
  return err;
}

int64_t am_params_count(const am_params *ps) { return ps->count; }
am_param *am_params_at(am_params *ps, int64_t i) { return ps->entry[i]; }

am_param *am_params_find(am_params *ps, const char *name) {
  for (int64_t i = 0; i < ps->count; i++) {
    if (strcmp(ps->entry[i]->name, name) == 0) return ps->entry[i];
  }
  return NULL;
}

// ---- fine-tuning ----

bool am_param_matches(const char *name, const char *pattern) {
  char module[256];
  if (fnmatch(pattern, name, 0) == 0) return true;
  for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
    snprintf(module, sizeof module, "%.*s", (int)(dot - name), name);
    if (fnmatch(pattern, module, 0) == 0) return true;
  }
  return false;
}

int64_t am_params_freeze(am_params *ps, const char *pattern, bool hold_statistics) {
  int64_t count = 0;
  AM_ASSERT(!ps->committed);
  for (int64_t i = 0; i < ps->count; i++) {
    am_param *p = ps->entry[i];
    if (p->kind != AM_PARAM_TRAINABLE || !am_param_matches(p->name, pattern)) continue;
    p->kind = AM_PARAM_BUFFER;
    p->hold_statistics = hold_statistics;
    count++;
  }
  return count;
}

int64_t am_params_scale_lr(am_params *ps, const char *pattern, double factor) {
  int64_t count = 0;
  for (int64_t i = 0; i < ps->count; i++) {
    am_param *p = ps->entry[i];
    if (p->kind != AM_PARAM_TRAINABLE || !am_param_matches(p->name, pattern)) continue;
    p->lr_factor = factor;
    count++;
  }
  return count;
}

// ---- allocation and initial values ----

static void lay_out(am_params *ps) {
  ps->trainable_elements = ps->buffer_elements = ps->leaf_count = 0;
  for (int64_t i = 0; i < ps->count; i++) {
    am_param *p = ps->entry[i];
    if (p->kind == AM_PARAM_COUNTER) continue;
    int64_t *end = p->kind == AM_PARAM_TRAINABLE ? &ps->trainable_elements : &ps->buffer_elements;
    p->offset = *end;
    *end += am_shape_count(p->shape);
    ps->leaf_count += p->kind == AM_PARAM_TRAINABLE;
  }
}

static void draw(const am_init *init, uint64_t seed, int64_t index, int64_t count, double *value) {
  am_rng rng = am_rng_at(seed, AM_RNG_INIT, (uint64_t)index);
  for (int64_t i = 0; i < count; i++) {
    switch (init->kind) {
      case AM_INIT_CONSTANT:
        value[i] = init->a;
        break;
      case AM_INIT_UNIFORM:
        value[i] = am_rng_range(&rng, -init->a, init->a);
        break;
      case AM_INIT_NORMAL:
        value[i] = init->a + init->b * am_rng_normal(&rng);
        break;
    }
  }
}

static am_err initialise(am_param *p, uint64_t seed, int64_t index) {
  am_err err = AM_OK;
  int64_t count = am_tensor_count(p->value);
  double *drawn = NULL;
  float *single = NULL;
  AM_GO(done, AM_NEW_ARRAY(&drawn, count));
  draw(&p->init, seed, index, count, drawn);
  if (p->value->dtype == AM_F64) {
    AM_GO(done, am_tensor_copy_from_host(p->value, drawn));
  } else {
    AM_GO(done, AM_NEW_ARRAY(&single, count));
    for (int64_t i = 0; i < count; i++) single[i] = (float)drawn[i];
    AM_GO(done, am_tensor_copy_from_host(p->value, single));
  }
done:
  free(drawn);
  free(single);
  return err;
}

static am_err make_views(am_params *ps) {
  int leaf = 0;
  AM_TRY(AM_NEW_ARRAY(&ps->leaf, ps->leaf_count));
  AM_TRY(AM_NEW_ARRAY(&ps->leaf_grad, ps->leaf_count));
  for (int64_t i = 0; i < ps->count; i++) {
    am_param *p = ps->entry[i];
    if (p->kind == AM_PARAM_TRAINABLE) {
      AM_TRY(am_tensor_view(ps->values, p->offset, p->shape, &p->value));
      AM_TRY(am_tensor_view(ps->grads, p->offset, p->shape, &p->grad));
      am_require_grad(p->value, true);
      ps->leaf[leaf] = p->value;
      ps->leaf_grad[leaf++] = p->grad;
    } else if (p->kind == AM_PARAM_BUFFER) {
      AM_TRY(am_tensor_view(ps->buffers, p->offset, p->shape, &p->value));
    }
  }
  return AM_OK;
}

am_err am_params_allocate(am_params *ps, am_device *dev, am_dtype dtype) {
  AM_CHECK(!ps->committed, AM_ERR_ARG, "the parameters are already allocated");
  AM_CHECK(dtype == AM_F32 || dtype == AM_F64, AM_ERR_UNSUPPORTED, "parameters are f32 or f64, not %s",
           am_dtype_name(dtype));
  lay_out(ps);
  AM_CHECK(ps->trainable_elements > 0, AM_ERR_ARG, "the network declares no trainable parameter");
  ps->committed = true;
  AM_TRY(am_tensor_zeros(dev, dtype, AM_SHAPE(ps->trainable_elements), &ps->values));
  AM_TRY(am_tensor_zeros(dev, dtype, AM_SHAPE(ps->trainable_elements), &ps->grads));
  if (ps->buffer_elements > 0)
    AM_TRY(am_tensor_zeros(dev, dtype, AM_SHAPE(ps->buffer_elements), &ps->buffers));
  return make_views(ps);
}

am_err am_params_commit(am_params *ps, am_device *dev, am_dtype dtype, uint64_t seed) {
  AM_TRY(am_params_allocate(ps, dev, dtype));
  for (int64_t i = 0; i < ps->count; i++) {
    if (ps->entry[i]->value) AM_TRY(initialise(ps->entry[i], seed, i));
  }
  return AM_OK;
}

// ---- access ----

int64_t am_params_trainable_elements(const am_params *ps) { return ps->trainable_elements; }
am_tensor *am_params_values(am_params *ps) { return ps->values; }
am_tensor *am_params_grads(am_params *ps) { return ps->grads; }
am_tensor *am_params_buffers(am_params *ps) { return ps->buffers; }

am_tensor *const *am_params_leaves(am_params *ps, int *count) {
  *count = ps->leaf_count;
  return ps->leaf;
}

am_tensor *const *am_params_grad_views(am_params *ps, int *count) {
  *count = ps->leaf_count;
  return ps->leaf_grad;
}

// ---- identity and copies ----

static am_err hash_param(am_sha256 *h, const am_param *p) {
  am_err err = AM_OK;
  char *host = NULL;
  AM_TRY(am_sha256_update(h, p->name, strlen(p->name) + 1));
  AM_TRY(am_sha256_update(h, p->shape.dim, sizeof(int64_t) * (size_t)p->shape.ndim));
  if (!p->value) return am_sha256_update(h, &p->counter, sizeof p->counter);
  int64_t count = am_tensor_count(p->value);
  size_t element = am_dtype_size(p->value->dtype);
  AM_TRY(am_mem_alloc(&host, count, element));
  AM_GO(done, am_tensor_to_host(p->value, host));
  AM_GO(done, am_sha256_update(h, host, (size_t)count * element));
done:
  free(host);
  return err;
}

am_err am_params_hash(am_params *ps, char hex[65]) {
  am_err err = AM_OK;
  am_sha256 *h = NULL;
  AM_TRY(am_sha256_new(&h));
  for (int64_t i = 0; i < ps->count; i++) AM_GO(done, hash_param(h, ps->entry[i]));
  AM_GO(done, am_sha256_finish(h, hex));
done:
  am_sha256_free(h);
  return err;
}

static am_err check_alike(const am_params *a, const am_params *b) {
  char a_text[AM_SHAPE_TEXT], b_text[AM_SHAPE_TEXT];
  AM_CHECK(a->count == b->count, AM_ERR_ARG, "the networks have %lld and %lld parameters",
           (long long)a->count, (long long)b->count);
  for (int64_t i = 0; i < a->count; i++) {
    const am_param *p = a->entry[i], *q = b->entry[i];
    AM_CHECK(strcmp(p->name, q->name) == 0 && p->kind == q->kind && am_shape_equal(p->shape, q->shape),
             AM_ERR_ARG, "parameter %lld is %s %s in one network and %s %s in the other", (long long)i,
             p->name, am_shape_text(p->shape, a_text), q->name, am_shape_text(q->shape, b_text));
  }
  return AM_OK;
}

static am_err copy_tensor(am_tensor *from, am_tensor *to) {
  return am_dispatch(to->device, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &from, &to);
}

am_err am_params_copy(am_params *from, am_params *to) {
  AM_TRY(check_alike(from, to));
  if (from == to) return AM_OK;
  AM_TRY(copy_tensor(from->values, to->values));
  if (from->buffers) AM_TRY(copy_tensor(from->buffers, to->buffers));
  for (int64_t i = 0; i < from->count; i++) to->entry[i]->counter = from->entry[i]->counter;
  return AM_OK;
}

am_err am_params_replayed(am_params *ps, am_replay *r) {
  for (int64_t i = 0; i < ps->count; i++) {
    if (ps->entry[i]->kind == AM_PARAM_COUNTER) AM_TRY(am_replay_counter(r, &ps->entry[i]->counter));
  }
  return AM_OK;
}
