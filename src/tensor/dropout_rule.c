#include "base/philox.h"
#include "tensor/dropout_rule.h"
#include "tensor/element_rules.h"

// Rounding keeps the order of numbers, so the integers whose number of [0, 1) is above p begin somewhere: it is searched for.
// 2^53, which no draw reaches, where p rounds to 1.
static uint64_t least_above(float p) {
  uint64_t least = 0, end = (uint64_t)1 << 53;
  while (least < end) {
    const uint64_t middle = (least + end) / 2;
    if ((float)am_philox_uniform(middle << 11) > p) end = middle;
    else least = middle + 1;
  }
  return least;
}

am_dropout_rule am_dropout_rule_of(double p, am_dtype type) {
  const float scale = (float)(1 / (1 - p));
  return (am_dropout_rule){.least = least_above((float)p),
                           .scale = type == AM_BF16 ? am_rule_bf16_value(am_rule_bf16_of_f32(scale)) : scale};
}
