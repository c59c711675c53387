// cuDNN's graphs from C: every descriptor is created, given attributes, and finalised; an operation graph names its
// operations, a heuristic lists engines with their settings for it, an execution plan is one of them made ready.
#include "backend/cuda/conv_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#if CUDNN_VERSION < 90800
// What describes a card that is not here; older libraries refuse it.
enum {
  CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR = 38,
  CUDNN_ATTR_ENGINEHEUR_DEVICEPROP = 204,
  CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP = 407,
  CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION = 2702
};
#endif

_Static_assert(CUDNN_NUMERICAL_NOTE_TENSOR_CORE == 0 && CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS == 1 &&
                   CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION == 2 && CUDNN_NUMERICAL_NOTE_FFT == 3 &&
                   CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC == 4 &&
                   CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 == 7 &&
                   CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13 == 8,
               "am_cuda_engine_fits counts numerical notes as this header does");

am_err am_cuda_dnn_fail(const char *call, cudnnStatus_t status) {
  char words[512] = "";
  cudnnGetLastErrorString(words, sizeof words);
  return AM_FAIL(AM_ERR_DEVICE, "cuDNN: %s gave %s%s%s", call, cudnnGetErrorString(status),
                 *words ? ": " : "", words);
}

// ---- descriptors ----

typedef cudnnBackendDescriptor_t descriptor;

enum { MOST_PARTS = 32 };
struct am_cuda_conv_plan {
  descriptor part[MOST_PARTS];  // owned: all that the plan stands on, in the order of its making
  int count;
  descriptor plan;  // borrowed: the last part
  size_t bytes;
  int64_t place;                      // of its configuration among those that the heuristics list
  char text[AM_CUDA_CONV_PLAN_TEXT];  // "engine 38, numerical notes 0x1"
};

// Tensors by the names under which a plan is given their memory; those from INSIDE on have none.
typedef enum { X = 1, W, Y, SCALE, SHIFT, RESIDUAL, INSIDE } tensor_id;

static am_err create(am_cuda_conv_plan *p, cudnnBackendDescriptorType_t type, descriptor *out) {
  AM_CHECK(p->count < MOST_PARTS, AM_ERR_INTERNAL, "a graph of more than %d descriptors", (int)MOST_PARTS);
  AM_TRY_DNN(cudnnBackendCreateDescriptor(type, out));
  p->part[p->count++] = *out;
  return AM_OK;
}

static am_err set(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  int64_t count, const void *values) {
  const cudnnStatus_t status = cudnnBackendSetAttribute(d, name, type, count, values);
  char what[64];
  if (status == CUDNN_STATUS_SUCCESS) return AM_OK;
  snprintf(what, sizeof what, "attribute %d of a descriptor", (int)name);
  return am_cuda_dnn_fail(what, status);
}
static am_err set_part(descriptor d, cudnnBackendAttributeName_t name, descriptor part) {
  return set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}
static am_err set_type(descriptor d, cudnnBackendAttributeName_t name, cudnnDataType_t type) {
  return set(d, name, CUDNN_TYPE_DATA_TYPE, 1, &type);
}

static am_err tensor(am_cuda_conv_plan *p, int64_t id, am_cuda_dims dims, cudnnDataType_t type,
                     descriptor *out) {
  const int64_t alignment = AM_CUDA_CONV_ALIGNMENT;
  const bool inside = id >= INSIDE;
  AM_TRY(create(p, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
  AM_TRY(set_type(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, type));
  AM_TRY(set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims.dim));
  AM_TRY(set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, dims.stride));
  AM_TRY(set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id));
  AM_TRY(set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
  AM_TRY(set(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inside));
  AM_TRY_DNN(cudnnBackendFinalize(*out));
  return AM_OK;
}

