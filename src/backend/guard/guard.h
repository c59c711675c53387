// A backend that checks another one: "guard:cpu" (or "guard") and "guard:ref".
//
// Every op runs on private copies of its operands between red zones, and runs twice, with two
// different fillings in the memory of its outputs. An op fails with AM_ERR_INTERNAL, naming the
// operand, when it
//   - writes outside an output, or beside any operand;
//   - changes an input;
//   - gives outputs that differ between the two runs: it left an element unwritten, read an output
//     before writing it, or is not deterministic.
// Tensors live in host memory and fresh ones hold NaN, so reading what nobody wrote shows.
#ifndef AM_BACKEND_GUARD_H
#define AM_BACKEND_GUARD_H

#include "tensor/backend.h"

extern const am_backend am_backend_guard;

// Opens a guard's context on any table of ops, listed or not: *ctx goes to am_backend_guard's functions.
AM_MUST_USE am_err am_guard_open_on(const am_backend *inner, const am_device_cfg *inner_cfg, void **ctx);

#endif
