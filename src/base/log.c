#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static struct {
  pthread_mutex_t lock;
  int rank;
  am_log_level terminal_level, file_level;
  FILE *file;  // owned
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .terminal_level = AM_LOG_INFO};

void am_log_init(int rank, am_log_level terminal_level) {
  log_state.rank = rank;
  log_state.terminal_level = terminal_level;
}

am_err am_log_open(const char *dir, am_log_level file_level) {
  char *path = NULL;
  AM_TRY(am_str_format(&path, "%s/rank%d.log", dir, log_state.rank));
  FILE *file = fopen(path, "a");
  am_err err = file ? AM_OK : AM_FAIL(AM_ERR_IO, "cannot open the log %s: %s", path, strerror(errno));
  free(path);
  if (err) return err;
  am_log_close();
  log_state.file = file;
  log_state.file_level = file_level;
  return AM_OK;
}

void am_log_close(void) {
  if (log_state.file) fclose(log_state.file);
  log_state.file = NULL;
}

// Warnings and errors of any rank reach the terminal; the rest only from rank 0.
static bool to_terminal(am_log_level level) {
  return level <= log_state.terminal_level && (log_state.rank == 0 || level <= AM_LOG_WARN);
}

bool am_log_wants(am_log_level level) {
  return to_terminal(level) || (log_state.file && level <= log_state.file_level);
}

void am_log_write(am_log_level level, const char *fmt, ...) {
  static const char *const mark[] = {"error: ", "warning: ", "", "", ""};
  if (!am_log_wants(level)) return;
  char text[2048];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  pthread_mutex_lock(&log_state.lock);
  if (to_terminal(level)) {
    if (log_state.rank) fprintf(stderr, "[rank %d] ", log_state.rank);
    fprintf(stderr, "%s%s\n", mark[level], text);
  }
  if (log_state.file && level <= log_state.file_level) {
    char now[32];
    am_clock_utc(now);
    fprintf(log_state.file, "%s %s%s\n", now, mark[level], text);
    fflush(log_state.file);
  }
  pthread_mutex_unlock(&log_state.lock);
}

bool am_progress_due(am_progress *p) {
  enum { PERIOD_SEC = 5 };
  double now = am_clock_sec();
  if (p->last_sec == 0) p->last_sec = now;
  if (now - p->last_sec < PERIOD_SEC) return false;
  p->last_sec = now;
  return true;
}
