#include "backend/guard/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

typedef struct {
  const am_backend *inner;  // borrowed: a constant table
  void *ctx;                // owned: the inner backend's
} guard;

// ---- the device ----

am_err am_guard_open_on(const am_backend *inner, const am_device_cfg *inner_cfg, void **ctx) {
  am_err err = AM_OK;
  guard *g = NULL;
  AM_GO(done, AM_NEW(&g));
  g->inner = inner;
  AM_GO(done, inner->open(inner_cfg, &g->ctx));
  *ctx = g;
  g = NULL;
done:
  free(g);
  return err;
}

static am_err guard_open(const am_device_cfg *cfg, void **ctx) {
  const char *colon = strchr(cfg->kind, ':');
  am_device_cfg inner_cfg = *cfg;
  inner_cfg.kind = colon ? colon + 1 : "cpu";
  const am_backend *inner = am_backend_find(inner_cfg.kind);
  AM_CHECK(inner && inner != &am_backend_guard, AM_ERR_CONFIG,
           "device \"%s\": a guard checks a device of this build, \"%s\" is none", cfg->kind, inner_cfg.kind);
  return am_guard_open_on(inner, &inner_cfg, ctx);
}

static void guard_close(void *ctx) {
  guard *g = ctx;
  g->inner->close(g->ctx);
  free(g);
}

static am_err guard_describe(void *ctx, char *text, size_t bytes) {
  const guard *g = ctx;
  int used = snprintf(text, bytes, "guard of ");
  if (used < 0 || (size_t)used >= bytes) return AM_OK;
  return g->inner->describe(g->ctx, text + used, bytes - (size_t)used);
}

// All bits set is NaN in every floating-point type.
static am_err guard_alloc(void *ctx, size_t bytes, void **out) {
  AM_TRY(am_mem_alloc_aligned(out, (int64_t)bytes, 1));
  memset(*out, 0xff, bytes);
  return AM_OK;
}

static void guard_release(void *ctx, void *memory, size_t bytes) { free(memory); }

static am_err guard_to_host(void *ctx, void *host, const void *device, size_t bytes) {
  memcpy(host, device, bytes);
  return AM_OK;
}

static am_err guard_from_host(void *ctx, void *device, const void *host, size_t bytes) {
  memcpy(device, host, bytes);
  return AM_OK;
}

static am_err guard_sync(void *ctx) {
  const guard *g = ctx;
  return g->inner->sync(g->ctx);
}

static const char *guard_lacks(void *ctx, am_op op, am_dtype dtype) {
  const guard *g = ctx;
  if (g->inner->lacks) return g->inner->lacks(g->ctx, op, dtype);
  return dtype == AM_F32 ? NULL : "what it guards computes in f32";
}

static void guard_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out) {
  const guard *g = ctx;
  if (g->inner->choose_layout) {
    g->inner->choose_layout(g->ctx, op, desc, in, out);
  } else {
    for (int i = 0; i < am_op_inputs(op); i++) in[i].layout = AM_LAYOUT_PLAIN;
  }
}

// ---- one op ----

typedef enum { READ, WRITTEN, UPDATED } role;
enum { RED_ZONE = 128, RED_BYTE = 0xa5, MAX_OPERANDS = AM_OP_MAX_INPUTS + AM_OP_MAX_OUTPUTS, RUNS = 2 };
// What fresh outputs hold: NaN in the first run, a large number in the second.
static const unsigned char filling[RUNS] = {0xff, 0x7f};

typedef struct {
  const am_view *view;  // borrowed: the caller's
  role role;
  const char *side;     // "input" or "output"
  int number;           // among its side
  size_t bytes;
  size_t skew;          // where the caller's data lie within 64 bytes: kept, so that odd views stay odd
  void *block;          // owned, inner device: red zone, skew, data, red zone
  size_t block_bytes;
  unsigned char *host;          // owned: the block before, then after a run
  unsigned char *result[RUNS];  // owned: the data after each run; outputs only
} operand;

typedef struct {
  guard *g;  // borrowed
  am_op op;
  const void *desc;  // borrowed
  operand operand[MAX_OPERANDS];  // inputs, then outputs
  int inputs, count;
} checked_call;

// What the op does with output i. The header of the op table says where an in-place op does not
// read, or not touch, what it is given.
static role role_of_output(am_op op, const void *desc, int i) {
  if (!am_op_in_place(op)) return WRITTEN;
  if (op == AM_OP_axpby && ((const am_axpby_desc *)desc)->b == 0) return WRITTEN;
  if (op == AM_OP_running_stats && ((const am_running_desc *)desc)->momentum == 1) return WRITTEN;
  if (op == AM_OP_sgd_step && i == 1) {
    const am_sgd_desc *sgd = desc;
    return sgd->momentum == 0 ? READ : sgd->step == 1 ? WRITTEN : UPDATED;
  }
  return UPDATED;
}

static unsigned char *data_of(const operand *o) { return o->host + RED_ZONE + o->skew; }

static am_err operand_init(guard *g, operand *o) {
  o->bytes = (size_t)am_shape_count(o->view->shape) * am_dtype_size(o->view->dtype);
  o->skew = (uintptr_t)o->view->data % 64;
  o->block_bytes = am_align_up(RED_ZONE + o->skew + o->bytes + RED_ZONE, 64);
  AM_TRY(AM_NEW_ARRAY(&o->host, (int64_t)o->block_bytes));
  for (int run = 0; run < RUNS && o->side[0] == 'o'; run++) {
    AM_TRY(AM_NEW_ARRAY(&o->result[run], (int64_t)o->bytes));
  }
  return g->inner->alloc(g->ctx, o->block_bytes, &o->block);
}

