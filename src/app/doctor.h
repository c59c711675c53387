// What `augmint doctor` looks at, section by section. A finding is one line,
//
//   ok|warn|fail  WHAT  VALUE  -> WHAT TO CHANGE
//
// and whoever calls for a change says which. Nothing is changed by looking: files of its own are made in a folder of
// its own, which is removed.
#ifndef AM_APP_DOCTOR_H
#define AM_APP_DOCTOR_H

#include "app/command.h"

enum { AM_DOCTOR_HOST = 64 };
typedef struct {
  const am_app *app;             // borrowed
  char (*host)[AM_DOCTOR_HOST];  // owned: of every rank
  int ranks, hosts;
  const char *profile;  // --profile, or NULL
  bool asked;           // the section was asked for by its option: what is absent is a finding, too
  int64_t warnings, failures;
} am_doctor;

// On ranks other than the first, app->out leads nowhere.
void am_doctor_ok(am_doctor *d, const char *what, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// `advice` is what to change.
void am_doctor_warn(am_doctor *d, const char *what, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void am_doctor_fail(am_doctor *d, const char *what, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// ok, or warn with advice where `good` does not hold; fail for am_doctor_require.
void am_doctor_prefer(am_doctor *d, bool good, const char *what, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void am_doctor_require(am_doctor *d, bool good, const char *what, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

// Local, the first rank's business.
void am_doctor_machine(am_doctor *d);    // processor, memory, devices          (doctor_machine.c)
void am_doctor_libraries(am_doctor *d);  // versions, and what is known of them
void am_doctor_figures(am_doctor *d);
am_err am_doctor_data(am_doctor *d);     // image sets and weights by manifest  (doctor_data.c)
am_err am_doctor_slurm(am_doctor *d);    // doctor_slurm.c

// Collective over app->world: what holds between ranks. Errors: of the communication only.
am_err am_doctor_mpi(am_doctor *d);  // doctor_mpi.c
am_err am_doctor_gpu(am_doctor *d);  // doctor_gpu.c
am_err am_doctor_fs(am_doctor *d);   // doctor_fs.c

// Whether two ranks share a host; whether no lower rank is on the host of this one; how many ranks are on it.
bool am_doctor_same_host(const am_doctor *d, int a, int b);
bool am_doctor_first_on(const am_doctor *d, int rank);
int am_doctor_ranks_on(const am_doctor *d, int rank);

#endif
