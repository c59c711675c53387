// Cases of the ops that move, make or convert elements.
#include "base/num.h"
#include "base/rng.h"
#include "op_cases.h"

static am_err broadcast_cases(op_cases *cases) {
  static const struct {
    am_shape from, to;
  } pairs[] = {
    {{0}, {1, {4}}},                       {{0}, {4, {2, 3, 4, 5}}},
    {{1, {1}}, {1, {70001}}},              {{2, {3, 1}}, {3, {2, 3, 4}}},
    {{1, {17}}, {2, {9, 17}}},             {{4, {1, 3, 1, 1}}, {4, {2, 3, 5, 7}}},
    {{4, {1, 16, 1, 1}}, {4, {2, 16, 3, 3}}}, {{4, {2, 16, 1, 1}}, {4, {2, 16, 4, 3}}},
    {{4, {2, 1, 3, 3}}, {4, {2, 32, 3, 3}}},  {{3, {2, 1, 3}}, {6, {2, 1, 2, 2, 5, 3}}},
    {{2, {3, 5}}, {2, {3, 5}}},
  };
  for (int i = 0; i < AM_COUNT_OF(pairs); i++) {
    op_case c = {.op = AM_OP_broadcast_to, .desc.broadcast_to = {pairs[i].to}};
    c.in[0] = op_floats(pairs[i].from, VALUES_NORMAL);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err permute_cases(op_cases *cases) {
  static const struct {
    am_shape shape;
    am_permute_desc desc;
  } list[] = {
    {{1, {5}}, {{0}}},
    {{2, {3, 7}}, {{1, 0}}},
    {{2, {65, 130}}, {{1, 0}}},
    {{3, {2, 3, 5}}, {{0, 2, 1}}},
    {{3, {2, 3, 5}}, {{2, 0, 1}}},
    {{3, {2, 3, 5}}, {{2, 1, 0}}},
    {{4, {2, 3, 5, 7}}, {{0, 2, 3, 1}}},
    {{4, {2, 16, 5, 7}}, {{0, 2, 3, 1}}},
    {{4, {2, 5, 7, 16}}, {{0, 3, 1, 2}}},
    {{4, {4, 16, 3, 3}}, {{1, 0, 2, 3}}},
    {{4, {2, 3, 4, 5}}, {{3, 2, 1, 0}}},
    {{4, {2, 3, 4, 5}}, {{0, 1, 2, 3}}},
    {{5, {2, 3, 1, 4, 2}}, {{4, 1, 0, 3, 2}}},
    {{6, {2, 3, 2, 2, 1, 3}}, {{5, 0, 4, 1, 3, 2}}},
  };
  for (int i = 0; i < AM_COUNT_OF(list); i++) {
    op_case c = {.op = AM_OP_permute, .desc.permute = list[i].desc};
    c.in[0] = op_floats(list[i].shape, VALUES_NORMAL);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static const am_shape axis_shapes[] = {
  {1, {9}}, {2, {3, 7}}, {3, {2, 5, 3}}, {4, {2, 5, 3, 4}}, {4, {2, 32, 3, 3}}, {4, {4, 16, 2, 5}}, {1, {1}},
};

// Along every axis: the front, the back, the middle and the whole.
static am_err slice_cases(op_cases *cases, am_shape shape, int axis) {
  int64_t length = shape.dim[axis], half = length / 2;
  const int64_t range[][2] = {{0, half}, {half, length}, {length / 4, length - length / 4}, {0, length}};
  for (int i = 0; i < AM_COUNT_OF(range); i++) {
    if (range[i][0] >= range[i][1]) continue;
    op_case c = {.op = AM_OP_slice, .desc.slice = {axis, range[i][0], range[i][1]}};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err pad_cases(op_cases *cases, am_shape shape, int axis) {
  static const int64_t pads[][2] = {{0, 0}, {1, 0}, {0, 3}, {2, 1}, {16, 16}};
  for (int i = 0; i < AM_COUNT_OF(pads); i++) {
    op_case c = {.op = AM_OP_pad, .desc.pad = {axis, pads[i][0], pads[i][1]}};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err concat_cases(op_cases *cases, am_shape shape, int axis) {
  static const int64_t lengths[] = {1, 3, 16};
  for (int i = 0; i < AM_COUNT_OF(lengths); i++) {
    op_case c = {.op = AM_OP_concat, .desc.concat = {axis}};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    shape.dim[axis] = lengths[i];
    c.in[1] = op_floats(shape, VALUES_NORMAL);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err axis_cases(op_cases *cases) {
  for (int s = 0; s < AM_COUNT_OF(axis_shapes); s++) {
    for (int axis = 0; axis < axis_shapes[s].ndim; axis++) {
      AM_TRY(slice_cases(cases, axis_shapes[s], axis));
      AM_TRY(pad_cases(cases, axis_shapes[s], axis));
      AM_TRY(concat_cases(cases, axis_shapes[s], axis));
    }
  }
  return AM_OK;
}

// Rows are picked with repetition, and some never.
static am_err row_cases(op_cases *cases) {
  static const am_shape tables[] = {{1, {5}}, {2, {10, 3}}, {2, {1, 17}}, {4, {6, 3, 2, 2}},
                                    {4, {6, 16, 2, 3}}};
  static const int64_t picks[] = {1, 4, 33};
  for (int t = 0; t < AM_COUNT_OF(tables); t++) {
    for (int p = 0; p < AM_COUNT_OF(picks); p++) {
      int64_t rows = tables[t].dim[0];
      op_case gather = {.op = AM_OP_gather_rows};
      gather.in[0] = op_floats(tables[t], VALUES_NORMAL);
      gather.in[1] = op_index(AM_SHAPE(picks[p]), rows);
      AM_TRY(op_cases_add(cases, gather));

      op_case scatter = {.op = AM_OP_scatter_rows, .desc.scatter_rows = {rows}, .tolerance = TOL_SUM};
      scatter.in[0] = op_floats(tables[t], VALUES_NORMAL);
      scatter.in[0].shape.dim[0] = picks[p];
      scatter.in[1] = op_index(AM_SHAPE(picks[p]), rows);
      AM_TRY(op_cases_add(cases, scatter));
    }
  }
  return AM_OK;
}

// From every layout the runner puts the input in, to each.
static am_err reorder_cases(op_cases *cases) {
  static const am_shape shapes[] = {
    {4, {1, 16, 1, 1}}, {4, {2, 32, 3, 5}}, {4, {3, 16, 4, 4}}, {4, {1, 64, 7, 2}}, {4, {2, 3, 5, 4}},
    {4, {2, 1, 3, 3}},
  };
  for (int s = 0; s < AM_COUNT_OF(shapes); s++) {
    for (int layout = AM_LAYOUT_PLAIN; layout <= AM_LAYOUT_C16; layout++) {
      if (layout == AM_LAYOUT_C16 && shapes[s].dim[1] % 16 != 0) continue;
      op_case c = {.op = AM_OP_reorder, .desc.reorder = {(am_layout)layout}};
      c.in[0] = op_floats(shapes[s], VALUES_HALVES);
      for (int t = 0; t < AM_DTYPE_COUNT; t++) {
        c.in[0].dtype = (am_dtype)t;
        AM_TRY(op_cases_add(cases, c));
      }
    }
  }
  return AM_OK;
}

static am_err cast_cases(op_cases *cases) {
  static const am_shape shapes[] = {{0}, {1, {77}}, {4, {2, 16, 3, 3}}, {4, {3, 3, 9, 11}}};
  for (int s = 0; s < AM_COUNT_OF(shapes); s++) {
    for (int from = 0; from < AM_DTYPE_COUNT; from++) {
      for (int to = 0; to < AM_DTYPE_COUNT; to++) {
        bool between_integers = from >= AM_I32 && to >= AM_I32;
        op_case c = {.op = AM_OP_cast, .desc.cast = {(am_dtype)to}};
        c.in[0] = (op_operand){.dtype = (am_dtype)from, .shape = shapes[s], .values = VALUES_HALVES};
        AM_TRY(op_cases_add(cases, c));
        c.in[0].values = VALUES_SPECIAL;
        c.pointwise = true;
        if (from <= AM_BF16 && !between_integers) AM_TRY(op_cases_add(cases, c));
      }
    }
  }
  return AM_OK;
}

static am_err fill_cases(op_cases *cases) {
  static const am_shape shapes[] = {{0}, {1, {1}}, {1, {70001}}, {2, {3, 7}}, {4, {2, 16, 3, 3}}};
  static const double values[] = {0, 1, -2.75, 1e10};
  for (int s = 0; s < AM_COUNT_OF(shapes); s++) {
    for (int t = 0; t < AM_DTYPE_COUNT; t++) {
      for (int v = 0; v < AM_COUNT_OF(values); v++) {
        op_case c = {.op = AM_OP_fill, .desc.fill = {shapes[s], (am_dtype)t, values[v]}};
        AM_TRY(op_cases_add(cases, c));
      }
    }
  }
  return AM_OK;
}

static am_err random_cases(op_cases *cases) {
  static const am_shape shapes[] = {
    {0}, {1, {5}}, {2, {3, 7}}, {2, {1, 4001}}, {4, {4, 3, 5, 5}}, {4, {9, 16, 2, 2}},
  };
  static const uint64_t first[] = {0, 41, 7ull << 33};
  for (int s = 0; s < AM_COUNT_OF(shapes); s++) {
    for (int i = 0; i < AM_COUNT_OF(first); i++) {
      op_case c = {.op = AM_OP_random, .tolerance = TOL_SERIES};
      c.desc.random = (am_random_desc){.dtype = AM_F32, .shape = shapes[s], .index = first[i],
                                       .seed = 0x9000000000000001u + (uint64_t)s, .purpose = AM_RNG_TEST};
      AM_TRY(op_cases_add(cases, c));
      c.desc.random.kind = AM_RAND_NORMAL;
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

// Odd rows, rows of a few words of bits and a place more, channels that fill blocks of 16 and that do not. An image of odd
// planes begins a channel in the middle of a block of draws.
static am_err dropout_cases(op_cases *cases) {
  static const am_shape shapes[] = {
    {0},         {1, {70}},        {2, {3, 7}},         {2, {1, 4001}},      {3, {2, 33, 5}},
    {4, {4, 3, 5, 5}}, {4, {9, 16, 2, 2}}, {4, {3, 48, 9, 7}}, {4, {2, 21, 6, 11}}, {4, {2, 32, 1, 1}},
  };
  static const double share[] = {0, 0.2, 0.7};
  for (int s = 0; s < AM_COUNT_OF(shapes); s++) {
    for (int i = 0; i < AM_COUNT_OF(share); i++) {
      op_case c = {.op = AM_OP_dropout, .tolerance = TOL_EXACT, .pointwise = true};
      c.desc.dropout = (am_dropout_desc){.p = share[i], .seed = 0x9000000000000001u + (uint64_t)s,
                                         .index = UINT64_MAX - (uint64_t)i, .purpose = AM_RNG_TEST};
      c.in[0] = op_floats(shapes[s], i == 2 ? VALUES_SPECIAL : VALUES_NORMAL);
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

am_err op_cases_shape(op_cases *cases) {
  AM_TRY(broadcast_cases(cases));
  AM_TRY(permute_cases(cases));
  AM_TRY(axis_cases(cases));
  AM_TRY(row_cases(cases));
  AM_TRY(reorder_cases(cases));
  AM_TRY(cast_cases(cases));
  AM_TRY(fill_cases(cases));
  AM_TRY(random_cases(cases));
  return dropout_cases(cases);
}