static void operand_fini(guard *g, operand *o) {
  if (o->block) g->inner->release(g->ctx, o->block, o->block_bytes);
  free(o->host);
  for (int run = 0; run < RUNS; run++) free(o->result[run]);
}

static am_err operand_load(guard *g, operand *o, int run) {
  memset(o->host, RED_BYTE, o->block_bytes);
  if (o->role == WRITTEN) {
    memset(data_of(o), filling[run], o->bytes);
  } else {
    memcpy(data_of(o), o->view->data, o->bytes);
  }
  return g->inner->from_host(g->ctx, o->block, o->host, o->block_bytes);
}

// Index of the first byte of two stretches that differs, or -1.
static int64_t first_difference(const unsigned char *a, const unsigned char *b, size_t bytes) {
  if (memcmp(a, b, bytes) == 0) return -1;
  int64_t i = 0;
  while (a[i] == b[i]) i++;
  return i;
}

static long long element_at(const operand *o, int64_t byte) {
  return (long long)(byte / (int64_t)am_dtype_size(o->view->dtype));
}

// Each zone is searched from its far end, so that the message tells how far a write went.
static am_err check_red_zones(const guard *g, const operand *o) {
  const unsigned char *data = data_of(o), *end = data + o->bytes;
  for (const unsigned char *p = o->host; p < data; p++) {
    AM_CHECK(*p == RED_BYTE, AM_ERR_INTERNAL, "%s wrote %lld bytes before %s %d", g->inner->name,
             (long long)(data - p), o->side, o->number);
  }
  for (const unsigned char *p = o->host + o->block_bytes; p > end; p--) {
    AM_CHECK(p[-1] == RED_BYTE, AM_ERR_INTERNAL, "%s wrote %lld bytes past the end of %s %d", g->inner->name,
             (long long)(p - end), o->side, o->number);
  }
  return AM_OK;
}

static am_err operand_check(guard *g, operand *o, int run) {
  AM_TRY(g->inner->to_host(g->ctx, o->host, o->block, o->block_bytes));
  AM_TRY(check_red_zones(g, o));
  if (o->role == READ) {
    int64_t at = first_difference(data_of(o), o->view->data, o->bytes);
    AM_CHECK(at < 0, AM_ERR_INTERNAL, "%s changed element %lld of %s %d, which it may only read",
             g->inner->name, element_at(o, at), o->side, o->number);
  }
  if (o->result[run]) memcpy(o->result[run], data_of(o), o->bytes);
  return AM_OK;
}

static am_err run_once(checked_call *c, int run) {
  am_view view[MAX_OPERANDS];
  for (int i = 0; i < c->count; i++) {
    operand *o = &c->operand[i];
    AM_TRY(operand_load(c->g, o, run));
    view[i] = *o->view;
    view[i].data = (char *)o->block + RED_ZONE + o->skew;
  }
  AM_TRY(am_backend_call(c->g->inner, c->g->ctx, c->op, c->desc, view, view + c->inputs));
  AM_TRY(c->g->inner->sync(c->g->ctx));
  for (int i = 0; i < c->count; i++) AM_TRY(operand_check(c->g, &c->operand[i], run));
  return AM_OK;
}

// The two runs agree; their result goes to the caller.
static am_err deliver(const guard *g, const operand *o) {
  int64_t at = first_difference(o->result[0], o->result[1], o->bytes);
  AM_CHECK(at < 0, AM_ERR_INTERNAL,
           "%s gave element %lld of output %d two values in two runs: unwritten, read before written, or not "
           "deterministic", g->inner->name, element_at(o, at), o->number);
  memcpy(o->view->data, o->result[0], o->bytes);
  return AM_OK;
}

static am_err check_op(guard *g, am_op op, const void *desc, const am_view *in, am_view *out) {
  am_err err = AM_OK;
  checked_call c = {.g = g, .op = op, .desc = desc, .inputs = am_op_inputs(op)};
  for (int i = 0; i < c.inputs; i++) {
    c.operand[c.count++] = (operand){.view = &in[i], .role = READ, .side = "input", .number = i};
  }
  for (int i = 0; i < am_op_outputs(op); i++) {
    c.operand[c.count++] =
        (operand){.view = &out[i], .role = role_of_output(op, desc, i), .side = "output", .number = i};
  }
  for (int i = 0; i < c.count; i++) AM_GO(done, operand_init(g, &c.operand[i]));
  for (int run = 0; run < RUNS; run++) AM_GO(done, run_once(&c, run));
  for (int i = c.inputs; i < c.count; i++) AM_GO(done, deliver(g, &c.operand[i]));
done:
  for (int i = 0; i < c.count; i++) operand_fini(g, &c.operand[i]);
  return err;
}

#define GUARD_OP(op, desc_type, inputs, outputs, in_place)                                      \
  static am_err guard_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out) { \
    return check_op(ctx, AM_OP_##op, desc, in, out);                                            \
  }
AM_OP_LIST(GUARD_OP)
#undef GUARD_OP

const am_backend am_backend_guard = {
  .name = "guard",
  .uncached = true,
  .host_memory = true,
  .open = guard_open,
  .close = guard_close,
  .describe = guard_describe,
  .alloc = guard_alloc,
  .release = guard_release,
  .to_host = guard_to_host,
  .from_host = guard_from_host,
  .sync = guard_sync,
  .lacks = guard_lacks,
  .choose_layout = guard_choose_layout,
#define GUARD_SLOT(op, desc_type, inputs, outputs, in_place) .op = guard_##op,
  AM_OP_LIST(GUARD_SLOT)
#undef GUARD_SLOT
};
