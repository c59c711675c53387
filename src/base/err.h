// Errors as return values: one list of codes, one record per thread, a trace of frames.
//
// Whoever first knows what went wrong writes the message (AM_FAIL, AM_CHECK); every caller on the
// way up adds only its place (AM_TRY, AM_GO). A message names the thing, the value and the
// expectation. Nothing here prints or exits: app/main.c does.
#ifndef AM_BASE_ERR_H
#define AM_BASE_ERR_H

#include <stdbool.h>
#include <stdio.h>

// Ordered by how much a code says about the origin: when ranks agree on one error, the largest
// code wins, so AM_ERR_PEER ("another rank failed") never hides the reason.
//   X(name, exit code of the program, text)
#define AM_ERR_LIST(X)                                                   \
  X(AM_OK, 0, "ok")                                                      \
  X(AM_ERR_PEER, 1, "another rank failed")                               \
  X(AM_ERR_STOPPED, 75, "stopped by a signal, progress is saved")        \
  X(AM_ERR_ARG, 1, "wrong argument")                                     \
  X(AM_ERR_UNSUPPORTED, 1, "not supported here")                         \
  X(AM_ERR_NOMEM, 1, "out of memory")                                    \
  X(AM_ERR_IO, 1, "input or output failed")                              \
  X(AM_ERR_BUSY, 1, "held by another run")                               \
  X(AM_ERR_DATA, 1, "bad data")                                          \
  X(AM_ERR_NUMERIC, 1, "numerical trouble")                              \
  X(AM_ERR_DEVICE, 1, "device or library call failed")                   \
  X(AM_ERR_CONFIG, 2, "bad configuration")                               \
  X(AM_ERR_INTERNAL, 1, "a bug in augmint")

typedef enum {
#define AM_ERR_ENUM(name, exit_code, text) name,
  AM_ERR_LIST(AM_ERR_ENUM)
#undef AM_ERR_ENUM
      AM_ERR_COUNT
} am_err_code;

// The type of every function that can fail. An unused result is a compiler warning.
typedef am_err_code am_err;
#define AM_MUST_USE __attribute__((warn_unused_result))

enum { AM_ERR_MESSAGE_BYTES = 2048, AM_ERR_FRAMES = 24 };

typedef struct {
  const char *file;  // borrowed: __FILE__
  const char *func;  // borrowed: __func__
  int line;
} am_err_frame;

typedef struct {
  am_err code;
  char message[AM_ERR_MESSAGE_BYTES];
  am_err_frame frame[AM_ERR_FRAMES];
  int frame_count;
} am_err_record;

// Starts a new record on this thread and returns `code`. Use through AM_FAIL.
am_err am_err_set(am_err code, const char *file, int line, const char *func, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
// Adds a place to the record of this thread (silently dropped when the trace is full).
void am_err_add_frame(const char *file, int line, const char *func);
// Puts "prefix: " before the message: for callers that know which file or key was meant.
void am_err_prefix(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// The record of this thread; valid until the next error on this thread.
const am_err_record *am_err_last(void);
void am_err_clear(void);
// Moves a record between threads: a worker saves a copy, the owner restores it as its own.
void am_err_restore(const am_err_record *record);

const char *am_err_text(am_err code);  // "bad data"
int am_err_exit_code(am_err code);     // 0, 1, 2 or 75
// Writes "error: message" and, when trace is set, one line per frame.
void am_err_print(FILE *out, const am_err_record *record, bool trace);

#define AM_FAIL(code, ...) am_err_set((code), __FILE__, __LINE__, __func__, __VA_ARGS__)

// Return when nothing is owned ...
#define AM_TRY(call)                                     \
  do {                                                   \
    am_err am_try_err_ = (call);                         \
    if (am_try_err_ != AM_OK) {                          \
      am_err_add_frame(__FILE__, __LINE__, __func__);    \
      return am_try_err_;                                \
    }                                                    \
  } while (0)
#define AM_CHECK(cond, code, ...)                        \
  do {                                                   \
    if (!(cond)) return AM_FAIL((code), __VA_ARGS__);    \
  } while (0)

// ... jump when something is. Both set the local variable `err`.
#define AM_GO(label, call)                               \
  do {                                                   \
    err = (call);                                        \
    if (err != AM_OK) {                                  \
      am_err_add_frame(__FILE__, __LINE__, __func__);    \
      goto label;                                        \
    }                                                    \
  } while (0)
#define AM_CHECK_GO(label, cond, code, ...)              \
  do {                                                   \
    if (!(cond)) {                                       \
      err = AM_FAIL((code), __VA_ARGS__);                \
      goto label;                                        \
    }                                                    \
  } while (0)

// Our own invariants: a trap in debug and sanitizer builds, nothing in release builds.
#ifdef AM_INVARIANTS
#define AM_ASSERT(cond) ((cond) ? (void)0 : __builtin_trap())
#else
#define AM_ASSERT(cond) ((void)sizeof(cond))
#endif

#endif