static am_err convolution(am_cuda_conv_plan *p, const am_cuda_conv *k, descriptor *out) {
  const int64_t pad[] = {k->pad_h, k->pad_w}, stride[] = {k->stride_h, k->stride_w}, axes = 2;
  const int64_t dilation[] = {k->dilation_h, k->dilation_w};
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  AM_TRY(create(p, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
  AM_TRY(set_type(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT));
  AM_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
  AM_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes));
  AM_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad));
  AM_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad));
  AM_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride));
  AM_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation));
  AM_TRY_DNN(cudnnBackendFinalize(*out));
  return AM_OK;
}

// ---- operations ----

typedef struct {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
} product;

static product product_of(const am_cuda_conv *k) {
  switch ((am_op)k->op) {
    case AM_OP_conv2d_grad_input:
      return (product){CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    case AM_OP_conv2d_grad_weight:
      return (product){CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
    default:
      return (product){CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
  }
}

static am_err multiply(am_cuda_conv_plan *p, const am_cuda_conv *k, descriptor x, descriptor w, descriptor y,
                       descriptor *out) {
  const product of = product_of(k);
  const float one = 1, zero = 0;
  descriptor conv;
  AM_TRY(convolution(p, k, &conv));
  AM_TRY(create(p, of.type, out));
  AM_TRY(set(*out, of.alpha, CUDNN_TYPE_FLOAT, 1, &one));
  AM_TRY(set(*out, of.beta, CUDNN_TYPE_FLOAT, 1, &zero));
  AM_TRY(set_part(*out, of.conv, conv));
  AM_TRY(set_part(*out, of.x, x));
  AM_TRY(set_part(*out, of.w, w));
  AM_TRY(set_part(*out, of.y, y));
  AM_TRY_DNN(cudnnBackendFinalize(*out));
  return AM_OK;
}

// y = x (mode) b; b NULL for modes of one operand. slope: of RELU_FWD, below zero.
static am_err pointwise(am_cuda_conv_plan *p, cudnnPointwiseMode_t mode, double slope, descriptor x,
                        descriptor b, descriptor y, descriptor *out) {
  const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;  // a network that has diverged shall say so
  descriptor what;
  AM_TRY(create(p, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &what));
  AM_TRY(set(what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
  AM_TRY(set_type(what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT));
  if (mode == CUDNN_POINTWISE_RELU_FWD) {
    AM_TRY(set(what, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE, 1, &slope));
    AM_TRY(set(what, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan));
  }
  AM_TRY_DNN(cudnnBackendFinalize(what));
  AM_TRY(create(p, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
  AM_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what));
  AM_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x));
  if (b) AM_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b));
  AM_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y));
  AM_TRY_DNN(cudnnBackendFinalize(*out));
  return AM_OK;
}

// ---- graphs ----

enum { MOST_OPERATIONS = 5 };
typedef struct {
  descriptor operation[MOST_OPERATIONS];
  int64_t count;
} operations;

