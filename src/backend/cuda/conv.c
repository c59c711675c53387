// Convolutions by cuDNN: a plan for each geometry, operands as it takes them, and what it leaves to an own kernel.
#include <stdlib.h>

#include "backend/cuda/conv_measure.h"
#include "backend/cuda/cuda_context.h"
#include "backend/cuda/walks.h"
#include "base/mem.h"

// ---- plans ----

typedef struct {
  am_cuda_conv_plan *plan;  // owned
  am_cuda_conv_way way;
  bool measured;  // where engines are measured: this one was
} conv_plan;

void am_cuda_conv_release(void *plan) {
  conv_plan *p = plan;
  if (!p) return;
  am_cuda_conv_plan_free(p->plan);
  free(p);
}

// The first way that cuDNN has an engine for.
static am_err settle(const am_cuda *g, const am_cuda_conv *k, conv_plan *p) {
  const am_cuda_planner here = {.handle = g->dnn};
  am_cuda_conv_way way[AM_CUDA_CONV_WAYS];
  char text[AM_CUDA_CONV_TEXT];
  const int ways = am_cuda_conv_ways(k, way);
  for (int i = 0; i < ways && !p->plan; i++) {
    p->way = way[i];
    AM_TRY(am_cuda_conv_plan_new(&here, k, way[i], 0, &p->plan));
  }
  AM_CHECK(p->plan, AM_ERR_DEVICE, "cuDNN %zu has no deterministic engine for %s of %s", cudnnGetVersion(),
           am_op_name((am_op)k->op), am_cuda_conv_text(k, text));
  return AM_OK;
}

static am_err plan_of(am_cuda *g, const am_cuda_conv *k, conv_plan **out) {
  *out = am_plan_cache_find(&g->convolutions, k, sizeof *k);
  if (*out) return AM_OK;
  conv_plan *p = NULL;
  AM_TRY(AM_NEW(&p));
  const am_err err = settle(g, k, p);
  if (err) {
    am_cuda_conv_release(p);
    return err;
  }
  // A full cache releases its plans, some of which may still be running.
  if (am_plan_cache_is_full(&g->convolutions)) (void)cudaStreamSynchronize(g->stream);
  *out = p;
  return am_plan_cache_add(&g->convolutions, k, sizeof *k, p);
}

// ---- operands ----

static am_err copy(const am_cuda *g, const am_view *v, const void *from, void *to) {
  AM_TRY_CUDA(cudaMemcpyAsync(to, from, (size_t)am_cuda_count(v) * am_dtype_size(v->dtype),
                              cudaMemcpyDeviceToDevice, g->stream));
  return AM_OK;
}

// Plans are made for aligned memory; a view into flat storage may start anywhere.
static bool is_aligned(const am_view *v) { return (uintptr_t)v->data % AM_CUDA_CONV_ALIGNMENT == 0; }

// Memory in which v's elements lie aligned: its own, or a copy.
static am_err aligned(am_cuda *g, const am_view *v, void **out) {
  *out = v->data;
  if (is_aligned(v)) return AM_OK;
  AM_TRY(am_temps_take(&g->temps, (size_t)am_cuda_count(v) * am_dtype_size(v->dtype), out));
  return copy(g, v, v->data, *out);
}
// The same for an output, which `copy` brings to v afterwards where it is not v's own.
static am_err aligned_place(am_cuda *g, const am_view *v, void **out) {
  *out = v->data;
  return is_aligned(v) ? AM_OK : am_temps_take(&g->temps, (size_t)am_cuda_count(v) * am_dtype_size(v->dtype), out);
}

static am_err image_in(am_cuda *g, am_cuda_conv_way way, const am_view *v, void **out) {
  if (!way.wide) return aligned(g, v, out);
  AM_TRY(am_temps_take(&g->temps, (size_t)am_cuda_count(v) * sizeof(float), out));
  AM_TRY_CUDA(am_cuda_launch_cast(g->stream, v->data, v->dtype, *out, AM_F32, false, am_cuda_count(v)));
  return AM_OK;
}

// Whether a kernel's bytes are the same in plain order and with channels last.
static bool same_order(const am_cuda_conv *k) {
  return !k->channels_last || k->kh * k->kw == 1 || k->ci == k->groups;
}

