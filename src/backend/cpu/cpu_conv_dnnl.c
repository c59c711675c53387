// Convolutions by oneDNN, on blocked f32 or on rows of bf16: prepared once per shape, kept in the context.
//
// Algorithm: in f32 Winograd F(4x4, 3x3) where it pays and oneDNN has it (2.x, AVX-512), else direct.
// Weights are plain f32 on the outside; oneDNN names the layout it wants and a reorder goes between, which
// rounds them to bf16 where that is wanted. Their gradients come out of oneDNN in f32.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_bf16.h"
#include "base/hash.h"
#include "base/mem.h"

// What a plan is for; compared as bytes, so it is filled from zero.
typedef struct {
  am_cpu_conv conv;
  int64_t op, activates;
  double slope;
} plan_key;

struct am_cpu_conv_plan {
  plan_key key;
  am_cpu_conv_plan *next;               // owned: same slot of the table
  char name[96];                        // "gemm" when the rule does not give it to oneDNN
  bool is_dnnl;                         // the rule gives it to oneDNN
  bool is_amx;                          // to our own kernel; oneDNN only reorders the gradient
  bool runs;                            // which has more than reference loops
  dnnl_primitive_t conv, weights;       // weights: reorder from plain, or their gradient's to it; may be NULL
  dnnl_memory_t x, y, w_plain, w, pad;  // pad: oneDNN's scratch memory
  dnnl_memory_t bias, residual;         // of conv2d_affine(_add); may be NULL
  size_t w_bytes, pad_bytes;            // 0: not needed
};

enum { PLAN_SLOTS = 256, PLAN_LIMIT = 1024 };

// ---- a plan ----

static void plan_free(am_cpu_conv_plan *p) {
  if (!p) return;
  const dnnl_memory_t memory[] = {p->x, p->y, p->w_plain, p->w, p->pad, p->bias, p->residual};
  for (int64_t i = 0; i < AM_COUNT_OF(memory); i++) {
    if (memory[i]) dnnl_memory_destroy(memory[i]);
  }
  if (p->conv) dnnl_primitive_destroy(p->conv);
  if (p->weights) dnnl_primitive_destroy(p->weights);
  free(p);
}

static bool is_affine(am_op op) { return op == AM_OP_conv2d_affine || op == AM_OP_conv2d_affine_add; }

static am_dnnl_conv describe(const plan_key *key) {
  const am_op op = (am_op)key->op;
  const am_cpu_conv *c = &key->conv;
  const dnnl_format_tag_t blocked_x = c->ci % AM_CPU_LANES == 0 ? dnnl_nChw16c : dnnl_nchw;
  // What oneDNN pads after the image: it wants the last window to fit exactly, as floor() cut it.
  const int64_t after_h = (c->ho - 1) * c->stride_h + (c->kh - 1) * c->dilation_h + 1 - c->h - c->pad_h;
  const int64_t after_w = (c->wo - 1) * c->stride_w + (c->kw - 1) * c->dilation_w + 1 - c->w - c->pad_w;
  return (am_dnnl_conv){
      .kind = op == AM_OP_conv2d_grad_input    ? AM_DNNL_GRAD_INPUT
              : op == AM_OP_conv2d_grad_weight ? AM_DNNL_GRAD_WEIGHT
                                               : AM_DNNL_FORWARD,
      .x = {c->n, c->ci, c->h, c->w}, .w = {c->co, c->ci, c->kh, c->kw}, .y = {c->n, c->co, c->ho, c->wo},
      .x_tag = c->bf16 ? dnnl_nhwc : blocked_x, .y_tag = c->bf16 ? dnnl_nhwc : dnnl_nChw16c,
      .image = c->bf16 ? dnnl_bf16 : dnnl_f32,
      .kernel = c->bf16 && op != AM_OP_conv2d_grad_weight ? dnnl_bf16 : dnnl_f32, .stride = {c->stride_h, c->stride_w},
      .dilation = {c->dilation_h - 1, c->dilation_w - 1}, .pad_before = {c->pad_h, c->pad_w},
      .pad_after = {after_h, after_w}, .finished = is_affine(op), .adds_image = op == AM_OP_conv2d_affine_add,
      .activates = key->activates, .slope = (float)key->slope};
}

