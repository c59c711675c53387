// The one table of cases for the ops of tensor/backend.h: every op, every kind of its descriptor,
// odd sizes. Each program of tests/ops runs the whole of it in its own way.
//
// A case says which op, its descriptor, and what its operands look like. Values are a function of the op and
// the operands' looks, so a case more changes nothing in the others. Tolerances stand beside the cases:
// |got - want| <= tolerance * (|want| + scale), scale = the largest finite |want| of the output or the case's own,
// whichever is more, and 0 for pointwise cases.
#ifndef OP_CASES_H
#define OP_CASES_H

#include "tensor/backend.h"

typedef enum {
  VALUES_NORMAL,    // N(0, 1)
  VALUES_POSITIVE,  // 0.2 to 3
  VALUES_UNIT,      // -0.95 to 0.95: outputs of tanh
  VALUES_TIES,      // whole numbers -2 to 2: equal maxima
  VALUES_OFFSET,    // 50 + N(0, 1): variance far below the squared mean
  VALUES_WIDE,      // 40 * N(0, 1)
  VALUES_SPECIAL,   // zeros, infinities, NaN, subnormals, ends of the range, in turn
  VALUES_HALVES,    // multiples of 1/2 and of a bf16 half step, beyond the range of u8
  VALUES_NAN,       // memory that must not be read
  VALUES_INDEX,     // i32, 0 to limit - 1
  VALUES_WINDOW     // i32, of pooling: a place of the plane under the element's own window
} op_values;

typedef struct {
  am_dtype dtype;
  am_shape shape;
  op_values values;
  int64_t limit;
  bool rounded;  // to bf16, whatever its type
} op_operand;

typedef struct {
  am_op op;
  union {
#define OP_CASE_DESC(op, desc_type, inputs, outputs, in_place) desc_type op;
    AM_OP_LIST(OP_CASE_DESC)
#undef OP_CASE_DESC
  } desc;
  op_operand in[AM_OP_MAX_INPUTS];
  op_operand out[AM_OP_MAX_OUTPUTS];  // of in-place ops
  double tolerance;
  double scale;  // what is rounded on the way to an output, where all outputs may be less: terms that cancel
  bool pointwise;
  int number;     // its place in the table
  uint64_t seed;  // of its values
} op_case;

// An affine convolution stands in the table so often, one after the other, for each of its geometries.
enum { OP_ACTIVATIONS = 3 };

typedef struct {
  op_case *item;  // owned
  int64_t count, capacity;
} op_cases;

AM_MUST_USE am_err op_cases_build(op_cases *cases);
void op_cases_fini(op_cases *cases);
// "conv2d #812 (2, 3, 8, 8) (16, 3, 3, 3)" into a caller's buffer; returns it.
enum { OP_CASE_TEXT = 512 };
const char *op_case_text(const op_case *c, char text[OP_CASE_TEXT]);

// ---- for the files that fill the table ----

// Tolerances, f32 against sums in double.
#define TOL_EXACT 0.0      // values are moved or chosen, nothing is rounded
#define TOL_ROUNDED 3e-7   // a few roundings to f32
#define TOL_SERIES 1e-6    // exp, log and their like from polynomials
#define TOL_SUM 3e-6       // sums of up to a few thousand f32 products in any order

static inline op_operand op_floats(am_shape shape, op_values values) {
  return (op_operand){.dtype = AM_F32, .shape = shape, .values = values};
}
static inline op_operand op_index(am_shape shape, int64_t limit) {
  return (op_operand){.dtype = AM_I32, .shape = shape, .values = VALUES_INDEX, .limit = limit};
}
static inline op_operand op_window(am_shape shape) {
  return (op_operand){.dtype = AM_I32, .shape = shape, .values = VALUES_WINDOW};
}
// Appends a copy of c with its number and seed.
AM_MUST_USE am_err op_cases_add(op_cases *cases, op_case c);

AM_MUST_USE am_err op_cases_math(op_cases *cases);
AM_MUST_USE am_err op_cases_shape(op_cases *cases);
AM_MUST_USE am_err op_cases_nn(op_cases *cases);
AM_MUST_USE am_err op_cases_resample(op_cases *cases);
AM_MUST_USE am_err op_cases_update(op_cases *cases);

#endif
