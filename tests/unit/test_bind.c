// Field lists: defaults, ranges, unknown keys and words, the way back, the printed table.
#include "am_test.h"
#include "config/bind.h"

#define DEMO_FIELDS(I, F, B, S, C)                           \
  I(epochs, 80, 1, 1000, "", "passes over the training set") \
  F(lr, 1.0e-3, 0, 100, "1/step", "peak learning rate")      \
  B(shuffle, true, "in random order")                        \
  S(model, NULL, "network name")                             \
  C(schedule, "constant", "constant|step|cosine", "how the learning rate falls")
typedef struct {
  AM_STRUCT(DEMO_FIELDS)
} demo_cfg;
#define AM_FIELD_OF demo_cfg
static const am_field demo_fields[] = {AM_FIELDS(DEMO_FIELDS)};
#undef AM_FIELD_OF
static const am_schema demo_schema = AM_SCHEMA("demo", "a demonstration", demo_cfg, demo_fields);

static am_err bind(const char *text, const char *const *also, demo_cfg *out) {
  static am_node *n;  // bound text is borrowed from the tree until the next call
  am_node_free(n);
  n = NULL;
  if (!text) return AM_OK;
  am_err err = am_yaml_parse("f.yaml", text, strlen(text), &n);
  return err ? err : am_bind(n, &demo_schema, also, out);
}

static void fills_values_and_defaults(void **state) {
  (void)state;
  demo_cfg c;
  am_ok(bind("{model: cnn, epochs: 2e1, schedule: step, shuffle: false}", NULL, &c));
  assert_int_equal(c.epochs, 20);
  assert_true(c.lr == 1e-3);
  assert_false(c.shuffle);
  assert_string_equal(c.model, "cnn");
  assert_string_equal(c.schedule, "step");
}

static void refuses_with_place_and_hint(void **state) {
  (void)state;
  demo_cfg c;
  am_fails(bind("model: cnn\nepohcs: 3\n", NULL, &c), AM_ERR_CONFIG,
           "f.yaml:2:1: epohcs: unknown key `epohcs`; did you mean `epochs`?");
  am_fails(bind("model: cnn\nqwertyuiop: 3\n", NULL, &c), AM_ERR_CONFIG,
           "known: epochs, lr, shuffle, model, schedule");
  am_fails(bind("{model: cnn, epochs: 0}", NULL, &c), AM_ERR_CONFIG, "epochs: 0, expected 1 to 1000 (passes");
  am_fails(bind("{model: cnn, lr: 1000}", NULL, &c), AM_ERR_CONFIG, "lr: 1000, expected 0 to 100 1/step");
  am_fails(bind("{model: cnn, lr: fast}", NULL, &c), AM_ERR_CONFIG, "lr: \"fast\", expected a number");
  am_fails(bind("{model: cnn, schedule: cosin}", NULL, &c), AM_ERR_CONFIG,
           "\"cosin\", expected constant|step|cosine; did you mean `cosine`?");
  am_fails(bind("{model: cnn, schedule: constant|step}", NULL, &c), AM_ERR_CONFIG, "\"constant|step\", expected");
  am_fails(bind("{model: cnn, schedule: const}", NULL, &c), AM_ERR_CONFIG, "expected constant|step|cosine");
  am_fails(bind("{epochs: 3}", NULL, &c), AM_ERR_CONFIG, "key `model` is missing (network name)");
  am_fails(bind("[1]", NULL, &c), AM_ERR_CONFIG, "a list, expected a map");
  am_fails(am_bind(NULL, &demo_schema, NULL, &c), AM_ERR_CONFIG, "demo: key `model` is missing");
}

static void leaves_other_keys_to_the_caller(void **state) {
  (void)state;
  const char *const also[] = {"optimizer", NULL};
  demo_cfg c;
  am_ok(bind("{model: cnn, optimizer: {kind: sgd}}", also, &c));
  am_fails(bind("{model: cnn, optimiser: {kind: sgd}}", also, &c), AM_ERR_CONFIG,
           "did you mean `optimizer`?");
}

static void goes_back_to_canonical_text(void **state) {
  (void)state;
  demo_cfg c;
  am_node *n = NULL;
  am_str text = {0};
  am_ok(bind("{model: '12', lr: 0.1}", NULL, &c));
  am_ok(am_bind_to_node(&demo_schema, &c, &n));
  am_ok(am_node_canonical(n, &text));
  assert_string_equal(
      am_str_get(&text),
      "{\"epochs\":80,\"lr\":0.1,\"model\":\"12\",\"schedule\":\"constant\",\"shuffle\":true}");
  am_node_free(n);
  am_str_fini(&text);
}

static void prints_an_aligned_table(void **state) {
  (void)state;
  am_str text = {0};
  am_ok(am_schema_print(&demo_schema, &text));
  assert_string_equal(
      am_str_get(&text),
      "demo: a demonstration\n"
      "  key       type        default   range          meaning\n"
      "  epochs    integer     80        1..1000        passes over the training set\n"
      "  lr        number      0.001     0..100 1/step  peak learning rate\n"
      "  shuffle   true|false  true                     in random order\n"
      "  model     text        required                 network name\n"
      "  schedule  word        constant                 constant|step|cosine: how the learning rate falls\n");
  am_str_fini(&text);
}

static int free_last_tree(void **state) {
  (void)state;
  return bind(NULL, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fills_values_and_defaults),       cmocka_unit_test(refuses_with_place_and_hint),
      cmocka_unit_test(leaves_other_keys_to_the_caller), cmocka_unit_test(goes_back_to_canonical_text),
      cmocka_unit_test(prints_an_aligned_table),
  };
  return cmocka_run_group_tests_name("bind", tests, NULL, free_last_tree);
}
