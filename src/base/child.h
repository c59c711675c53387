// Other programs, run by their words: no shell sees them, so no value needs quoting.
#ifndef AM_BASE_CHILD_H
#define AM_BASE_CHILD_H

#include <stdint.h>

#include "base/err.h"

// Words of a command, in order. Starts as {0}; word[count] is always NULL once there is a word.
typedef struct {
  char **word;  // owned
  int64_t count, capacity;
} am_argv;
AM_MUST_USE am_err am_argv_add(am_argv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void am_argv_fini(am_argv *v);
// The command as a line that a POSIX shell reads back as the same words: for people.
AM_MUST_USE am_err am_argv_quote(const am_argv *v, char **out);

typedef struct {
  int status;        // exit status; 128 + n when signal n ended it, as shells say it
  char *out, *diag;  // owned: standard output and standard error, each at most 64 MiB
} am_child;

// Runs word[0] (looked for in PATH) with its words and waits for its end. Standard input is empty.
// A program that ends badly is no error here: see status. Not for processes with several ranks.
// Errors: AM_ERR_UNSUPPORTED there is no such program; AM_ERR_IO; AM_ERR_DATA too much output.
AM_MUST_USE am_err am_child_run(const am_argv *argv, am_child *out);
void am_child_fini(am_child *c);
// The last line of what it said on standard error, or on standard output: for messages. Borrowed; changes c.
const char *am_child_complaint(am_child *c);

#endif
