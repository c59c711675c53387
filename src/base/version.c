// The only object that the Makefile gives the commit to, so that a commit recompiles one file.
#include "base/version.h"

#ifndef AM_COMMIT
#define AM_COMMIT "unknown"
#endif

const char am_commit[] = AM_COMMIT;
