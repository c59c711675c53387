// What work costs on which kind of device, learned from stages that were done: RESULTS/calibration.json,
//   {"cpu (oneDNN 3.1, AVX-512, 1 thread), Xeon 6230": {"train resnet18 32 px 4f1c09aa": 0.0031, ...}, ...}
// with rank-seconds for one unit of work: an image that is prepared, generated or evaluated; an image seen
// once in a fit or a training. Under the name "bytes" it has the size of what a stage made: for each unit of an
// evaluation, for the whole of a fit or a training. Rates put stages in order and tell people how long things take; no
// number of a table depends on them. A file that cannot be read counts for nothing and is written anew.
#ifndef AM_SWEEP_RATES_H
#define AM_SWEEP_RATES_H

#include "sweep/plan.h"
#include "tensor/device.h"

enum { AM_DEVICE_TYPE = 256 };
#define AM_RATES_BYTES "bytes"  // the device type under which sizes are kept
// What rates are kept by: the device and, for a CPU, which.
const char *am_device_type(const am_device *device, char text[AM_DEVICE_TYPE]);

typedef struct am_rates am_rates;
AM_MUST_USE am_err am_rates_load(const char *path, am_rates **out);
void am_rates_free(am_rates *r);
// The device type of which most is known and whose name contains `part`; NULL when there is none. Borrowed.
const char *am_rates_device(const am_rates *r, const char *part);
bool am_rates_find(const am_rates *r, const char *device, const char *key, double *sec);
// Adds what was measured, here and in the file, unless both say about the same. Of two jobs that write at
// once one is lost; a file that cannot be written is a warning: it is only a help.
void am_rates_note(am_rates *r, const char *device, const char *key, double value);

// Units of work of a stage (its key is st->rate).
double am_stage_units(const am_plan *p, const am_stage *st);
// Units of what it writes: 1 for networks.
double am_stage_size_units(const am_plan *p, const am_stage *st);
// Sets expected_sec of every stage from the rates of a device; 0 where there is none. Returns how many have one.
int64_t am_plan_expect(am_plan *p, const am_rates *r, const char *device);

#endif
