// The version of the program and the commit it was built from: in --version and in provenance.
#ifndef AM_BASE_VERSION_H
#define AM_BASE_VERSION_H

#define AM_VERSION "0.1.0"
extern const char am_commit[];  // "3f4f032", "3f4f032-dirty", or "unknown" outside a checkout
extern const char am_build[];   // compiler and flags: "gcc -std=c11 -O3 ...", or "unknown"

#endif