// Winograd works on 4x4 tiles of the output and transforms the weights to 4 times their size: it
// needs many tiles that are not mostly border. Measured on Zen 5, one thread, ms forward, direct :
// Winograd: 128 channels, 16 tiles 0.34 : 0.53, 64 tiles 1.29 : 0.96, 256 tiles 5.3 : 3.0; 512
// channels, 16 tiles 6.4 : 13.7, 64 tiles 43 : 35; 512 channels of 2x2 places, 64 tiles 6.4 : 18.4.
enum { WINOGRAD_MIN_TILES = 64, WINOGRAD_MIN_CHANNELS = 32 };

bool am_cpu_conv_suits_winograd(const am_cpu_conv *c) {
  const bool form = c->kh == 3 && c->kw == 3 && c->stride_h == 1 && c->stride_w == 1 && c->dilation_h == 1 &&
                    c->dilation_w == 1;
  const int64_t tiles = am_ceil_div(c->ho, 4) * am_ceil_div(c->wo, 4);
  const bool filled = 2 * c->ho * c->wo >= 16 * tiles;
  return !c->bf16 && form && filled && c->n * tiles >= WINOGRAD_MIN_TILES && c->ci % AM_CPU_LANES == 0 &&
         am_min_i64(c->ci, c->co) >= WINOGRAD_MIN_CHANNELS;
}

// Winograd where it suits and oneDNN has it, else direct; *pd is NULL when there is neither.
static am_err choose_pd(am_cpu *cpu, const plan_key *key, dnnl_primitive_desc_t *pd) {
  const am_cpu_conv *c = &key->conv;
  am_dnnl_conv conv = describe(key);
  *pd = NULL;
  for (int attempt = am_cpu_conv_suits_winograd(c) ? 0 : 1; attempt < 2; attempt++) {
    conv.winograd = attempt == 0;
    const dnnl_status_t status = am_dnnl_conv_pd(cpu->engine, &conv, pd);
    if (status == dnnl_success) return AM_OK;
    *pd = NULL;
    AM_CHECK(status == dnnl_unimplemented, am_dnnl_err_code(status),
             "oneDNN: a convolution of (%lld, %lld, %lld, %lld) gave %s",
             (long long)c->n, (long long)c->ci, (long long)c->h, (long long)c->w,
             am_dnnl_status_text(status));
  }
  return AM_OK;
}

static am_err memory_like(am_cpu *cpu, const_dnnl_primitive_desc_t pd, dnnl_query_t what, dnnl_memory_t *out,
                          size_t *bytes) {
  am_dnnl_md md = dnnl_primitive_desc_query_md(pd, what, 0);
  *bytes = md ? dnnl_memory_desc_get_size(md) : 0;
  if (*bytes) AM_TRY_DNNL(dnnl_memory_create(out, md, cpu->engine, DNNL_MEMORY_NONE));
  return AM_OK;
}

static am_err plain_weights(am_cpu *cpu, const am_cpu_conv *c, dnnl_format_tag_t tag, dnnl_memory_t *out) {
  const dnnl_dims_t dims = {c->co, c->ci, c->kh, c->kw};
  AM_TRY_DNNL(am_dnnl_memory(cpu->engine, 4, dims, tag, out));
  return AM_OK;
}