static cudnnDataType_t type_of(am_dtype t) { return t == AM_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

// y = act(product * scale + shift [+ residual]): one operation after the other, in f32 between them.
static am_err finish(am_cuda_conv_plan *p, const am_cuda_conv *k, cudnnDataType_t image, descriptor x,
                     descriptor y, operations *g) {
  const am_cuda_dims whole = am_cuda_conv_y(k), channel = am_cuda_conv_channel(k);
  const bool adds = k->op == AM_OP_conv2d_affine_add;
  const struct {
    bool there;
    cudnnPointwiseMode_t mode;
    tensor_id id;  // of its second operand; INSIDE: it has none
  } step[] = {{true, CUDNN_POINTWISE_MUL, SCALE},
              {true, CUDNN_POINTWISE_ADD, SHIFT},
              {adds, CUDNN_POINTWISE_ADD, RESIDUAL},
              {k->activates, CUDNN_POINTWISE_RELU_FWD, INSIDE}};
  const int last = k->activates ? 3 : adds ? 2 : 1;
  for (int i = 0; i <= last; i++) {
    descriptor operand = NULL, result = y;
    if (!step[i].there) continue;
    if (step[i].id == RESIDUAL)
      AM_TRY(tensor(p, RESIDUAL, whole, image, &operand));
    else if (step[i].id != INSIDE)
      AM_TRY(tensor(p, step[i].id, channel, CUDNN_DATA_FLOAT, &operand));
    if (i < last) AM_TRY(tensor(p, INSIDE + 1 + i, whole, CUDNN_DATA_FLOAT, &result));
    AM_TRY(pointwise(p, step[i].mode, k->slope, x, operand, result, &g->operation[g->count++]));
    x = result;
  }
  return AM_OK;
}

// *out = NULL: cuDNN does not know such graphs. The descriptor is p's all the same.
static am_err build(const am_cuda_planner *on, am_cuda_conv_plan *p, const am_cuda_conv *k,
                    am_cuda_conv_way way, descriptor *out) {
  const cudnnDataType_t image = way.wide ? CUDNN_DATA_FLOAT : type_of((am_dtype)k->image);
  const bool makes_w = k->op == AM_OP_conv2d_grad_weight;
  descriptor x, w, y, between;
  operations g = {.count = 1};
  AM_TRY(tensor(p, X, am_cuda_conv_x(k), image, &x));
  AM_TRY(tensor(p, W, am_cuda_conv_w(k), makes_w ? CUDNN_DATA_FLOAT : image, &w));
  AM_TRY(tensor(p, Y, am_cuda_conv_y(k), image, &y));
  if (way.fused) {
    AM_TRY(tensor(p, INSIDE, am_cuda_conv_y(k), CUDNN_DATA_FLOAT, &between));
    AM_TRY(multiply(p, k, x, w, between, &g.operation[0]));
    AM_TRY(finish(p, k, image, between, y, &g));
  } else {
    AM_TRY(multiply(p, k, x, w, y, &g.operation[0]));
  }
  AM_TRY(create(p, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out));
  if (on->handle) AM_TRY(set(*out, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &on->handle));
  AM_TRY(set(*out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g.count, g.operation));
  const cudnnStatus_t status = cudnnBackendFinalize(*out);
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED)
    *out = NULL;
  else if (status != CUDNN_STATUS_SUCCESS)
    return am_cuda_dnn_fail("finalising an operation graph", status);
  return AM_OK;
}

// ---- engines ----

// Bit i: the engine has note i.
static am_err notes_of(descriptor config, unsigned *notes, int64_t *index) {
  am_err err = AM_OK;
  cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  descriptor engine = NULL;
  int64_t count = 0;
  AM_TRY_DNN(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
  cudnnStatus_t status = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine);
  if (status == CUDNN_STATUS_SUCCESS)
    status =
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, index);
  if (status == CUDNN_STATUS_SUCCESS)
    status = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                      CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, note);
  if (status != CUDNN_STATUS_SUCCESS) err = am_cuda_dnn_fail("asking for an engine's notes", status);
  *notes = 0;
  for (int64_t i = 0; !err && i < count && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++) *notes |= 1u << note[i];
  (void)cudnnBackendDestroyDescriptor(engine);
  return err;
}

// Makes the configuration ready. *out = NULL: cuDNN cannot after all, or only with too much workspace.
static am_err ready(const am_cuda_planner *on, descriptor config, descriptor *out, size_t *bytes) {
  int64_t count = 0, need = 0;
  descriptor plan = NULL;
  *out = NULL;
  AM_TRY_DNN(cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan));
  cudnnStatus_t status = on->handle
                             ? cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
                                                        CUDNN_TYPE_HANDLE, 1, &on->handle)
                             : cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &on->described);
  if (status == CUDNN_STATUS_SUCCESS)
    status = cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
  if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(plan);
  if (status == CUDNN_STATUS_SUCCESS)
    status = cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                      &count, &need);
  const bool no_room = status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                       status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
  if (status != CUDNN_STATUS_SUCCESS || need > AM_CUDA_CONV_MOST_BYTES) {
    (void)cudnnBackendDestroyDescriptor(plan);
    // Which engine computes must not depend on how much memory happens to be free.
    AM_CHECK(!no_room, AM_ERR_NOMEM, "cuDNN: out of memory while an engine was prepared");
    return AM_OK;
  }
  *out = plan;
  *bytes = (size_t)need;
  return AM_OK;
}

