#include "tensor/element.h"

#include "tensor/element_rules.h"

bool am_dtype_is_integer(am_dtype t) { return t == AM_I32 || t == AM_I64 || t == AM_U8; }

int64_t am_element_get_integer(const am_view *v, int64_t i) { return am_rule_get_integer(v->data, v->dtype, i); }
void am_element_put_integer(const am_view *v, int64_t i, int64_t value) { am_rule_put_integer(v->data, v->dtype, i, value); }
double am_element_get(const am_view *v, int64_t i) { return am_rule_get(v->data, v->dtype, i); }
void am_element_put(const am_view *v, int64_t i, double value) { am_rule_put(v->data, v->dtype, i, value); }
