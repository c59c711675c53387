// Seconds from a clock that never jumps, and UTC text. Times go to logs and provenance only: no
// result may depend on them.
#ifndef AM_BASE_CLOCK_H
#define AM_BASE_CLOCK_H

#include <stdbool.h>

double am_clock_sec(void);                  // monotonic
void am_clock_sleep(double sec);               // less after a signal
void am_clock_utc(char out[32]);            // "2024-05-01T12:00:00Z"
void am_clock_utc_at(double sec, char out[32]);  // of a moment in seconds since 1970
void am_clock_span(double sec, char out[32]);  // "41m", "3h07m", "12s", "0.3s"
// "90m", "2h", "1d", "30s", and as Slurm has them: "90" minutes, "M:S", "H:M:S", "D-H", "D-H:M", "D-H:M:S". False: none.
bool am_clock_parse_span(const char *text, double *sec);

#endif