// The reorder between plain weights and those that the convolution wants (p->w), if they differ.
static am_err prepare_weights(am_cpu *cpu, am_cpu_conv_plan *p, bool gradient) {
  am_err err = AM_OK;
  am_dnnl_md plain = NULL, wanted = NULL;
  dnnl_primitive_desc_t reorder = NULL;
  AM_TRY(plain_weights(cpu, &p->key.conv, dnnl_oihw, &p->w_plain));
  AM_TRY_DNNL(am_dnnl_memory_md(p->w_plain, &plain));
  AM_TRY_DNNL(am_dnnl_memory_md(p->w, &wanted));
  if (dnnl_memory_desc_equal(plain, wanted)) {
    p->w_bytes = 0;
    return AM_OK;
  }
  AM_GO_DNNL(done, dnnl_reorder_primitive_desc_create(&reorder, gradient ? wanted : plain, cpu->engine,
                                                      gradient ? plain : wanted, cpu->engine, NULL));
  AM_GO_DNNL(done, dnnl_primitive_create(&p->weights, reorder));
done:
  if (reorder) dnnl_primitive_desc_destroy(reorder);
  return err;
}

static am_err prepare(am_cpu *cpu, am_cpu_conv_plan *p, const_dnnl_primitive_desc_t pd) {
  const am_op op = (am_op)p->key.op;
  const char *name = NULL;
  size_t bytes = 0;
  AM_TRY_DNNL(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name));
  snprintf(p->name, sizeof p->name, "%s", name);
  p->runs = strncmp(name, "ref", 3) != 0;
  if (!p->runs) return AM_OK;
  AM_TRY_DNNL(dnnl_primitive_create(&p->conv, pd));
  AM_TRY(memory_like(cpu, pd, op == AM_OP_conv2d_grad_input ? dnnl_query_diff_src_md : dnnl_query_src_md,
                     &p->x, &bytes));
  const bool forward = op == AM_OP_conv2d || is_affine(op);
  AM_TRY(memory_like(cpu, pd, forward ? dnnl_query_dst_md : dnnl_query_diff_dst_md, &p->y, &bytes));
  if (is_affine(op)) {
    const dnnl_dims_t channels = {p->key.conv.co};
    AM_TRY_DNNL(am_dnnl_memory(cpu->engine, 1, channels, dnnl_a, &p->bias));
  }
  if (op == AM_OP_conv2d_affine_add) AM_TRY(memory_like(cpu, pd, dnnl_query_dst_md, &p->residual, &bytes));
  AM_TRY(memory_like(cpu, pd, dnnl_query_scratchpad_md, &p->pad, &p->pad_bytes));
  const bool gradient = op == AM_OP_conv2d_grad_weight;
  AM_TRY(memory_like(cpu, pd, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md, &p->w,
                     &p->w_bytes));
  return prepare_weights(cpu, p, gradient);
}

static void name_amx(am_cpu_conv_plan *p) {
  p->is_amx = p->runs = true;
  snprintf(p->name, sizeof p->name, "amx");
}

// Our own kernel writes (co, kh, kw, ci), which is plain where there is one tap.
static am_err prepare_amx(am_cpu *cpu, am_cpu_conv_plan *p) {
  const am_cpu_conv *c = &p->key.conv;
  name_amx(p);
  if (c->kh * c->kw == 1) return AM_OK;
  p->w_bytes = (size_t)(c->co * c->kh * c->kw * c->ci) * sizeof(float);
  AM_TRY(plain_weights(cpu, c, dnnl_ohwi, &p->w));
  return prepare_weights(cpu, p, true);
}

static am_err plan_new(am_cpu *cpu, const plan_key *key, am_cpu_conv_plan **out) {
  am_err err = AM_OK;
  am_cpu_conv_plan *p = NULL;
  dnnl_primitive_desc_t pd = NULL;
  AM_GO(done, AM_NEW(&p));
  p->key = *key;
  if (am_cpu_amx_rows_suits(cpu, (am_op)key->op, &key->conv)) {
    name_amx(p);
  } else if (am_cpu_amx_grad_weight_suits(cpu, (am_op)key->op, &key->conv)) {
    AM_GO(done, prepare_amx(cpu, p));
  } else {
    p->is_dnnl = key->conv.bf16 ? key->conv.groups == 1 : am_cpu_conv_is_blocked(cpu, (am_op)key->op, &key->conv);
    snprintf(p->name, sizeof p->name, "%s", p->is_dnnl ? "nothing" : "gemm");
    if (p->is_dnnl) AM_GO(done, choose_pd(cpu, key, &pd));
    if (pd) AM_GO(done, prepare(cpu, p, pd));
  }
  *out = p;
  p = NULL;
done:
  if (pd) dnnl_primitive_desc_destroy(pd);
  plan_free(p);
  return err;
}

