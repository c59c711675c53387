// Repeats parts of an experiment over values: `matrix`, `zip`, `include`, `exclude`.
//
//   matrix:  {ratio: [0.2, 1.0], net: [resnet18, resnet50]}    every combination
//   zip:     {rate: [0.1, 0.01], epochs: [30, 300]}            rows, not combinations
//   exclude: [{ratio: 1.0, net: resnet50}]                     drops combinations that match
//   include: [{ratio: 5.0, net: resnet18}]                     adds combinations
//   arms:
//     gan ${ratio}: {train: [real, {pool: gan, per_class: "${ratio}"}]}
//
// An entry of data.draws, generators, pools, arms, models or published that mentions ${x}, in its
// name or below, is repeated for each distinct choice of the variables that it mentions. Values
// are text: "${ratio}" becomes the number 0.2 where a number is expected.
#ifndef AM_SWEEP_EXPAND_H
#define AM_SWEEP_EXPAND_H

#include "config/node.h"

// Changes the tree in place and takes the four keys out. At most 10,000 combinations.
// Errors: AM_ERR_CONFIG unknown or unused variable, lists of different length, clashing names.
AM_MUST_USE am_err am_expand(am_node *root);

#endif
