#include "base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const char *const fault_name[AM_FAULT_COUNT] = {"alloc", "io", "die", "stall", "slow"};
static int64_t trigger[AM_FAULT_COUNT];  // 0: not armed; of "slow" milliseconds
static atomic_llong seen[AM_FAULT_COUNT];

static am_err arm_one(const char *item, int rank) {
  for (int f = 0; f < AM_FAULT_COUNT; f++) {
    size_t n = strlen(fault_name[f]);
    if (strncmp(item, fault_name[f], n) != 0 || item[n] != ':') continue;
    char *end = NULL;
    long long count = strtoll(item + n + 1, &end, 10);
    long only_rank = rank;
    if (*end == '@') only_rank = strtol(end + 1, &end, 10);
    if (count < 1 || *end) break;
    if (only_rank == rank) trigger[f] = count;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_CONFIG, "AUGMINT_FAULT holds \"%s\", expected alloc|io|die|stall|slow:N[@RANK]", item);
}

am_err am_fault_init(const char *spec, int rank) {
  if (!spec || !*spec) return AM_OK;
  char text[256];
  AM_CHECK(strlen(spec) < sizeof text, AM_ERR_CONFIG, "AUGMINT_FAULT is longer than %zu bytes", sizeof text - 1);
  memcpy(text, spec, strlen(spec) + 1);
  char *rest = NULL;
  for (char *item = strtok_r(text, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
    AM_TRY(arm_one(item, rank));
  }
  return AM_OK;
}

bool am_fault_hit(am_fault fault) {
  return trigger[fault] != 0 && atomic_fetch_add(&seen[fault], 1) + 1 == trigger[fault];
}

void am_fault_point(void) {
  if (am_fault_hit(AM_FAULT_DIE)) raise(SIGKILL);
  if (am_fault_hit(AM_FAULT_STALL)) {
    for (;;) pause();
  }
  if (trigger[AM_FAULT_SLOW]) am_clock_sleep((double)trigger[AM_FAULT_SLOW] / 1000);
}
