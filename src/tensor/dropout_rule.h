// What dropout comes to in f32 and bf16, for devices that draw integers: no number of [0, 1) is made.
#ifndef AM_TENSOR_DROPOUT_RULE_H
#define AM_TENSOR_DROPOUT_RULE_H

#include "tensor/backend.h"

typedef struct {
  uint64_t least;  // of the upper 53 bits of two words of Philox: from here on an element is kept
  float scale;     // of those
} am_dropout_rule;

am_dropout_rule am_dropout_rule_of(double p, am_dtype type);

#endif
