// A trained network from its weights, for commands that use one outside an experiment.
#ifndef AM_APP_NETWORK_H
#define AM_APP_NETWORK_H

#include "models/registry.h"

typedef struct {
  const char *model;    // --model; NULL: what the weights say they are (augmint writes that)
  const char *weights;  // --weights: a safetensors file
  am_model_role role;   // another role is an error; AM_ROLE_COUNT: any
  am_model_cfg cfg;     // what is known of it; the rest is what the weights say, then the network's own.
                        // A classifier's channels and classes are read off its first and last layer
} am_network_choice;
// Errors: AM_ERR_CONFIG unknown or unfit model; AM_ERR_IO, AM_ERR_DATA weights (both shapes named).
AM_MUST_USE am_err am_network_load(const am_network_choice *choice, am_device *device, am_model **out);
// The name of the model that am_network_load would build, in *def. Errors: as above.
AM_MUST_USE am_err am_network_find(const am_network_choice *choice, const am_model_def **def);

// What the metadata of the weights say under `key` about the chosen network, on the heap; NULL when nothing, or
// when the file is another network's. Errors: as above.
AM_MUST_USE am_err am_network_text(const am_network_choice *choice, const char *key, char **out);

#endif