// Outside, kernels are plain f32: here they are in the order of the images, and rounded to their type.
static am_err kernel_in(am_cuda *g, const am_cuda_conv *k, const am_view *w, void **out) {
  const bool half = k->image == AM_BF16;
  if (!half && same_order(k)) return aligned(g, w, out);
  const int last[AM_MAX_DIM] = {0, 2, 3, 1};
  const am_cuda_walk plain = am_cuda_walk_of(w->shape);
  AM_TRY(am_temps_take(&g->temps, (size_t)am_cuda_count(w) * am_dtype_size((am_dtype)k->image), out));
  AM_TRY_CUDA(am_cuda_launch_pack(g->stream, w->data,
                                  k->channels_last ? am_cuda_walk_permuted(plain, last) : plain, *out,
                                  (am_dtype)k->image, am_cuda_count(w)));
  return AM_OK;
}

static am_err kernel_place(am_cuda *g, const am_cuda_conv *k, const am_view *w, void **out) {
  return same_order(k) ? aligned_place(g, w, out) : am_temps_take(&g->temps, (size_t)am_cuda_count(w) * sizeof(float), out);
}
static am_err kernel_out(const am_cuda *g, const am_cuda_conv *k, const void *from, const am_view *w) {
  if (from == w->data) return AM_OK;
  if (same_order(k)) return copy(g, w, from, w->data);
  AM_TRY_CUDA(am_cuda_launch_copy(g->stream, sizeof(float), from,
                                  am_cuda_walk_image(w->shape, AM_LAYOUT_NHWC, 1), w->data,
                                  am_cuda_walk_image(w->shape, AM_LAYOUT_PLAIN, 1), am_cuda_count(w)));
  return AM_OK;
}

static am_err execute(am_cuda *g, const am_cuda_conv *k, conv_plan *p, const am_cuda_conv_data *data) {
  if (g->measured && !p->measured && !g->record.under_way) {
    AM_TRY(am_cuda_conv_measure(g, k, p->way, data, &p->plan));
    p->measured = true;
  }
  const size_t bytes = am_cuda_conv_plan_bytes(p->plan);
  void *workspace = g->workspace;
  if (bytes > AM_CUDA_WORKSPACE_BYTES) AM_TRY(am_temps_take(&g->temps, bytes, &workspace));
  return am_cuda_conv_plan_run(g->dnn, p->plan, data, workspace);
}

// ---- ops ----

static am_err forward(am_cuda *g, conv_plan *p, const am_cuda_conv *k, const am_view *in, am_view *y) {
  am_cuda_conv_data data = {0};
  AM_TRY(image_in(g, p->way, &in[0], &data.x));
  AM_TRY(kernel_in(g, k, &in[1], &data.w));
  AM_TRY(aligned_place(g, y, &data.y));
  if (p->way.fused) {
    AM_TRY(aligned(g, &in[2], &data.scale));
    AM_TRY(aligned(g, &in[3], &data.shift));
    if (k->op == AM_OP_conv2d_affine_add) AM_TRY(aligned(g, &in[4], &data.residual));
  }
  AM_TRY(execute(g, k, p, &data));
  return data.y == y->data ? AM_OK : copy(g, y, data.y, y->data);
}

// What an engine for the product alone has left of an affine op.
static am_err finish(const am_cuda *g, const am_cuda_conv *k, const am_view *in, am_view *y) {
  const am_cuda_finish f = {.act = {.on = k->activates, .slope = k->slope},
                            .type = y->dtype,
                            .channels = k->co,
                            .step = k->channels_last ? 1 : k->ho * k->wo,
                            .scale = in[2].data,
                            .shift = in[3].data,
                            .residual = k->op == AM_OP_conv2d_affine_add ? in[4].data : NULL,
                            .y = y->data};
  AM_TRY_CUDA(am_cuda_launch_finish(g->stream, f, am_cuda_count(y)));
  return AM_OK;
}

static am_err grad_input(am_cuda *g, conv_plan *p, const am_cuda_conv *k, const am_view *in, am_view *dx) {
  am_cuda_conv_data data = {0};
  AM_TRY(image_in(g, p->way, &in[0], &data.y));
  AM_TRY(kernel_in(g, k, &in[1], &data.w));
  AM_TRY(aligned_place(g, dx, &data.x));
  AM_TRY(execute(g, k, p, &data));
  return data.x == dx->data ? AM_OK : copy(g, dx, data.x, dx->data);
}

