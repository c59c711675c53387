// An experiment file: one table or figure, as a checked struct. Nothing here looks at data or
// does work; a file that passes am_experiment_load refers only to things that exist.
//
// Reading order of the values: `defaults: FILE` <- the file <- its `tiny:` section when asked for
// <- each --set. Then `matrix`, `zip`, `include` and `exclude` are expanded (expand.c), then every
// section is bound to the structs below.
//
// Keys (each section's fields with defaults: `augmint schema`):
//   name question paper{id where} defaults notes[] reference tolerance budget
//   data:        train and any further split {manifest split classes objects size channels resize
//                per_class};
//                normalize {mean sd}; draws [{name, <split>: {overrides}}]
//   generators:  NAME: {model {kind ...}, fit {... optimizer}}
//   pools:       NAME: {from per_class block batch_size batch_statistics}
//   arms:        NAME: {train [real, {pool per_class}, {duplicates: real, per_class}], augment [...],
//                override {keys of train}, stand_in}
//   models:      NAME: {kind width ..., weights head frozen lr ... (finetune.h)}
//   train:       keys of `train`, optimizer
//   seeds seed threads controls
//   evaluate:    [metrics] or {metrics [...], splits [...]}
//   published:   [{arm | arms, split, metric, value | values {metric: value}, tolerance, reason}]
#ifndef AM_SWEEP_EXPERIMENT_H
#define AM_SWEEP_EXPERIMENT_H

#include "config/bind.h"
#include "metrics/metrics.h"
#include "models/registry.h"
#include "sweep/finetune.h"
#include "train/train.h"

#define AM_EXPERIMENT_FIELDS(I, F, B, S, C)                                                              \
  S(name, NULL, "names the folder below results/: letters, digits, . _ + -")                             \
  S(question, "", "what the experiment asks, in one sentence")                                           \
  I(seed, 0, 0, 4294967295.0, "", "where every random number of the experiment starts")                  \
  I(seeds, 1, 1, 1000, "", "classifier trainings of each arm, model and draw")                           \
  I(threads, 1, 1, 1024, "threads", "CPU threads of every operation: part of a result's meaning")        \
  B(controls, false, "adds for each arm with a pool an arm with as many repeated real images")           \
  C(budget, "epochs", "epochs|steps", "what arms share; steps: epochs shrink as the training set grows") \
  S(watch, "", "split evaluated after every epoch, for curves only; empty: none")                        \
  S(reference, "", "arm to which differences are taken; empty: the first")                               \
  F(tolerance, 0.02, 0, 1000, "", "largest |ours - published| that counts as reproduced")
#define AM_PAPER_FIELDS(I, F, B, S, C)     \
  S(id, "", "short name of the paper: P4") \
  S(where, "", "table or figure")
#define AM_SPLIT_FIELDS(I, F, B, S, C)                                                           \
  S(manifest, NULL, "data set: data/manifests/NAME.yaml")                                        \
  S(split, "", "split of the manifest; empty: all its images")                                   \
  I(size, 64, 4, 4096, "px", "height and width after resizing")                                  \
  I(channels, 3, 1, 3, "", "3 RGB, grey repeated; 1 grey, colours as Rec. 601 luma")              \
  C(resize, "bilinear", "nearest|bilinear|bicubic|lanczos|box", "filter, antialiased as Pillow") \
  C(shape, "stretch", "stretch|crop|pad",                                                        \
    "stretch: both sides to size; crop: short side to short_side, then the middle; pad: black around it") \
  I(short_side, 0, 0, 65536, "px", "shape crop: length of the short side before the crop; 0: size")    \
  C(store, "pixels", "pixels|files",                                                             \
    "what shards hold; files: as they are, for a first transform that wants all of an image")    \
  F(unreadable, 0, 0, 1, "", "largest share of images that may be left out because they cannot be read") \
  I(per_class, 0, 0, 1000000000, "images", "at most so many of each class, by seeded choice; 0: all")
#define AM_NORMALIZE_FIELDS(I, F, B, S, C)                       \
  F(mean, 0.5, -10, 10, "", "taken from each channel in [0, 1]; or a list, one for each channel") \
  F(sd, 0.5, 1.0e-6, 10, "", "then divides it; or a list")
#define AM_POOL_FIELDS(I, F, B, S, C)                                                                   \
  S(from, NULL, "generator")                                                                            \
  I(per_class, 500, 1, 1000000000, "images", "size; the first n images are the same whatever it is")    \
  I(block, 250, 1, 1000000, "images", "images in one shard")                                            \
  B(batch_statistics, true, "BatchNorm as in fitting (training mode) rather than its running averages") \
  I(batch_size, 0, 0, 65536, "images", "images made together; 0: batch_size of the fit")
