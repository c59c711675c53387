#include "base/clock.h"

#include <stdio.h>
#include <time.h>

double am_clock_sec(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void am_clock_sleep(double sec) {
  struct timespec t = {.tv_sec = (time_t)sec, .tv_nsec = (long)(1e9 * (sec - (double)(time_t)sec))};
  nanosleep(&t, NULL);
}

void am_clock_utc(char out[32]) { am_clock_utc_at((double)time(NULL), out); }

void am_clock_utc_at(double sec, char out[32]) {
  time_t moment = (time_t)sec;
  struct tm utc;
  gmtime_r(&moment, &utc);
  strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void am_clock_span(double sec, char out[32]) {
  if (sec < 0) sec = 0;
  if (sec < 9.95) {
    snprintf(out, 32, "%.1fs", sec);
  } else if (sec < 60) {
    snprintf(out, 32, "%.0fs", sec);
  } else if (sec < 3600) {
    snprintf(out, 32, "%dm%02ds", (int)(sec / 60), (int)sec % 60);
  } else {
    snprintf(out, 32, "%dh%02dm", (int)(sec / 3600), (int)(sec / 60) % 60);
  }
}

bool am_clock_parse_span(const char *text, double *sec) {
  double part[3] = {0};
  char unit = 0, extra = 0;
  int days = 0, used = 0;
  bool has_days = sscanf(text, "%9d-%n", &days, &used) == 1 && used > 0;
  if (!has_days) used = 0;
  int n = sscanf(text + used, "%lf:%lf:%lf%c", &part[0], &part[1], &part[2], &extra);
  if (has_days) {
    *sec = 86400.0 * days + 3600 * part[0] + 60 * part[1] + part[2];
    return days >= 0 && n >= 1 && n <= 3;
  }
  if (n == 3) *sec = 3600 * part[0] + 60 * part[1] + part[2];
  if (n == 2) *sec = 60 * part[0] + part[1];
  if (n == 2 || n == 3) return *sec > 0;
  n = sscanf(text, "%lf%c%c", &part[0], &unit, &extra);
  double scale = n == 1 || unit == 'm' ? 60 : unit == 's' ? 1 : unit == 'h' ? 3600 : unit == 'd' ? 86400 : 0;
  *sec = part[0] * scale;
  return n >= 1 && n <= 2 && *sec > 0;
}
