// Shared by the files that read an experiment; not for other folders.
#ifndef AM_SWEEP_EXPERIMENT_INTERNAL_H
#define AM_SWEEP_EXPERIMENT_INTERNAL_H

#include "sweep/experiment.h"

extern const am_schema am_experiment_schema, am_paper_schema, am_split_schema, am_normalize_schema,
    am_pool_schema, am_network_schema;

// The section under key as a map; NULL when absent. Errors: AM_ERR_CONFIG not a map.
AM_MUST_USE am_err am_section(const am_node *map, const char *key, am_node **out);
// Names that become parts of paths: letters, digits and . _ + -
AM_MUST_USE am_err am_check_path_name(const am_node *where, const char *name);
// Fails at `where` naming the word, what it should have been and the nearest of the names.
am_err am_fail_unknown(const am_node *where, const char *what, const char *word, const char *const *names,
                       int64_t count);
// A batch has at least one image for each slice.
AM_MUST_USE am_err am_check_slices(const am_node *where, int64_t batch_size, int64_t slices);

// data: (experiment_data.c)
AM_MUST_USE am_err am_read_data(am_experiment *e, const am_node *data);
// generators, pools, arms, models, evaluate, published (experiment_arms.c)
AM_MUST_USE am_err am_read_generators(am_experiment *e);
AM_MUST_USE am_err am_read_pools(am_experiment *e);
AM_MUST_USE am_err am_read_models(am_experiment *e);
AM_MUST_USE am_err am_read_arms(am_experiment *e);
AM_MUST_USE am_err am_read_evaluate(am_experiment *e);
AM_MUST_USE am_err am_read_published(am_experiment *e);

#endif
