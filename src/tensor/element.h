// Single elements of host memory as numbers, for every type: the rules of cast and fill in one place.
//
// To integers: truncation towards zero, saturating, NaN is 0. To bf16: the nearest, ties to even,
// rounded once also from f64.
#ifndef AM_TENSOR_ELEMENT_H
#define AM_TENSOR_ELEMENT_H

#include "tensor/tensor.h"

bool am_dtype_is_integer(am_dtype t);
// Element i in memory order of a view on host memory.
double am_element_get(const am_view *v, int64_t i);
void am_element_put(const am_view *v, int64_t i, double value);
// The same for integer types, without passing through double, which would round a large i64.
int64_t am_element_get_integer(const am_view *v, int64_t i);
void am_element_put_integer(const am_view *v, int64_t i, int64_t value);

#endif
