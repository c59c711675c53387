// Cases of the elementwise ops, reductions, products and softmax.
#include <math.h>

#include "base/num.h"
#include "op_cases.h"

// ---- unary ----

static const am_shape unary_shapes[] = {
  {0},
  {1, {7}},
  {2, {3, 5}},
  {4, {2, 3, 5, 7}},
  {4, {2, 16, 4, 3}},
  {4, {1, 24, 1, 1}},
  {6, {2, 1, 3, 1, 2, 5}},
  {1, {70001}},  // large enough for several threads
};

typedef struct {
  am_unary_desc desc;
  op_values values;
  double tolerance;
} unary_kind;

static const unary_kind unary_kinds[] = {
  {{AM_UN_AFFINE, -1.5, 0.25}, VALUES_NORMAL, TOL_ROUNDED},
  {{AM_UN_EXP, 0, 0}, VALUES_NORMAL, TOL_SERIES},
  {{AM_UN_LOG, 0, 0}, VALUES_POSITIVE, TOL_SERIES},
  {{AM_UN_SQRT, 0, 0}, VALUES_POSITIVE, TOL_ROUNDED},
  {{AM_UN_RSQRT, 0, 0}, VALUES_POSITIVE, TOL_ROUNDED},
  {{AM_UN_RECIP, 0, 0}, VALUES_POSITIVE, TOL_ROUNDED},
  {{AM_UN_SQUARE, 0, 0}, VALUES_NORMAL, TOL_ROUNDED},
  {{AM_UN_ABS, 0, 0}, VALUES_NORMAL, TOL_EXACT},
  {{AM_UN_SIGN, 0, 0}, VALUES_TIES, TOL_EXACT},
  {{AM_UN_TANH, 0, 0}, VALUES_NORMAL, TOL_SERIES},
  {{AM_UN_TANH, 0, 0}, VALUES_WIDE, TOL_SERIES},
  {{AM_UN_SIGMOID, 0, 0}, VALUES_NORMAL, TOL_SERIES},
  {{AM_UN_SIGMOID, 0, 0}, VALUES_WIDE, TOL_SERIES},
  {{AM_UN_SOFTPLUS, 0, 0}, VALUES_NORMAL, TOL_SERIES},
  {{AM_UN_SOFTPLUS, 0, 0}, VALUES_WIDE, TOL_SERIES},
  {{AM_UN_LEAKY_RELU, 0, 0}, VALUES_NORMAL, TOL_EXACT},
  {{AM_UN_LEAKY_RELU, 0.2, 0}, VALUES_NORMAL, TOL_ROUNDED},
  {{AM_UN_CLAMP, -0.5, 0.75}, VALUES_NORMAL, TOL_EXACT},
  {{AM_UN_STEP, 0, 0}, VALUES_TIES, TOL_EXACT},
  {{AM_UN_STEP, 1, 0}, VALUES_TIES, TOL_EXACT},
};

