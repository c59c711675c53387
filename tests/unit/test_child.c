// Programs run by their words: what they say, how they end, and words that a shell would read otherwise.
#include "am_test.h"
#include "base/child.h"
#include "base/str.h"

static am_argv words(const char *const *word) {
  am_argv v = {0};
  for (; *word; word++) am_ok(am_argv_add(&v, "%s", *word));
  return v;
}

static am_child run(const char *const *word) {
  am_argv v = words(word);
  am_child c = {0};
  am_ok(am_child_run(&v, &c));
  am_argv_fini(&v);
  return c;
}

static void hands_over_words_as_they_are(void **state) {
  (void)state;
  am_child c =
      run((const char *const[]){"printf", "<%s>", "a b", "$(id)", "'\"", "new\nline", "", "*", NULL});
  assert_string_equal(c.out, "<a b><$(id)><'\"><new\nline><><*>");
  assert_int_equal(c.status, 0);
  am_child_fini(&c);
}

static void tells_how_it_ended(void **state) {
  (void)state;
  am_child c =
      run((const char *const[]){"sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3", NULL});
  assert_int_equal(c.status, 3);
  assert_string_equal(c.out, "out\n");
  assert_string_equal(am_child_complaint(&c), "last");
  am_child_fini(&c);
  c = run((const char *const[]){"sh", "-c", "kill -9 $$", NULL});
  assert_int_equal(c.status, 128 + 9);
  assert_string_equal(am_child_complaint(&c), "");
  am_child_fini(&c);
  c = run((const char *const[]){"cat", NULL});  // nothing to read
  assert_int_equal(c.status, 0);
  am_child_fini(&c);
}

// More than a pipe holds, on both streams in turn.
static void reads_both_streams_side_by_side(void **state) {
  (void)state;
  am_child c = run((const char *const[]){"sh", "-c",
                                         "for i in 1 2 3 4; do head -c 200000 /dev/zero | tr '\\0' e >&2; "
                                         "head -c 200000 /dev/zero | tr '\\0' o; done",
                                         NULL});
  assert_int_equal(strlen(c.out), 800000);
  assert_int_equal(strlen(c.diag), 800000);
  am_child_fini(&c);
}

static void says_what_cannot_be_run(void **state) {
  (void)state;
  am_argv v = words((const char *const[]){"no-such-program-here", NULL});
  am_child c = {0};
  am_fails(am_child_run(&v, &c), AM_ERR_UNSUPPORTED, "no-such-program-here cannot be run");
  am_argv_fini(&v);
  v = words((const char *const[]){"/dev/null", NULL});
  am_fails(am_child_run(&v, &c), AM_ERR_IO, "/dev/null cannot be run");
  am_argv_fini(&v);
}

static void quotes_so_that_a_shell_reads_it_back(void **state) {
  (void)state;
  am_argv v = words(
      (const char *const[]){"printf", "%s|", "a b", "it's", "$(id)", "", "plain-1.0/x=@", "new\nline", NULL});
  char *line = NULL;
  am_ok(am_argv_quote(&v, &line));
  am_child c = run((const char *const[]){"sh", "-c", line, NULL});
  assert_string_equal(c.out, "a b|it's|$(id)||plain-1.0/x=@|new\nline|");
  assert_true(am_str_starts(line, "printf '%s|' 'a b' "));
  am_child_fini(&c);
  free(line);
  am_argv_fini(&v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hands_over_words_as_they_are),         cmocka_unit_test(tells_how_it_ended),
      cmocka_unit_test(reads_both_streams_side_by_side),      cmocka_unit_test(says_what_cannot_be_run),
      cmocka_unit_test(quotes_so_that_a_shell_reads_it_back),
  };
  return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
