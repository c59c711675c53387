// Command-line options as a table: one row makes the parser and the line of --help.
//
//   bool tiny = false; am_words set = {0};
//   const am_option options[] = {
//     {"--tiny", AM_OPTION_FLAG, &tiny, NULL, "the small overrides of the file's `tiny:` section"},
//     {"--set", AM_OPTION_WORDS, &set, "KEY=VALUE", "override one key (may be repeated)"},
//   };
#ifndef AM_APP_OPTIONS_H
#define AM_APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { AM_WORDS_MAX = 64 };
typedef struct {
  const char *word[AM_WORDS_MAX];  // borrowed from argv
  int count;
} am_words;

typedef enum {
  AM_OPTION_FLAG,   // bool: set to true
  AM_OPTION_COUNT,  // int: one more each time ("-v -v")
  AM_OPTION_TEXT,   // const char *: borrowed from argv
  AM_OPTION_I64,    // int64_t
  AM_OPTION_WORDS   // am_words: every use adds one
} am_option_kind;

typedef struct {
  const char *name;  // "--tiny", or "-v"
  am_option_kind kind;
  void *value;       // where it goes; holds the default before parsing
  const char *word;  // what stands for the value in --help: "DIR"; NULL for flags
  const char *doc;
} am_option;

// Takes the options of the table out of argv ("--name value" and "--name=value"; "--" ends them);
// what is left stays in order and *argc is its number. An option outside the table is an error
// that names the nearest, or is left in place when leave_unknown is set.
// Errors: AM_ERR_CONFIG.
AM_MUST_USE am_err am_options_parse(const am_option *option, int count, bool leave_unknown, int *argc,
                                    char **argv);
// The lines of --help, one per option, aligned.
AM_MUST_USE am_err am_options_describe(const am_option *option, int count, am_str *out);

#endif
