#include "op_cases.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

// Folds in what an operand looks like.
static uint32_t mix(uint32_t seed, const op_operand *o) {
  char text[AM_SHAPE_TEXT + 16];
  int used = snprintf(text, sizeof text, "%d ", (int)o->values);
  am_shape_text(o->shape, text + used);
  return am_crc32c(seed, text, strlen(text));
}

static uint64_t seed_of(const op_case *c) {
  const char *name = am_op_name(c->op);
  uint32_t seed = am_crc32c(0, name, strlen(name));
  for (int i = 0; i < AM_OP_MAX_INPUTS; i++) seed = mix(seed, &c->in[i]);
  for (int i = 0; i < AM_OP_MAX_OUTPUTS; i++) seed = mix(seed, &c->out[i]);
  return seed;
}

am_err op_cases_add(op_cases *cases, op_case c) {
  AM_TRY(AM_GROW(&cases->item, &cases->capacity, cases->count + 1));
  c.number = (int)cases->count;
  c.seed = seed_of(&c);
  cases->item[cases->count++] = c;
  return AM_OK;
}

am_err op_cases_build(op_cases *cases) {
  AM_TRY(op_cases_math(cases));
  AM_TRY(op_cases_shape(cases));
  AM_TRY(op_cases_nn(cases));
  AM_TRY(op_cases_resample(cases));
  return op_cases_update(cases);
}

void op_cases_fini(op_cases *cases) {
  free(cases->item);
  *cases = (op_cases){0};
}

const char *op_case_text(const op_case *c, char text[OP_CASE_TEXT]) {
  char shape[AM_SHAPE_TEXT];
  int used = snprintf(text, OP_CASE_TEXT, "%s #%d", am_op_name(c->op), c->number);
  for (int i = 0; i < am_op_inputs(c->op) && used < OP_CASE_TEXT; i++) {
    used += snprintf(text + used, (size_t)(OP_CASE_TEXT - used), " %s", am_shape_text(c->in[i].shape, shape));
  }
  return text;
}
