// From an op and its tensors to a backend's function: check, infer, settle layouts, allocate, call.
// Everything that depends on which ops there are is generated from AM_OP_LIST.
#include <string.h>

#include "tensor/device_internal.h"
#include "tensor/infer.h"

typedef union {
#define OP_MEMBER(op, desc_type, inputs, outputs, in_place) desc_type op;
  AM_OP_LIST(OP_MEMBER)
#undef OP_MEMBER
} any_desc;

static const struct {
  const char *name;
  size_t desc_size;
  int inputs, outputs;
  bool in_place;
} op_info[AM_OP_COUNT] = {
#define OP_INFO(op, desc_type, inputs, outputs, in_place) \
  [AM_OP_##op] = {#op, sizeof(desc_type), inputs, outputs, in_place},
  AM_OP_LIST(OP_INFO)
#undef OP_INFO
};

#define OP_FITS(op, desc_type, inputs, outputs, in_place)                           \
  _Static_assert((inputs) <= AM_OP_MAX_INPUTS && (outputs) <= AM_OP_MAX_OUTPUTS, \
                 "op " #op " has more operands than fit");
AM_OP_LIST(OP_FITS)
#undef OP_FITS

const char *am_op_name(am_op op) { return op_info[op].name; }
int am_op_inputs(am_op op) { return op_info[op].inputs; }
int am_op_outputs(am_op op) { return op_info[op].outputs; }
bool am_op_in_place(am_op op) { return op_info[op].in_place; }
size_t am_op_desc_size(am_op op) { return op_info[op].desc_size; }

// One call of an op on its way through dispatch.
typedef struct {
  am_device *dev;  // borrowed
  am_op op;
  any_desc desc;   // with defaults filled in
  am_view in[AM_OP_MAX_INPUTS], out[AM_OP_MAX_OUTPUTS];
  am_tensor *input[AM_OP_MAX_INPUTS];    // owned: as the backend wants them
  am_tensor *output[AM_OP_MAX_OUTPUTS];  // owned until success, in-place ones borrowed
  double device_sec;  // of a profiled call; negative where the device keeps no time
} op_call;

static am_err infer(op_call *c) {
  switch (c->op) {
#define OP_INFER(op, desc_type, inputs, outputs, in_place) \
  case AM_OP_##op: return am_infer_##op(&c->desc.op, c->in, c->out);
    AM_OP_LIST(OP_INFER)
#undef OP_INFER
    case AM_OP_COUNT: break;
  }
  return AM_FAIL(AM_ERR_ARG, "there is no op %d", (int)c->op);
}

am_err am_backend_call(const am_backend *backend, void *ctx, am_op op, const void *desc, const am_view *in,
                       am_view *out) {
  switch (op) {
#define OP_CALL(op, desc_type, inputs, outputs, in_place) \
  case AM_OP_##op:                                        \
    if (!backend->op) break;                              \
    return backend->op(ctx, (const desc_type *)desc, in, out);
    AM_OP_LIST(OP_CALL)
#undef OP_CALL
    case AM_OP_COUNT: break;
  }
  return AM_FAIL(AM_ERR_UNSUPPORTED, "device %s does not have this op", backend->name);
}

static am_view without_data(const am_tensor *t) {
  return (am_view){.dtype = t->dtype, .layout = t->layout, .shape = t->shape};
}

static bool overlaps(const am_tensor *a, const am_tensor *b) {
  size_t a_bytes = (size_t)am_tensor_count(a) * am_dtype_size(a->dtype);
  size_t b_bytes = (size_t)am_tensor_count(b) * am_dtype_size(b->dtype);
  return a->buffer == b->buffer && a->offset_bytes < b->offset_bytes + b_bytes &&
         b->offset_bytes < a->offset_bytes + a_bytes;
}

// In-place ops: the outputs are the caller's, have one layout, and share no memory with an operand.
static am_err check_updated(const op_call *c, am_tensor *const *in, am_tensor *const *out) {
  int inputs = op_info[c->op].inputs, outputs = op_info[c->op].outputs;
  for (int i = 0; i < outputs; i++) {
    AM_CHECK(out[i]->device == c->dev, AM_ERR_ARG, "output %d lives on another device", i);
    AM_TRY(am_tensor_check_present(out[i]));
    AM_CHECK(out[i]->layout == out[0]->layout, AM_ERR_ARG, "the tensors that are updated differ in layout");
    for (int j = 0; j < inputs; j++) {
      AM_CHECK(!overlaps(out[i], in[j]), AM_ERR_ARG, "output %d shares memory with input %d", i, j);
    }
    for (int j = 0; j < i; j++) {
      AM_CHECK(!overlaps(out[i], out[j]), AM_ERR_ARG, "outputs %d and %d share memory", j, i);
    }
  }
  return AM_OK;
}

am_err am_device_check_type(const am_device *dev, am_op op, am_dtype dtype) {
  const char *lack = dtype == AM_F32 ? NULL : "it computes in f32";
  if (dev->backend->lacks) lack = dev->backend->lacks(dev->ctx, op, dtype);
  AM_CHECK(!lack, AM_ERR_UNSUPPORTED, "device %s does not compute %s in %s: %s", dev->kind, am_op_name(op),
           am_dtype_name(dtype), lack);
  return AM_OK;
}

static bool is_float(am_dtype t) { return t == AM_F32 || t == AM_F64 || t == AM_BF16; }

// fill, cast and reorder only move values; every other op computes in the type of its first operand.
static am_err check_type(const op_call *c) {
  if (c->op == AM_OP_fill || c->op == AM_OP_cast || c->op == AM_OP_reorder) return AM_OK;
  am_dtype t = op_info[c->op].inputs > 0 ? c->in[0].dtype : c->out[0].dtype;
  return is_float(t) ? am_device_check_type(c->dev, c->op, t) : AM_OK;
}

static void settle_layouts(op_call *c) {
  const am_backend *b = c->dev->backend;
  int inputs = op_info[c->op].inputs;
  if (c->op == AM_OP_reorder) return;  // that is its whole meaning
  if (op_info[c->op].in_place) {
    for (int i = 0; i < inputs; i++) c->in[i].layout = c->out[0].layout;
  } else if (b->choose_layout) {
    b->choose_layout(c->dev->ctx, c->op, &c->desc, c->in, c->out);
  } else {
    for (int i = 0; i < inputs; i++) c->in[i].layout = AM_LAYOUT_PLAIN;
  }
}

// Whether output i may be written to `given`.
static bool takes_output(const op_call *c, int i, const am_tensor *given) {
  bool fits = given && given->device == c->dev && given->buffer && given->dtype == c->out[i].dtype &&
              given->layout == c->out[i].layout && am_shape_equal(given->shape, c->out[i].shape);
  for (int k = 0; fits && k < op_info[c->op].inputs; k++) fits = !overlaps(given, c->input[k]);
  return fits;
}

static am_err make_output(op_call *c, int i, am_tensor *given) {
  if (!takes_output(c, i, given)) {
    return am_tensor_new_layout(c->dev, c->out[i].dtype, c->out[i].shape, c->out[i].layout, &c->output[i]);
  }
  c->output[i] = am_tensor_retain(given);
  return AM_OK;
}

static am_err call(op_call *c) {
  return am_backend_call(c->dev->backend, c->dev->ctx, c->op, &c->desc, c->in, c->out);
}

static am_err call_timed(op_call *c) {
  const am_backend *b = c->dev->backend;
  if (b->time_begin) AM_TRY(b->time_begin(c->dev->ctx));
  AM_TRY(call(c));
  return b->time_end ? b->time_end(c->dev->ctx, &c->device_sec) : am_device_sync(c->dev);
}

// out: of in-place ops.
static am_err run(op_call *c, am_tensor *const *in, am_tensor *const *into, am_tensor **out) {
  const int inputs = op_info[c->op].inputs, outputs = op_info[c->op].outputs;
  const bool in_place = op_info[c->op].in_place;
  for (int i = 0; i < inputs; i++) {
    AM_CHECK(in[i]->device == c->dev, AM_ERR_ARG, "input %d lives on another device", i);
    c->in[i] = without_data(in[i]);
  }
  if (in_place) {
    AM_TRY(check_updated(c, in, out));
    for (int i = 0; i < outputs; i++) c->out[i] = without_data(out[i]);
  }
  AM_TRY(infer(c));
  AM_TRY(check_type(c));
  settle_layouts(c);
  for (int i = 0; i < inputs; i++) {
    AM_TRY(am_tensor_in_layout(in[i], c->in[i].layout, &c->input[i]));
    const am_view operand = am_tensor_as_view(c->input[i]);
    c->in[i].data = operand.data;
    c->in[i].stamp = operand.stamp;
  }
  for (int i = 0; i < outputs; i++) {
    if (in_place) {
      c->output[i] = out[i];
    } else {
      AM_TRY(make_output(c, i, into ? into[i] : NULL));
    }
    am_buffer_renew(c->output[i]->buffer);
    if (c->dev->recording) AM_TRY(am_replay_wrote(c->dev->recording, c->output[i]->buffer));
    c->out[i].data = am_tensor_as_view(c->output[i]).data;
  }
  return c->dev->profile ? call_timed(c) : call(c);
}

// "matmul of f32 (2, 3), f32 (4, 5): inner sizes ..."
static void name_operands(am_op op, am_tensor *const *in, am_tensor *const *out) {
  enum { TEXT = AM_OP_MAX_INPUTS * (AM_SHAPE_TEXT + 16) };
  char text[TEXT] = "", shape[AM_SHAPE_TEXT];
  bool in_place = op_info[op].in_place;
  int inputs = op_info[op].inputs, outputs = in_place ? op_info[op].outputs : 0;
  for (int i = 0, used = 0; i < inputs + outputs && used < TEXT; i++) {
    const am_tensor *t = i < inputs ? in[i] : out[i - inputs];
    const char *before = i == 0 ? " of " : i == inputs ? " onto " : ", ";
    used += snprintf(text + used, (size_t)(TEXT - used), "%s%s %s", before, am_dtype_name(t->dtype),
                     am_shape_text(t->shape, shape));
  }
  am_err_prefix("%s%s", op_info[op].name, text);
}

am_err am_dispatch(am_device *dev, am_op op, const void *desc, am_tensor *const *in, am_tensor **out) {
  return am_dispatch_into(dev, op, desc, in, NULL, out);
}

am_err am_dispatch_into(am_device *dev, am_op op, const void *desc, am_tensor *const *in,
                        am_tensor *const *into, am_tensor **out) {
  am_err err = AM_OK;
  AM_CHECK((int)op >= 0 && op < AM_OP_COUNT, AM_ERR_ARG, "there is no op %d", (int)op);
  op_call c = {.dev = dev, .op = op, .device_sec = -1};
  if (desc) memcpy(&c.desc, desc, op_info[op].desc_size);
  am_profile_span span = {0};
  if (dev->profile) span = am_profile_enter(dev->profile);
  err = run(&c, in, into, out);
  span.device_sec = c.device_sec;
  if (dev->profile) am_profile_leave(dev->profile, span, op, &c.desc, err ? NULL : c.in, c.out);
  AM_GO(done, err);
  if (!op_info[op].in_place) {
    for (int i = 0; i < op_info[op].outputs; i++) {
      out[i] = c.output[i];
      c.output[i] = NULL;
    }
  }
done:
  if (err != AM_OK) name_operands(op, in, out);
  for (int i = 0; i < op_info[op].inputs; i++) am_tensor_release(c.input[i]);
  if (!op_info[op].in_place) {
    for (int i = 0; i < op_info[op].outputs; i++) am_tensor_release(c.output[i]);
  }
  return err;
}
