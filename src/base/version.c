// The only object that the Makefile gives the commit and the flags to, so that a commit recompiles one file.
#include "base/version.h"

#ifndef AM_COMMIT
#define AM_COMMIT "unknown"
#endif

#ifndef AM_BUILD
#define AM_BUILD "unknown"
#endif

const char am_commit[] = AM_COMMIT;
const char am_build[] = AM_BUILD;
