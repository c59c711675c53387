// The field lists of experiment.h as schemas: what parses a section also documents it.
#include "sweep/experiment_internal.h"

#define AM_FIELD_OF am_experiment_cfg
static const am_field experiment_fields[] = {AM_FIELDS(AM_EXPERIMENT_FIELDS)};
#undef AM_FIELD_OF
#define AM_FIELD_OF am_paper_cfg
static const am_field paper_fields[] = {AM_FIELDS(AM_PAPER_FIELDS)};
#undef AM_FIELD_OF
#define AM_FIELD_OF am_split_cfg
static const am_field split_fields[] = {AM_FIELDS(AM_SPLIT_FIELDS)};
#undef AM_FIELD_OF
// One number of each; experiment_data.c reads lists of them as well.
typedef struct {
  AM_STRUCT(AM_NORMALIZE_FIELDS)
} normalize_numbers;
#define AM_FIELD_OF normalize_numbers
static const am_field normalize_fields[] = {AM_FIELDS(AM_NORMALIZE_FIELDS)};
#undef AM_FIELD_OF
#define AM_FIELD_OF am_pool_cfg
static const am_field pool_fields[] = {AM_FIELDS(AM_POOL_FIELDS)};
#undef AM_FIELD_OF
#define AM_FIELD_OF am_network_cfg
static const am_field network_fields[] = {AM_FIELDS(AM_NETWORK_FIELDS)};
#undef AM_FIELD_OF

const am_schema am_experiment_schema =
    AM_SCHEMA("experiment", "the top level of an experiment file", am_experiment_cfg, experiment_fields);
const am_schema am_paper_schema = AM_SCHEMA("paper", "what is reproduced", am_paper_cfg, paper_fields);
const am_schema am_split_schema =
    AM_SCHEMA("data.<split>", "which images of which data set; `train` and any further names", am_split_cfg,
              split_fields);
const am_schema am_normalize_schema =
    AM_SCHEMA("data.normalize", "what classifiers see: (x - mean) / sd", normalize_numbers, normalize_fields);
const am_schema am_pool_schema =
    AM_SCHEMA("pools.<name>", "images made by a generator, for each class", am_pool_cfg, pool_fields);
const am_schema am_network_schema =
    AM_SCHEMA("models.<name>, generators.<name>.model", "a network", am_network_cfg, network_fields);

const am_schema *const *am_experiment_schemas(void) {
  static const am_schema *const all[] = {&am_experiment_schema,
                                         &am_paper_schema,
                                         &am_split_schema,
                                         &am_normalize_schema,
                                         &am_pool_schema,
                                         &am_network_schema,
                                         &am_finetune_schema,
                                         &am_fit_schema,
                                         &am_train_schema,
                                         &am_optimizer_schema,
                                         NULL};
  return all;
}