// Infinities, NaN and the ends of the range go through every kind, judged element by element.
static am_err unary_cases(op_cases *cases) {
  for (int k = 0; k < AM_COUNT_OF(unary_kinds); k++) {
    const unary_kind *kind = &unary_kinds[k];
    op_case c = {.op = AM_OP_unary, .desc.unary = kind->desc, .tolerance = kind->tolerance};
    for (int s = 0; s < AM_COUNT_OF(unary_shapes); s++) {
      c.in[0] = op_floats(unary_shapes[s], kind->values);
      AM_TRY(op_cases_add(cases, c));
    }
    c.in[0] = op_floats(AM_SHAPE(64), VALUES_SPECIAL);
    c.pointwise = true;
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

// ---- binary ----

static const struct {
  am_shape p, q;
} binary_shapes[] = {
  {{1, {1}}, {1, {1}}},
  {{1, {70001}}, {1, {70001}}},
  {{2, {3, 5}}, {2, {3, 5}}},
  {{4, {2, 16, 4, 3}}, {4, {2, 16, 4, 3}}},
  {{4, {2, 17, 3, 5}}, {4, {2, 17, 3, 5}}},
  {{3, {2, 3, 5}}, {0}},                        // scalars
  {{0}, {3, {2, 3, 5}}},
  {{4, {2, 32, 3, 3}}, {1, {1}}},
  {{4, {2, 3, 5, 7}}, {4, {1, 3, 1, 1}}},       // per channel
  {{4, {2, 16, 5, 7}}, {4, {1, 16, 1, 1}}},
  {{4, {2, 24, 5, 7}}, {4, {2, 24, 1, 1}}},
  {{4, {3, 32, 2, 2}}, {4, {3, 32, 1, 1}}},
  {{4, {1, 16, 1, 1}}, {4, {2, 16, 5, 7}}},
  {{4, {2, 16, 3, 1}}, {4, {2, 16, 1, 4}}},
  {{4, {2, 16, 3, 4}}, {4, {2, 1, 3, 4}}},
  {{4, {2, 16, 3, 4}}, {2, {3, 4}}},
  {{2, {9, 17}}, {1, {17}}},                    // rows and columns
  {{2, {9, 17}}, {2, {9, 1}}},
  {{1, {17}}, {2, {9, 17}}},
  {{3, {3, 1, 5}}, {3, {1, 4, 1}}},             // both sides grow
  {{6, {2, 1, 3, 1, 2, 1}}, {5, {4, 1, 2, 1, 3}}},
};

typedef struct {
  am_binary_desc desc;
  op_values p, q;
} binary_kind;

static const binary_kind binary_kinds[] = {
  {{AM_BIN_ADD, 0}, VALUES_NORMAL, VALUES_NORMAL},
  {{AM_BIN_SUB, 0}, VALUES_NORMAL, VALUES_NORMAL},
  {{AM_BIN_MUL, 0}, VALUES_NORMAL, VALUES_NORMAL},
  {{AM_BIN_DIV, 0}, VALUES_NORMAL, VALUES_POSITIVE},
  {{AM_BIN_MAX, 0}, VALUES_NORMAL, VALUES_NORMAL},
  {{AM_BIN_MIN, 0}, VALUES_TIES, VALUES_TIES},
  {{AM_BIN_LEAKY_GRAD, 0}, VALUES_NORMAL, VALUES_TIES},
  {{AM_BIN_LEAKY_GRAD, 0.2}, VALUES_NORMAL, VALUES_TIES},
  {{AM_BIN_TANH_GRAD, 0}, VALUES_NORMAL, VALUES_UNIT},
  {{AM_BIN_SIGMOID_GRAD, 0}, VALUES_NORMAL, VALUES_UNIT},
};

static am_err binary_cases(op_cases *cases) {
  for (int k = 0; k < AM_COUNT_OF(binary_kinds); k++) {
    const binary_kind *kind = &binary_kinds[k];
    op_case c = {.op = AM_OP_binary, .desc.binary = kind->desc, .tolerance = TOL_ROUNDED};
    for (int s = 0; s < AM_COUNT_OF(binary_shapes); s++) {
      c.in[0] = op_floats(binary_shapes[s].p, kind->p);
      c.in[1] = op_floats(binary_shapes[s].q, kind->q);
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

// ---- reductions: every set of axes of every shape ----

static const am_shape reduce_shapes[] = {
  {0}, {1, {5}}, {1, {40000}}, {2, {3, 7}}, {2, {1, 9}}, {3, {2, 3, 5}}, {4, {2, 16, 4, 3}},
  {4, {2, 17, 3, 5}}, {4, {1, 24, 1, 1}}, {4, {3, 32, 7, 7}}, {5, {2, 3, 2, 3, 2}},
  {2, {2500, 33}},  // long columns, which threads share
};

static am_err reduce_cases(op_cases *cases) {
  for (int s = 0; s < AM_COUNT_OF(reduce_shapes); s++) {
    am_shape shape = reduce_shapes[s];
    op_case c = {.op = AM_OP_reduce};
    for (unsigned axes = 0; axes < 1u << shape.ndim; axes++) {
      c.in[0] = op_floats(shape, VALUES_NORMAL);
      c.desc.reduce = (am_reduce_desc){AM_RED_SUM, axes};
      c.tolerance = TOL_SUM;
      AM_TRY(op_cases_add(cases, c));
      c.desc.reduce.kind = AM_RED_MAX;
      c.tolerance = TOL_EXACT;
      AM_TRY(op_cases_add(cases, c));
      c.in[0] = op_floats(shape, VALUES_SPECIAL);
      AM_TRY(op_cases_add(cases, c));
    }
    for (int axis = 0; axis < shape.ndim; axis++) {
      c.in[0] = op_floats(shape, VALUES_TIES);
      c.desc.reduce = (am_reduce_desc){AM_RED_ARGMAX, 1u << axis};
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

// ---- products and softmax ----

static am_err matmul_cases(op_cases *cases) {
  static const int64_t sizes[][4] = {  // matrices (0: 2-D), m, k, n
    {0, 1, 1, 1}, {0, 3, 5, 7}, {0, 16, 16, 16}, {0, 17, 33, 9}, {0, 64, 10, 128}, {0, 1, 100, 3},
    {0, 5, 1, 4}, {1, 3, 4, 5}, {3, 7, 5, 2}, {2, 16, 32, 16},
  };
  for (int s = 0; s < AM_COUNT_OF(sizes); s++) {
    for (int t = 0; t < 4; t++) {
      int64_t count = sizes[s][0], m = sizes[s][1], k = sizes[s][2], n = sizes[s][3];
      am_matmul_desc desc = {.transpose_a = t & 1, .transpose_b = t >> 1};
      am_shape a = desc.transpose_a ? AM_SHAPE(count, k, m) : AM_SHAPE(count, m, k);
      am_shape b = desc.transpose_b ? AM_SHAPE(count, n, k) : AM_SHAPE(count, k, n);
      if (count == 0) {
        a = AM_SHAPE(a.dim[1], a.dim[2]);
        b = AM_SHAPE(b.dim[1], b.dim[2]);
      }
      op_case c = {.op = AM_OP_matmul, .desc.matmul = desc, .tolerance = TOL_SUM, .scale = sqrt((double)k)};
      c.in[0] = op_floats(a, VALUES_NORMAL);
      c.in[1] = op_floats(b, VALUES_NORMAL);
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

static am_err log_softmax_cases(op_cases *cases) {
  static const int64_t sizes[][2] = {{1, 1}, {3, 10}, {7, 17}, {1, 2}, {5, 1000}, {130, 3}};
  for (int s = 0; s < AM_COUNT_OF(sizes); s++) {
    static const op_values values[] = {VALUES_NORMAL, VALUES_WIDE, VALUES_OFFSET};
    for (int v = 0; v < AM_COUNT_OF(values); v++) {
      op_case c = {.op = AM_OP_log_softmax, .tolerance = TOL_SERIES};
      c.in[0] = op_floats(AM_SHAPE(sizes[s][0], sizes[s][1]), values[v]);
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

am_err op_cases_math(op_cases *cases) {
  AM_TRY(unary_cases(cases));
  AM_TRY(binary_cases(cases));
  AM_TRY(reduce_cases(cases));
  AM_TRY(matmul_cases(cases));
  return log_softmax_cases(cases);
}