// ---- the table of plans ----

void am_cpu_conv_plans_free(am_cpu *cpu) {
  for (int64_t i = 0; cpu->plan && i < PLAN_SLOTS; i++) {
    for (am_cpu_conv_plan *p = cpu->plan[i]; p;) {
      am_cpu_conv_plan *next = p->next;
      plan_free(p);
      p = next;
    }
  }
  free(cpu->plan);
  cpu->plan = NULL;
  cpu->plan_count = 0;
}

am_err am_cpu_conv_plan_get(am_cpu *cpu, am_op op, const am_cpu_conv *c, am_activation act,
                            am_cpu_conv_plan **plan) {
  plan_key key;
  memset(&key, 0, sizeof key);
  key.conv = *c;
  key.op = op;
  key.activates = act.on;
  key.slope = act.on ? act.slope : 0;
  // A program that keeps meeting new shapes starts over rather than keep them all.
  if (cpu->plan_count >= PLAN_LIMIT) am_cpu_conv_plans_free(cpu);
  if (!cpu->plan) AM_TRY(AM_NEW_ARRAY(&cpu->plan, PLAN_SLOTS));
  am_cpu_conv_plan **slot = &cpu->plan[am_crc32c(0, &key, sizeof key) % PLAN_SLOTS];
  am_cpu_conv_plan *p = *slot;
  while (p && memcmp(&p->key, &key, sizeof key) != 0) p = p->next;
  if (!p) {
    am_cpu_use_threads(cpu);
    AM_TRY(plan_new(cpu, &key, &p));
    p->next = *slot;
    *slot = p;
    cpu->plan_count++;
  }
  *plan = p->runs ? p : NULL;
  return AM_OK;
}

static am_cpu_conv_use use_of(const am_cpu_conv_plan *p) {
  const am_cpu_conv *c = &p->key.conv;
  const am_conv2d_desc d = {.stride_h = c->stride_h, .stride_w = c->stride_w, .pad_h = c->pad_h,
                            .pad_w = c->pad_w, .dilation_h = c->dilation_h, .dilation_w = c->dilation_w,
                            .groups = c->groups, .in_h = c->h, .in_w = c->w, .kernel_h = c->kh,
                            .kernel_w = c->kw};
  return (am_cpu_conv_use){.op = (am_op)p->key.op, .desc = d, .image = c->bf16 ? AM_BF16 : AM_F32,
                           .x = AM_SHAPE(c->n, c->ci, c->h, c->w),
                           .w = AM_SHAPE(c->co, c->ci / c->groups, c->kh, c->kw),
                           .y = AM_SHAPE(c->n, c->co, c->ho, c->wo), .impl = p->name,
                           .fell_back = p->is_dnnl && !p->runs};
}

int64_t am_cpu_conv_uses(void *ctx, am_cpu_conv_use *use, int64_t room) {
  const am_cpu *cpu = ctx;
  int64_t count = 0;
  for (int64_t i = 0; cpu->plan && i < PLAN_SLOTS; i++) {
    for (const am_cpu_conv_plan *p = cpu->plan[i]; p; p = p->next, count++) {
      if (count < room) use[count] = use_of(p);
    }
  }
  return count;
}

const char *am_cpu_conv_plan_name(const am_cpu_conv_plan *plan) { return plan->name; }
bool am_cpu_conv_plan_is_amx(const am_cpu_conv_plan *plan) { return plan->is_amx; }