// Configurations that a heuristic lists.
typedef struct {
  descriptor *item;  // owned; those that a plan took are NULL
  int64_t made, count;
} configs;

static void configs_free(configs *c) {
  for (int64_t i = 0; i < c->made; i++) {
    if (c->item[i]) (void)cudnnBackendDestroyDescriptor(c->item[i]);
  }
  free(c->item);
}

// Fills c from a finalised heuristic; a heuristic that does not know such graphs lists nothing.
static am_err list(descriptor heuristic, configs *c) {
  int64_t most = 0;
  cudnnStatus_t status = cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &most, NULL);
  if (status != CUDNN_STATUS_SUCCESS || most < 1) return AM_OK;
  AM_TRY(AM_NEW_ARRAY(&c->item, most));
  for (; c->made < most; c->made++)
    AM_TRY_DNN(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &c->item[c->made]));
  status = cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                    most, &c->count, c->item);
  if (status != CUDNN_STATUS_SUCCESS) c->count = 0;
  if (c->count > most) c->count = most;
  return AM_OK;
}

static am_err ask(const am_cuda_planner *on, descriptor graph, cudnnBackendHeurMode_t mode, configs *c) {
  am_err err = AM_OK;
  descriptor heuristic = NULL;
  AM_TRY_DNN(cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
  AM_GO(done, set_part(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
  AM_GO(done, set(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
  if (!on->handle) AM_GO(done, set_part(heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, on->described));
  if (cudnnBackendFinalize(heuristic) == CUDNN_STATUS_SUCCESS) err = list(heuristic, c);
done:
  (void)cudnnBackendDestroyDescriptor(heuristic);
  return err;
}

// The first of these configurations that fits and can be made ready becomes p's plan; the first is at place `place`, and
// those before `from` are passed over.
static am_err choose(const am_cuda_planner *on, am_cuda_conv_plan *p, bool tensor_cores, int64_t place,
                     int64_t from, configs *c) {
  for (int64_t i = am_max_i64(0, from - place); i < c->count && !p->plan; i++) {
    unsigned notes = 0;
    int64_t index = 0;
    AM_TRY(notes_of(c->item[i], &notes, &index));
    if (!am_cuda_engine_fits(notes, tensor_cores)) continue;
    AM_TRY(ready(on, c->item[i], &p->plan, &p->bytes));
    if (!p->plan) continue;
    p->place = place + i;
    snprintf(p->text, sizeof p->text, "engine %lld, numerical notes 0x%x", (long long)index, notes);
    p->part[p->count++] = c->item[i];
    p->part[p->count++] = p->plan;
    c->item[i] = NULL;
  }
  return AM_OK;
}

// ---- plans ----

static am_err plan(const am_cuda_planner *on, am_cuda_conv_plan *p, const am_cuda_conv *k,
                   am_cuda_conv_way way, int64_t from) {
  static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
  descriptor graph = NULL;
  int64_t place = 0;
  AM_TRY(build(on, p, k, way, &graph));
  for (int i = 0; i < AM_COUNT_OF(modes) && graph && !p->plan; i++) {
    configs c = {0};
    am_err err = ask(on, graph, modes[i], &c);
    if (!err) err = choose(on, p, am_cuda_conv_on_tensor_cores(k), place, from, &c);
    place += c.count;
    configs_free(&c);
    AM_TRY(err);
  }
  return AM_OK;
}

am_err am_cuda_conv_plan_new(const am_cuda_planner *on, const am_cuda_conv *k, am_cuda_conv_way way,
                             int64_t from, am_cuda_conv_plan **out) {
  am_cuda_conv_plan *p = NULL;
  *out = NULL;
  AM_TRY(AM_NEW(&p));
  const am_err err = plan(on, p, k, way, from);
  if (!err && p->plan)
    *out = p;
  else
    am_cuda_conv_plan_free(p);
  return err;
}

void am_cuda_conv_plan_free(am_cuda_conv_plan *p) {
  if (!p) return;
  while (p->count > 0) (void)cudnnBackendDestroyDescriptor(p->part[--p->count]);
  free(p);
}

size_t am_cuda_conv_plan_bytes(const am_cuda_conv_plan *p) { return p->bytes; }
int64_t am_cuda_conv_plan_place(const am_cuda_conv_plan *p) { return p->place; }

am_err am_cuda_conv_plan_run(cudnnHandle_t handle, const am_cuda_conv_plan *p, const am_cuda_conv_data *data,
                             void *workspace) {
  am_err err = AM_OK;
  const int64_t all[] = {X, W, Y, SCALE, SHIFT, RESIDUAL};
  void *const given[] = {data->x, data->w, data->y, data->scale, data->shift, data->residual};
  void *memory[AM_COUNT_OF(all)];
  int64_t id[AM_COUNT_OF(all)], count = 0;
  descriptor pack = NULL;
  for (int i = 0; i < AM_COUNT_OF(all); i++) {
    if (!given[i]) continue;
    id[count] = all[i];
    memory[count++] = given[i];
  }
  AM_TRY_DNN(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack));
  AM_GO(done, set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, id));
  AM_GO(done, set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, memory));
  AM_GO(done, set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace));
  cudnnStatus_t status = cudnnBackendFinalize(pack);
  if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendExecute(handle, p->plan, pack);
  if (status != CUDNN_STATUS_SUCCESS) err = am_cuda_dnn_fail("cudnnBackendExecute", status);
done:
  (void)cudnnBackendDestroyDescriptor(pack);
  return err;
}

// ---- for tests ----

static am_err describe(const char *card, descriptor *out) {
  cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, out);
  if (status == CUDNN_STATUS_SUCCESS) {
    status = cudnnBackendSetAttribute(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                      (int64_t)strlen(card), card);
  }
  if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(*out);
  AM_CHECK(status == CUDNN_STATUS_SUCCESS, AM_ERR_UNSUPPORTED,
           "cuDNN %zu does not take the description of a card: %s", cudnnGetVersion(),
           cudnnGetErrorString(status));
  return AM_OK;
}

am_err am_cuda_conv_rehearse(const char *card, const am_cuda_conv *k, int64_t *place,
                             char text[AM_CUDA_CONV_PLAN_TEXT]) {
  am_err err = AM_OK;
  am_cuda_planner there = {0};
  am_cuda_conv_way way[AM_CUDA_CONV_WAYS];
  am_cuda_conv_plan *p = NULL;
  char name[AM_CUDA_CONV_TEXT];
  const int ways = am_cuda_conv_ways(k, way);
  AM_GO(done, describe(card, &there.described));
  for (int i = 0; i < ways && !p; i++) AM_GO(done, am_cuda_conv_plan_new(&there, k, way[i], *place, &p));
  AM_CHECK_GO(done, p, AM_ERR_DEVICE, "there is no engine for %s of %s", am_op_name((am_op)k->op),
              am_cuda_conv_text(k, name));
  *place = p->place;
  snprintf(text, AM_CUDA_CONV_PLAN_TEXT, "%s", p->text);
done:
  am_cuda_conv_plan_free(p);
  if (there.described) (void)cudnnBackendDestroyDescriptor(there.described);
  return err;
}
