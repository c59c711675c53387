// Stop signals: a flag here, a decision of all ranks at the next step boundary.
#include <signal.h>
#include <string.h>

#include "dist/comm.h"

static volatile sig_atomic_t seen;
static volatile sig_atomic_t interrupts;

static void on_signal(int number) {
  seen = 1;
  if (number == SIGINT && interrupts++ > 0) {
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
  }
}

void am_signal_install(void) {
  static const int caught[] = {SIGTERM, SIGINT, SIGUSR1};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // no system call of ours fails because of it
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) sigaction(caught[i], &action, NULL);
}

bool am_signal_seen(void) { return seen != 0; }

am_err am_signal_agreed(am_comm *c, bool *stop) {
  unsigned any = 0;
  AM_TRY(am_agree_flags(c, AM_OK, am_signal_seen() ? 1u : 0, &any));
  *stop = any != 0;
  return AM_OK;
}
