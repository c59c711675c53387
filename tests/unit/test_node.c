// Trees: overrides, merging, copies that outlive their source, canonical text and printing.
#include "am_test.h"
#include "config/node.h"

static am_node *parse(const char *text) {
  am_node *n = NULL;
  am_ok(am_yaml_parse("f.yaml", text, strlen(text), &n));
  return n;
}

static void canonical_is(const am_node *n, const char *want) {
  am_str text = {0};
  am_ok(am_node_canonical(n, &text));
  assert_string_equal(am_str_get(&text), want);
  am_str_fini(&text);
}

static void canonical_text_is(const char *yaml, const char *want) {
  am_node *n = parse(yaml);
  canonical_is(n, want);
  am_node_free(n);
}

static void equal_meaning_is_equal_text(void **state) {
  (void)state;
  canonical_text_is("{b: 1e-3, a: 0.001}", "{\"a\":0.001,\"b\":0.001}");
  canonical_text_is("[2, 2.0, +2, 2e0, 02, 20e-1]", "[2,2,2,2,2,2]");
  canonical_text_is("[-0, 0.1, 1e-8, 1e300, 0.30000000000000004]",
                    "[0,0.1,1e-08,1e+300,0.30000000000000004]");
  canonical_text_is("[9007199254740993, True, ~, null, 'true', \"2\"]",
                    "[9007199254740993,true,null,null,\"true\",\"2\"]");
  canonical_text_is("'a\"\\\\\x09'", "\"a\\\"\\\\\\\\\\u0009\"");
  canonical_text_is("{z: {}, a: []}", "{\"a\":[],\"z\":{}}");
}

static void set_overrides_and_creates(void **state) {
  (void)state;
  am_node *n = parse("train: {epochs: 80, optimizer: {lr: 0.1}}\nlist: [1, {a: 2}]\nempty:\n");
  am_ok(am_node_set(n, "train.epochs=2"));
  am_ok(am_node_set(n, "train.optimizer={kind: sgd}"));
  am_ok(am_node_set(n, "list[1].a=[x, y]"));
  am_ok(am_node_set(n, "list[0]=7"));
  am_ok(am_node_set(n, "empty.deep.er=text=with=equals"));
  canonical_is(n,
               "{\"empty\":{\"deep\":{\"er\":\"text=with=equals\"}},\"list\":[7,{\"a\":[\"x\",\"y\"]}],"
               "\"train\":{\"epochs\":2,\"optimizer\":{\"kind\":\"sgd\"}}}");
  assert_string_equal(am_node_find(n, "list[1].a[1]")->path, "list[1].a[1]");
  int64_t i = 0;
  am_fails(am_node_i64(am_node_find(n, "list[1].a[1]"), &i), AM_ERR_CONFIG,
           "--set: list[1].a[1]: \"y\", expected");
  am_fails(am_node_set(n, "train.epochs.x=1"), AM_ERR_CONFIG, "train.epochs is not a map");
  am_fails(am_node_set(n, "list[5]=1"), AM_ERR_CONFIG, "list is not a list with such an entry");
  am_fails(am_node_set(n, "train"), AM_ERR_CONFIG, "expected KEY.KEY=VALUE");
  am_fails(am_node_set(n, "train.=3"), AM_ERR_CONFIG, "expected KEY.KEY=VALUE");
  am_fails(am_node_set(n, "train.epochs=[1"), AM_ERR_CONFIG, "--set");
  am_node_free(n);
}

static void merge_keeps_places_after_the_source_is_gone(void **state) {
  (void)state;
  am_node *base = parse("a: {x: 1, y: 2}\nl: [1, 2]\n"), *over = NULL;
  const char *text = "a: {y: three, z: 4}\nl: [9]\n";
  am_ok(am_yaml_parse("over.yaml", text, strlen(text), &over));
  am_ok(am_node_merge(base, over));
  am_node_free(over);
  canonical_is(base, "{\"a\":{\"x\":1,\"y\":\"three\",\"z\":4},\"l\":[9]}");
  int64_t i = 0;
  am_fails(am_node_i64(am_node_find(base, "a.y"), &i), AM_ERR_CONFIG, "over.yaml:1:8: a.y: \"three\"");
  am_node *copy = NULL;
  am_ok(am_node_copy(am_node_get(base, "a"), &copy));
  am_node_free(base);
  am_fails(am_node_i64(am_node_get(copy, "y"), &i), AM_ERR_CONFIG, "over.yaml:1:8");
  assert_string_equal(am_node_get(copy, "x")->file, "f.yaml");
  am_node_free(copy);
}

static void built_trees_know_their_paths(void **state) {
  (void)state;
  am_node *map = NULL, *list = NULL, *leaf = NULL;
  am_ok(am_node_new_map("", &map));
  am_ok(am_node_new_list("", &list));
  am_ok(am_node_new_scalar("x", false, &leaf));
  am_ok(am_node_append(list, leaf));
  am_ok(am_node_put(map, "k", list));
  assert_string_equal(leaf->path, "k[0]");
  int64_t i = 0;
  am_fails(am_node_i64(leaf, &i), AM_ERR_CONFIG, "configuration: k[0]: \"x\", expected");
  am_node_remove(map, "k");
  assert_int_equal(map->count, 0);
  am_node_free(map);
}

static void printed_yaml_reads_back(void **state) {
  (void)state;
  const char *text =
      "name: demo\narms:\n  a+b: {train: [real, {pool: gan, per_class: 5}], augment: []}\nquoted: '12'\n"
      "words: [a b, 'null', \"x: y\", -1.5, no]\nempty: {}\nnone:\nnested: [[1, 2], [3, [4, {k: v, l: "
      "w}]]]\n";
  am_node *n = parse(text);
  am_str before = {0}, printed = {0}, after = {0};
  am_ok(am_node_canonical(n, &before));
  am_ok(am_node_print(n, &printed));
  am_node_free(n);
  n = parse(am_str_get(&printed));
  am_ok(am_node_canonical(n, &after));
  assert_string_equal(am_str_get(&after), am_str_get(&before));
  am_node_free(n);
  am_str_fini(&before);
  am_str_fini(&printed);
  am_str_fini(&after);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_meaning_is_equal_text),
      cmocka_unit_test(set_overrides_and_creates),
      cmocka_unit_test(merge_keeps_places_after_the_source_is_gone),
      cmocka_unit_test(built_trees_know_their_paths),
      cmocka_unit_test(printed_yaml_reads_back),
  };
  return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
