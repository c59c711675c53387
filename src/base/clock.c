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
