// Messages for people. Levels are defined by volume: info is a few lines per stage, debug grows
// with objects, trace with steps. Rank 0 writes info and above to the terminal (stderr); every
// rank writes its level and above to its own file once a folder is known.
#ifndef AM_BASE_LOG_H
#define AM_BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

typedef enum { AM_LOG_ERROR, AM_LOG_WARN, AM_LOG_INFO, AM_LOG_DEBUG, AM_LOG_TRACE } am_log_level;

void am_log_init(int rank, am_log_level terminal_level);
// Starts DIR/rank<r>.log (appending). Errors: AM_ERR_IO.
AM_MUST_USE am_err am_log_open(const char *dir, am_log_level file_level);
void am_log_close(void);
void am_log_write(am_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// True when a message of this level would be written anywhere: skip costly formatting otherwise.
bool am_log_wants(am_log_level level);

#define AM_WARN(...) am_log_write(AM_LOG_WARN, __VA_ARGS__)
#define AM_INFO(...) am_log_write(AM_LOG_INFO, __VA_ARGS__)
#define AM_DEBUG(...) am_log_write(AM_LOG_DEBUG, __VA_ARGS__)

// One line at most every few seconds, for long work:
//   if (am_progress_due(&p)) AM_INFO("fit gan/cow: step %lld/%lld ...", ...);
typedef struct {
  double last_sec;
} am_progress;
bool am_progress_due(am_progress *p);

#endif
