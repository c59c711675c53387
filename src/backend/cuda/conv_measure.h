// The engine of a convolution by timing, for benchmarks that ask for it (am_device_cfg.measured): never where numbers are kept.
#ifndef AM_BACKEND_CUDA_CONV_MEASURE_H
#define AM_BACKEND_CUDA_CONV_MEASURE_H

#include "backend/cuda/conv_graph.h"
#include "backend/cuda/cuda_context.h"

// *plan, the heuristics' first one, becomes the fastest of the first few that fit, each of which computes the call on `data`
// several times; what it replaces is freed. Waits for the card, so it is not for a step that is being recorded.
AM_MUST_USE am_err am_cuda_conv_measure(am_cuda *g, const am_cuda_conv *k, am_cuda_conv_way way,
                                        const am_cuda_conv_data *data, am_cuda_conv_plan **plan);

#endif
