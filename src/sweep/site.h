// A site profile: how jobs are asked for on one cluster. slurm/README.md explains it, `augmint schema profile` lists it.
//
// A value reaches Slurm and the job script as a word of its own (sweep/submit.h), never as part of a
// line that a shell reads.
#ifndef AM_SWEEP_SITE_H
#define AM_SWEEP_SITE_H

#include "config/bind.h"

#define AM_SITE_FIELDS(I, F, B, S, C)                                                                       \
  S(partition, "", "where jobs run; empty, here and below: the site's default")                             \
  S(account, "", "who pays")                                                                                \
  S(qos, "", "quality of service")                                                                          \
  S(constraint, "", "features that nodes must have")                                                        \
  I(nodes, 1, 1, 10000, "nodes", "most nodes of one job")                                                   \
  I(ranks_per_node, 1, 1, 1024, "ranks", "on a CPU site; with GPUs it is gpus_per_node x ranks_per_gpu")    \
  I(gpus_per_node, 0, 0, 64, "GPUs", "most GPUs of one node that a job asks for; 0: a CPU site")            \
  I(ranks_per_gpu, 1, 1, 64, "ranks", "small cells that share one GPU")                                     \
  S(gres, "gpu", "what Slurm calls a GPU: gpu, gpu:a100")                                                   \
  I(cores, 1, 1, 1024, "cores", "of each rank")                                                             \
  I(memory, 0, 0, 4194304, "MiB", "of each rank; 0: the site's default")                                    \
  I(time_limit, 240, 1, 43200, "minutes", "most that a job may ask for")                                    \
  I(job_length, 60, 1, 43200, "minutes", "short stages are packed into jobs of about this length")          \
  I(signal_sec, 120, 10, 3600, "s", "how long before the end of its time a job is told to save and stop")   \
  I(max_array, 1001, 1, 4000001, "tasks", "MaxArraySize of the site (scontrol show config)")                \
  I(max_running, 0, 0, 1000000, "tasks", "of one array at the same time; 0: as many as fit")                \
  B(requeue, true, "jobs may be requeued: stopped, lost and pre-empted ones start again by themselves")     \
  I(restarts, 20, 0, 1000, "", "most times that a job requeues itself")                                     \
  I(follow_ups, 2, 0, 20, "", "requeue false: further arrays, each for what the one before did not finish") \
  C(launcher, "srun", "srun|mpirun", "starts the ranks of a job")                                           \
  S(mpi, "pmix", "srun --mpi=")                                                                             \
  S(program, "", "augmint as the nodes see it; empty: the program that submits")                            \
  C(device, "auto", "auto|cpu|cuda", "what ranks compute on")

typedef struct {
  AM_STRUCT(AM_SITE_FIELDS)
} am_site_cfg;

// Words in the order in which they are written.
typedef struct {
  const char **word;  // owned; each borrowed from the tree
  int64_t count;
} am_site_words;

// Keys that hold several words.
//   X(name, what it is)
#define AM_SITE_LISTS(X)                                                                       \
  X(modules, "list: environment modules that a job loads")                                     \
  X(container, "list: words before the program: [apptainer, exec, --nv, /images/augmint.sif]") \
  X(sbatch, "list: further options of sbatch: [--exclusive, --mail-type=END]")                 \
  X(launch, "list: further options of the launcher: [--distribution=block]")

typedef struct {
  am_node *tree;  // owned
  am_site_cfg cfg;
#define AM_SITE_WORDS(name, doc) am_site_words name;
  AM_SITE_LISTS(AM_SITE_WORDS)
#undef AM_SITE_WORDS
  am_site_words environment;  // "NAME=VALUE"; these words are owned
} am_site;

// Errors: AM_ERR_IO; AM_ERR_CONFIG with file, line, column and key.
AM_MUST_USE am_err am_site_load(const char *path, am_site **out);
// The same from a tree. tree_take is owned by the profile, also on failure.
AM_MUST_USE am_err am_site_from_node(am_node *tree_take, am_site **out);
void am_site_free(am_site *p);

// Most ranks on one node, in one job.
int64_t am_site_node_ranks(const am_site *p);
int64_t am_site_job_ranks(const am_site *p);

// For `augmint schema`: appends the table of every key.
AM_MUST_USE am_err am_site_describe(am_str *out);

#endif