static am_err grad_weight(am_cuda *g, conv_plan *p, const am_cuda_conv *k, const am_view *in, am_view *dw) {
  am_cuda_conv_data data = {0};
  AM_TRY(image_in(g, p->way, &in[0], &data.y));
  AM_TRY(image_in(g, p->way, &in[1], &data.x));
  AM_TRY(kernel_place(g, k, dw, &data.w));
  AM_TRY(execute(g, k, p, &data));
  return kernel_out(g, k, data.w, dw);
}

// dw (co, ci) = the sum over places of dy (places, co) times x (places, ci): a product for each piece, then their sum.
static am_err grad_weight_product(am_cuda *g, const am_cuda_conv *k, int64_t pieces, const am_view *in,
                                  am_view *dw) {
  const int64_t weights = k->co * k->ci;
  const am_cuda_product p = {.batch = pieces,
                             .m = k->co,
                             .n = k->ci,
                             .k = k->n * k->h * k->w / pieces,
                             .transpose_a = true,
                             .type = AM_BF16,
                             .result = AM_F32};
  if (pieces == 1) return am_cuda_multiply(g, &p, in[0].data, in[1].data, dw->data);
  am_view all = {.dtype = AM_F32, .shape = AM_SHAPE(pieces, weights)},
          sum = {.data = dw->data, .dtype = AM_F32, .shape = AM_SHAPE(1, weights)};
  AM_TRY(am_temps_take(&g->temps, (size_t)(pieces * weights) * sizeof(float), &all.data));
  am_err err = am_cuda_multiply(g, &p, in[0].data, in[1].data, all.data);
  if (!err) err = am_cuda_reduce(g, &(am_reduce_desc){.kind = AM_RED_SUM, .axes = 1}, &all, &sum);
  am_temps_end(&g->temps);
  return err;
}

static am_err run(am_cuda *g, const am_cuda_conv *k, const am_view *in, am_view *out) {
  conv_plan *p = NULL;
  AM_TRY(plan_of(g, k, &p));
  am_err err = k->op == AM_OP_conv2d_grad_input    ? grad_input(g, p, k, in, out)
               : k->op == AM_OP_conv2d_grad_weight ? grad_weight(g, p, k, in, out)
                                                   : forward(g, p, k, in, out);
  if (!err && am_cuda_conv_is_affine(k) && !p->way.fused) err = finish(g, k, in, out);
  am_temps_end(&g->temps);
  if (err) am_err_add_frame(__FILE__, __LINE__, __func__);
  return err;
}

am_err am_cuda_conv2d(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_conv k = am_cuda_conv_of(AM_OP_conv2d, desc, (am_activation){0}, in[0].dtype,
                                         am_cuda_tf32(ctx), in[0].shape, in[1].shape, out[0].shape);
  return run(ctx, &k, in, out);
}

am_err am_cuda_conv2d_grad_input(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_conv k = am_cuda_conv_of(AM_OP_conv2d_grad_input, desc, (am_activation){0}, in[0].dtype,
                                         am_cuda_tf32(ctx), out[0].shape, in[1].shape, in[0].shape);
  return run(ctx, &k, in, out);
}

am_err am_cuda_conv2d_grad_weight(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_conv k = am_cuda_conv_of(AM_OP_conv2d_grad_weight, desc, (am_activation){0}, in[0].dtype,
                                         am_cuda_tf32(ctx), in[1].shape, out[0].shape, in[0].shape);
  const int64_t pieces = am_cuda_conv_product_pieces(&k);
  return pieces > 0 ? grad_weight_product(ctx, &k, pieces, in, out) : run(ctx, &k, in, out);
}

static am_err affine(am_cuda *g, am_op op, const am_conv2d_affine_desc *desc, const am_view *in,
                     am_view *out) {
  const am_cuda_conv k = am_cuda_conv_of(op, &desc->conv, desc->act, in[0].dtype, am_cuda_tf32(g),
                                         in[0].shape, in[1].shape, out[0].shape);
  return run(g, &k, in, out);
}
am_err am_cuda_conv2d_affine(void *ctx, const am_conv2d_affine_desc *desc, const am_view *in, am_view *out) {
  return affine(ctx, AM_OP_conv2d_affine, desc, in, out);
}
am_err am_cuda_conv2d_affine_add(void *ctx, const am_conv2d_affine_desc *desc, const am_view *in,
                                 am_view *out) {
  return affine(ctx, AM_OP_conv2d_affine_add, desc, in, out);
}