// ---- running one ----

static am_err reorder_weights(am_cpu *cpu, am_cpu_conv_plan *p, dnnl_memory_t from, dnnl_memory_t to) {
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  AM_TRY_DNNL(dnnl_primitive_execute(p->weights, cpu->stream, 2, args));
  return AM_OK;
}

static am_err run_amx(am_cpu *cpu, am_cpu_conv_plan *p, void *x, void *w, void *y) {
  void *dw = w;
  const am_op op = (am_op)p->key.op;
  const am_view kernel = {.data = w};  // that changes with every step
  if (op == AM_OP_conv2d_grad_input) return am_cpu_amx_rows(cpu, op, &p->key.conv, y, &kernel, NULL, x);
  if (op != AM_OP_conv2d_grad_weight) return am_cpu_amx_rows(cpu, op, &p->key.conv, x, &kernel, NULL, y);
  if (p->weights) AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, (int64_t)p->w_bytes, 1, &dw));
  AM_TRY(am_cpu_amx_grad_weight(cpu, &p->key.conv, x, y, dw));
  if (!p->weights) return AM_OK;
  AM_TRY_DNNL(dnnl_memory_set_data_handle(p->w_plain, w));
  AM_TRY_DNNL(dnnl_memory_set_data_handle(p->w, dw));
  AM_TRY(reorder_weights(cpu, p, p->w, p->w_plain));
  AM_TRY_DNNL(dnnl_stream_wait(cpu->stream));
  return AM_OK;
}

am_err am_cpu_conv_plan_run(am_cpu *cpu, am_cpu_conv_plan *p, void *x, void *w, void *y) {
  if (p->is_amx) return run_amx(cpu, p, x, w, y);
  return am_cpu_conv_plan_run_affine(cpu, p, x, w, NULL, NULL, y);
}

am_err am_cpu_conv_plan_run_affine(am_cpu *cpu, am_cpu_conv_plan *p, void *x, void *w, void *shift,
                                   void *residual, void *y) {
  const am_op op = (am_op)p->key.op;
  const bool gradient = op == AM_OP_conv2d_grad_weight, forward = op == AM_OP_conv2d || is_affine(op);
  void *w_wanted = w, *pad = NULL;
  am_cpu_use_threads(cpu);
  if (p->weights) AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, (int64_t)p->w_bytes, 1, &w_wanted));
  if (p->pad) AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_DNNL, (int64_t)p->pad_bytes, 1, &pad));
  AM_TRY_DNNL(dnnl_memory_set_data_handle(p->w_plain, w));
  const struct {
    int arg;
    dnnl_memory_t memory;
    void *data;
  } operand[] = {
      {op == AM_OP_conv2d_grad_input ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, p->x, x},
      {gradient ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, p->w, w_wanted},
      {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, p->y, y},
      {DNNL_ARG_SCRATCHPAD, p->pad, pad},
      {DNNL_ARG_BIAS, p->bias, shift},
      {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, p->residual, residual},
  };
  dnnl_exec_arg_t args[AM_COUNT_OF(operand)];
  int count = 0;
  for (int i = 0; i < AM_COUNT_OF(operand); i++) {
    if (!operand[i].memory) continue;
    AM_TRY_DNNL(dnnl_memory_set_data_handle(operand[i].memory, operand[i].data));
    args[count++] = (dnnl_exec_arg_t){operand[i].arg, operand[i].memory};
  }
  if (p->weights && !gradient) AM_TRY(reorder_weights(cpu, p, p->w_plain, p->w));
  AM_TRY_DNNL(dnnl_primitive_execute(p->conv, cpu->stream, count, args));
  if (p->weights && gradient) AM_TRY(reorder_weights(cpu, p, p->w, p->w_plain));
  AM_TRY_DNNL(dnnl_stream_wait(cpu->stream));
  return AM_OK;
}
