// YAML text to a tree: what is read, what is refused, and where the message points.
#include "am_test.h"
#include "config/node.h"

static am_err parse(const char *text, am_node **out) {
  return am_yaml_parse("f.yaml", text, strlen(text), out);
}

static void refuses(const char *text, const char *part) {
  am_node *n = NULL;
  am_fails(parse(text, &n), AM_ERR_CONFIG, part);
  assert_null(n);
}

static void reads_values_with_places(void **state) {
  (void)state;
  am_node *n = NULL;
  am_ok(parse("name: demo\ntrain:\n  epochs: 80\n  betas: [0.5, 0.999]\n", &n));
  am_node *epochs = am_node_find(n, "train.epochs"), *beta = am_node_find(n, "train.betas[1]");
  assert_non_null(epochs);
  assert_int_equal(epochs->line, 3);
  assert_int_equal(epochs->column, 11);
  assert_int_equal(epochs->key_column, 3);
  assert_string_equal(epochs->file, "f.yaml");
  assert_string_equal(beta->path, "train.betas[1]");
  double x = 0;
  am_ok(am_node_f64(beta, &x));
  assert_true(x == 0.999);
  assert_null(am_node_find(n, "train.betas[2]"));
  assert_null(am_node_find(n, "train..epochs"));
  assert_null(am_node_find(n, "name.x"));
  am_node_free(n);
}

static void tells_words_from_numbers(void **state) {
  (void)state;
  am_node *n = NULL;
  am_ok(parse("{no: no, one: \"1\", hex: 0x10, inf: .inf, e: 1e3, half: 0.5, big: 9007199254740993, none: }",
              &n));
  int64_t i = 0;
  double x = 0;
  bool b = false;
  const char *s = NULL;
  am_fails(am_node_bool(am_node_get(n, "no"), &b), AM_ERR_CONFIG,
           "f.yaml:1:6: no: \"no\", expected true or false");
  am_fails(am_node_i64(am_node_get(n, "one"), &i), AM_ERR_CONFIG, "expected a whole number");
  am_fails(am_node_f64(am_node_get(n, "hex"), &x), AM_ERR_CONFIG, "expected a number");
  am_fails(am_node_f64(am_node_get(n, "inf"), &x), AM_ERR_CONFIG, "expected a number");
  am_fails(am_node_i64(am_node_get(n, "half"), &i), AM_ERR_CONFIG, "0.5, expected a whole number");
  am_fails(am_node_str(am_node_get(n, "none"), &s), AM_ERR_CONFIG, "nothing, expected a text");
  am_ok(am_node_i64(am_node_get(n, "e"), &i));
  assert_int_equal(i, 1000);
  am_ok(am_node_i64(am_node_get(n, "big"), &i));
  assert_true(i == 9007199254740993);
  am_ok(am_node_str(am_node_get(n, "one"), &s));
  assert_string_equal(s, "1");
  am_node_free(n);
}

static void refuses_what_surprises(void **state) {
  (void)state;
  refuses("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: key `a` comes twice; it is already given in line 1");
  refuses("a: {x: 1, x: 2}\n", "f.yaml:1:11: a.x: key `x` comes twice");
  refuses("a: &x {b: 1}\nc:\n  <<: *x\n", "f.yaml:3:3: merge keys (<<)");
  refuses("a: !!int 3\n", "f.yaml:1:4: tags");
  refuses("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document");
  refuses("? [a, b]\n: 1\n", "a key must be a plain word");
  refuses("a: \"x\\0y\"\n", "zero byte");
  refuses("\"\": 1\n", "a key is empty");
  refuses("a: [1, 2\nb: 3\n", "f.yaml:");
  refuses("a: *nowhere\n", "f.yaml:1:4: *nowhere names no finished value");
  refuses("a: &a [*a]\n", "*a names no finished value");
  refuses("\xff\xff", "f.yaml");
}

static void keeps_its_limits(void **state) {
  (void)state;
  enum { DEEP = 100 };
  char deep[DEEP + 1];
  memset(deep, '[', DEEP);
  deep[DEEP] = '\0';
  refuses(deep, "nested deeper than 32 levels");

  // Nine aliases of nine aliases of ...: a billion values from a few hundred bytes.
  char laugh[2048] = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; i++) {
    char line[128];
    snprintf(line, sizeof line, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
             i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    strcat(laugh, line);
  }
  refuses(laugh, "more than 100000 values");

  size_t bytes = AM_YAML_BYTES + 1;
  char *large = malloc(bytes + 1);
  memset(large, ' ', bytes);
  large[bytes] = '\0';
  refuses(large, "the limit for a configuration");
  memset(large, 'k', 300);
  strcpy(large + 300, ": 1");
  refuses(large, "a key is longer than 255 bytes");
  free(large);
}

static void expands_aliases_in_place(void **state) {
  (void)state;
  am_node *n = NULL;
  am_ok(parse("base: &b {lr: 0.1, list: [1, {k: 2}]}\nother: *b\n", &n));
  am_node *k = am_node_find(n, "other.list[1].k");
  assert_non_null(k);
  assert_string_equal(k->path, "other.list[1].k");
  assert_int_equal(k->line, 1);
  am_node_free(n);
}

static void reads_files_and_names_missing_ones(void **state) {
  (void)state;
  char path[300];
  snprintf(path, sizeof path, "%s/none.yaml", am_test_dir());
  am_node *n = NULL;
  am_fails(am_yaml_read(path, &n), AM_ERR_CONFIG, "none.yaml");
}

static void empty_text_is_null(void **state) {
  (void)state;
  am_node *n = NULL;
  am_ok(parse("# nothing here\n", &n));
  assert_int_equal(n->kind, AM_NODE_NULL);
  am_node_free(n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_values_with_places), cmocka_unit_test(tells_words_from_numbers),
      cmocka_unit_test(refuses_what_surprises),   cmocka_unit_test(keeps_its_limits),
      cmocka_unit_test(expands_aliases_in_place), cmocka_unit_test(reads_files_and_names_missing_ones),
      cmocka_unit_test(empty_text_is_null),
  };
  return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
