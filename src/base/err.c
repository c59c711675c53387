#include "base/err.h"

#include <stdarg.h>
#include <string.h>

static _Thread_local am_err_record last;

am_err am_err_set(am_err code, const char *file, int line, const char *func, const char *fmt, ...) {
  va_list args;
  char text[AM_ERR_MESSAGE_BYTES];  // the arguments may point into the record that is replaced
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  memcpy(last.message, text, sizeof text);
  last.code = code;
  last.frame_count = 0;
  am_err_add_frame(file, line, func);
  return code;
}

void am_err_add_frame(const char *file, int line, const char *func) {
  if (last.frame_count < AM_ERR_FRAMES) {
    last.frame[last.frame_count++] = (am_err_frame){.file = file, .func = func, .line = line};
  }
}

void am_err_prefix(const char *fmt, ...) {
  char text[AM_ERR_MESSAGE_BYTES];
  va_list args;
  va_start(args, fmt);
  int used = vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (used < 0) used = 0;
  if (used >= (int)sizeof text) used = (int)sizeof text - 1;
  snprintf(text + used, sizeof text - (size_t)used, ": %s", last.message);
  memcpy(last.message, text, sizeof text);
}

const am_err_record *am_err_last(void) { return &last; }

void am_err_clear(void) {
  last.code = AM_OK;
  last.message[0] = '\0';
  last.frame_count = 0;
}

void am_err_restore(const am_err_record *record) { last = *record; }

const char *am_err_text(am_err code) {
  static const char *const text[AM_ERR_COUNT] = {
#define AM_ERR_TEXT(name, exit_code, words) [name] = words,
      AM_ERR_LIST(AM_ERR_TEXT)
#undef AM_ERR_TEXT
  };
  return code >= AM_OK && code < AM_ERR_COUNT ? text[code] : "unknown error";
}

int am_err_exit_code(am_err code) {
  static const int exit_code_of[AM_ERR_COUNT] = {
#define AM_ERR_EXIT(name, exit_code, words) [name] = exit_code,
      AM_ERR_LIST(AM_ERR_EXIT)
#undef AM_ERR_EXIT
  };
  return code >= AM_OK && code < AM_ERR_COUNT ? exit_code_of[code] : 1;
}

void am_err_print(FILE *out, const am_err_record *record, bool trace) {
  fprintf(out, "augmint: error: %s\n", record->message);
  if (!trace) return;
  for (int i = 0; i < record->frame_count; i++) {
    const am_err_frame *f = &record->frame[i];
    fprintf(out, "  at %s (%s:%d)\n", f->func, f->file, f->line);
  }
}
