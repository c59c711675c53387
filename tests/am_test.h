// What every test program shares: cmocka, and checks that print the error behind a failed call.
//
//   static void counts_rows(void **state) { am_ok(am_thing(...)); assert_int_equal(...); }
//   int main(void) {
//     const struct CMUnitTest tests[] = {cmocka_unit_test(counts_rows)};
//     return cmocka_run_group_tests_name("thing", tests, NULL, NULL);
//   }
//
// Programs print TAP; tests/run.sh runs and counts them. Under MPI every rank runs the same tests
// and only rank 0 reports; a failure on another rank ends the program with a message.
// A test that needs data which is not here calls am_skip("why"), which is counted as skipped.
#ifndef AM_TEST_H
#define AM_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

static inline void am_ok_at(am_err err, const char *call, const char *file, int line) {
  if (err == AM_OK) return;
  fprintf(stderr, "%s:%d: %s\n", file, line, call);
  am_err_print(stderr, am_err_last(), true);
  _fail(file, line);
}
#define am_ok(call) am_ok_at((call), #call, __FILE__, __LINE__)

// The call must fail with this code, and its message must contain `part`.
static inline void am_fails_at(am_err err, am_err want, const char *part, const char *call, const char *file, int line) {
  if (err == want && strstr(am_err_last()->message, part)) return;
  fprintf(stderr, "%s:%d: %s gave %d \"%s\", expected %d with \"%s\"\n", file, line, call, (int)err,
          err ? am_err_last()->message : "", (int)want, part);
  _fail(file, line);
}
#define am_fails(call, code, part) am_fails_at((call), (code), (part), #call, __FILE__, __LINE__)

// |got - want| <= absolute + relative*|want| for every element; AM_TOL_SCALE multiplies both.
static inline void am_close_at(const double *got, const double *want, int64_t n, double relative, double absolute,
                               const char *what, const char *file, int line) {
  const char *scale_text = getenv("AM_TOL_SCALE");
  double scale = scale_text ? atof(scale_text) : 1.0, worst = 0;
  int64_t at = -1;
  for (int64_t i = 0; i < n; i++) {
    double excess = fabs(got[i] - want[i]) - scale * (absolute + relative * fabs(want[i]));
    if (!(excess <= 0) && (at < 0 || excess > worst)) {
      worst = excess;
      at = i;
    }
  }
  if (at < 0) return;
  fprintf(stderr, "%s:%d: %s[%lld] is %.9g, expected %.9g (relative %g, absolute %g)\n", file, line, what,
          (long long)at, got[at], want[at], relative, absolute);
  _fail(file, line);
}
#define am_close(got, want, n, relative, absolute) \
  am_close_at((got), (want), (n), (relative), (absolute), #got, __FILE__, __LINE__)
static inline void am_close_f32_at(const float *got, const float *want, int64_t n, double relative, double absolute,
                                   const char *what, const char *file, int line) {
  for (int64_t i = 0; i < n; i++) {
    double g = got[i], w = want[i];
    am_close_at(&g, &w, 1, relative, absolute, what, file, line);
  }
}
#define am_close_f32(got, want, n, relative, absolute) \
  am_close_f32_at((got), (want), (n), (relative), (absolute), #got, __FILE__, __LINE__)

// The word after `name` among a program's arguments, or NULL. Programs for a card take
//   --device KIND [--type fp32|tf32|bf16] [--every N]
// and then test that device alone; tests/gpu/bundle/check-gpu starts them so. What the device lacks fails there.
static inline const char *am_test_option(int argc, char **argv, const char *name) {
  for (int i = 1; i + 1 < argc; i++) {
    if (strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return NULL;
}

#define am_skip(...)                 \
  do {                               \
    printf("# skipped: " __VA_ARGS__); \
    printf("\n");                    \
    skip();                          \
  } while (0)

// A folder of this test's own, below $AM_TEST_TMP or /tmp; the runner removes it.
static inline const char *am_test_dir(void) {
  static char dir[256];
  if (!dir[0]) {
    const char *base = getenv("AM_TEST_TMP");
    snprintf(dir, sizeof dir, "%s/am-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir)) abort();
  }
  return dir;
}

// Plug-ins come from this folder of build/tests ("on_host") from now on; its path in `path`.
static inline void am_test_plugins(const char *folder, char path[4096]) {
  const ssize_t length = readlink("/proc/self/exe", path, 4096 - 64);
  assert_true(length > 0);
  path[length] = '\0';
  for (int up = 0; up < 2; up++) *strrchr(path, '/') = '\0';
  snprintf(strrchr(path, '\0'), 64, "/%s", folder);
  assert_int_equal(setenv("AUGMINT_BACKENDS", path, 1), 0);
}

#endif