#define AM_NETWORK_FIELDS(I, F, B, S, C)                                 \
  S(kind, NULL, "network: see `augmint schema models`")                  \
  I(width, 0, 0, 4096, "channels", "base width; 0: the network's")       \
  I(latent, 0, 0, 4096, "", "generators: length of z; 0: the network's") \
  F(slope, 0, 0, 1, "", "slope of LeakyReLU; 0: the network's")          \
  F(dropout, 0, 0, 1, "", "dropout; 0: the network's")                   \
  B(zero_init_residual, false, "ResNets: the last BatchNorm of every block starts with weight 0")

typedef struct {
  AM_STRUCT(AM_PAPER_FIELDS)
} am_paper_cfg;
typedef struct {
  AM_STRUCT(AM_SPLIT_FIELDS)
} am_split_cfg;
typedef struct {
  double mean[3], sd[3];  // of each channel
} am_normalize_cfg;
typedef struct {
  AM_STRUCT(AM_POOL_FIELDS)
} am_pool_cfg;
typedef struct {
  AM_STRUCT(AM_NETWORK_FIELDS)
} am_network_cfg;
typedef struct {
  AM_STRUCT(AM_EXPERIMENT_FIELDS)
} am_experiment_cfg;

// Words are borrowed from the experiment's tree throughout.
typedef struct {
  const char *name;  // "train", "test", "shifted"
  am_split_cfg cfg;
  const char **class_name;  // owned; NULL: all classes of the manifest
  const char **object;      // owned, with class_name: "1,2" or NULL
  int64_t class_count;
} am_split_def;

typedef struct {
  const char *name;     // "all" when the file lists no draws
  am_split_def *split;  // owned; split[0] is train
  int64_t split_count;  // the same in every draw
  am_node *tree;        // owned: the data section with this draw merged in
} am_draw_def;

typedef struct {
  const char *name;
  am_network_cfg network;
  const am_model_def *generator, *discriminator;
  am_fit_cfg fit;
  am_optimizer_cfg optimizer;
} am_generator_def;

typedef struct {
  const char *name;
  am_pool_cfg cfg;
  int64_t generator;  // index
} am_pool_def;

typedef enum { AM_PART_REAL, AM_PART_POOL, AM_PART_DUPLICATES } am_part_kind;
typedef struct {
  am_part_kind kind;
  int64_t pool;       // index
  int64_t per_class;  // pool, duplicates
} am_arm_part;

typedef struct {
  const char *name;   // borrowed, or name_owned
  char *name_owned;   // of a control arm
  am_arm_part *part;  // owned
  int64_t part_count;
  const am_node *augment;  // list or NULL
  am_node *train_tree;     // owned: `train:` with the arm's overrides
  am_train_cfg train;
  am_optimizer_cfg optimizer;
  const char *stand_in;    // "": none; else what stands in for what, shown in tables
  const char *control_of;  // NULL, or the arm whose control this is
} am_arm_def;

typedef struct {
  const char *name;
  am_network_cfg network;
  const am_model_def *def;
  am_finetune finetune;
} am_classifier_def;

typedef struct {
  const char *arm, *split, *metric, *reason;  // reason "": reproducible in principle
  double value, tolerance;
} am_published_def;

typedef struct am_experiment {
  am_node *tree;     // owned: merged and expanded
  const char *file;  // borrowed from the tree
  bool tiny;
  am_experiment_cfg cfg;
  am_paper_cfg paper;
  am_normalize_cfg normalize;
  char *folder;  // owned: cfg.name, with "-tiny" when tiny
  am_draw_def *draw;
  int64_t draw_count;
  am_generator_def *generator;
  int64_t generator_count;
  am_pool_def *pool;
  int64_t pool_count;
  am_arm_def *arm;
  int64_t arm_count;
  am_classifier_def *model;
  int64_t model_count;
  const am_metric **metric;
  int64_t metric_count;
  int64_t *evaluated;
  int64_t evaluated_count;  // indices of splits
  am_published_def *published;
  int64_t published_count;
  const char **note;
  int64_t note_count;
  int64_t reference;  // index of the reference arm
  int64_t watch;      // index of the watched split; 0: none
} am_experiment;

typedef struct {
  bool tiny;
  const char *const *set;  // "a.b=value"
  int set_count;
  int64_t threads;  // 0: what the file says
} am_experiment_overrides;

// Errors: AM_ERR_IO; AM_ERR_CONFIG with file, line, column, path and the nearest known name.
AM_MUST_USE am_err am_experiment_load(const char *path, const am_experiment_overrides *over,
                                      am_experiment **out);
void am_experiment_free(am_experiment *e);

// The settings of cfg that mean something to def.
am_model_cfg am_network_settings(const am_network_cfg *cfg, const am_model_def *def);

// Every section with its fields, for `augmint schema`; NULL-terminated.
const am_schema *const *am_experiment_schemas(void);

#endif
