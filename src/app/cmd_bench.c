// augmint bench: how fast this build is on this machine. The rows are in src/bench; here are the options,
// a process for each row, and what is printed.
#define _DEFAULT_SOURCE  // mkstemp
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app/command.h"
#include "app/files.h"
#include "base/log.h"
#include "base/path.h"
#include "bench/machine.h"
#include "bench/record.h"

extern char **environ;

enum { DEFAULT_REPEATS = 5, ARGUMENTS_MAX = 32 };

typedef struct {
  const am_app *app;
  bool list, tiny, here, paced, profile, measured;
  int64_t repeats;
  const char *precision, *images, *json, *against;
  am_image_files photos;  // owned: paths that begin with images
  json_t *results;        // owned
  int64_t failed;
} bench_command;

static bool needs_ranks(const am_bench_row *row) { return row->flags & AM_BENCH_RANKS; }

static void list_rows(FILE *out) {
  for (const am_bench_row *const *row = am_bench_all(); *row; row++) {
    fprintf(out, "%-18s %-9s %s%s\n", (*row)->name, (*row)->unit, (*row)->doc,
            needs_ranks(*row) ? " (mpirun -n 2)" : (*row)->flags & AM_BENCH_CARD ? " (only when it is named)" : "");
  }
}

// ---- one row ----

// For whoever measures something else between the repeats (analysis/bench.py): says which repeat comes and
// waits for a line.
static am_err wait_for_line(void *user, int repeat) {
  bench_command *c = user;
  int byte;
  fprintf(c->app->out, "ready %d\n", repeat);
  fflush(c->app->out);
  do byte = getchar();
  while (byte != '\n' && byte != EOF);
  AM_CHECK(byte != EOF, AM_ERR_IO, "--paced: standard input ended before repeat %d", repeat);
  return AM_OK;
}

static am_err measure_here(bench_command *c, const am_bench_row *row) {
  const am_app *app = c->app;
  json_t *result = NULL;
  am_bench_cfg cfg = {.comm = app->world,
                      .device_kind = strcmp(app->device_kind, "auto") == 0 ? "cpu" : app->device_kind,
                      .threads = (int)app->threads,
                      .repeats = (int)c->repeats,
                      .precision = c->precision,
                      .tiny = c->tiny,
                      .measured = c->measured,
                      .photo = c->photos.path,
                      .photo_count = c->photos.count,
                      .scratch_dir = app->results_dir,
                      .pace = c->paced ? wait_for_line : NULL,
                      .pace_user = c};
  AM_TRY(am_bench_measure(row, &cfg, &result));
  json_array_append_new(json_object_get(c->results, "rows"), result);
  return AM_OK;
}

// Waits for the process of a row. A signal that would stop this one stops it first.
static am_err wait_for(pid_t child, const char *name) {
  static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
  int status = 0;
  bool told = false;
  pid_t ended;
  while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
    nanosleep(&pause, NULL);
    if (am_signal_seen() && !told) told = kill(child, SIGTERM) == 0;
  }
  AM_CHECK(ended == child, AM_ERR_IO, "the process of %s is lost", name);
  AM_CHECK(!am_signal_seen(), AM_ERR_STOPPED, "stopped by a signal while %s was measured: nothing is kept", name);
  AM_CHECK(WIFEXITED(status), AM_ERR_IO, "%s was ended by signal %d", name, WTERMSIG(status));
  AM_CHECK(WEXITSTATUS(status) == 0, AM_ERR_IO, "%s ended with exit code %d", name, WEXITSTATUS(status));
  return AM_OK;
}

// Runs `augmint bench ROW --here --json FILE`.
static am_err spawn(const bench_command *c, const am_bench_row *row, const char *file) {
  char threads[24], repeats[24];
  const char *argv[ARGUMENTS_MAX];
  int n = 0;
  pid_t child;
  posix_spawn_file_actions_t actions;
  snprintf(threads, sizeof threads, "%lld", (long long)c->app->threads);
  snprintf(repeats, sizeof repeats, "%lld", (long long)c->repeats);
  const char *const fixed[] = {"augmint",     "bench",   row->name,         "--here",    "--json",
                               file,          "--repeats", repeats,         "--threads", threads,
                               "--precision", c->precision, "--device",     c->app->device_kind,
                               "--results",   c->app->results_dir};
  for (; n < AM_COUNT_OF(fixed); n++) argv[n] = fixed[n];
  if (c->tiny) argv[n++] = "--tiny";
  if (c->measured) argv[n++] = "--measured";
  if (c->images) {
    argv[n++] = "--images";
    argv[n++] = c->images;
  }
  argv[n] = NULL;
  AM_CHECK(posix_spawn_file_actions_init(&actions) == 0, AM_ERR_NOMEM, "out of memory for a process");
  int failed = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  if (!failed) failed = posix_spawn(&child, "/proc/self/exe", &actions, NULL, (char *const *)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  AM_CHECK(!failed, AM_ERR_IO, "cannot start a process for %s: %s", row->name, strerror(failed));
  return wait_for(child, row->name);
}

static am_err measure_apart(bench_command *c, const am_bench_row *row) {
  am_err err = AM_OK;
  char file[] = "/tmp/augmint-bench-XXXXXX";
  json_t *results = NULL;
  int fd = mkstemp(file);
  AM_CHECK(fd >= 0, AM_ERR_IO, "cannot make a file %s", file);
  close(fd);
  AM_GO(done, spawn(c, row, file));
  AM_GO(done, am_bench_results_read(file, &results));
  json_array_extend(json_object_get(c->results, "rows"), json_object_get(results, "rows"));
done:
  json_decref(results);
  unlink(file);
  return err;
}

// A row that fails is said and does not keep the others from running.
static am_err measure(bench_command *c, const am_bench_row *row) {
  if (c->here || c->paced || am_comm_size(c->app->world) > 1) return measure_here(c, row);
  AM_INFO("bench %s: %s", row->name, row->doc);
  am_err err = measure_apart(c, row);
  if (err == AM_OK || err == AM_ERR_STOPPED) return err;
  AM_WARN("%s", am_err_last()->message);
  c->failed++;
  return AM_OK;
}

// The rows that are named, or all that fit the number of ranks.
static am_err measure_all(bench_command *c) {
  const am_app *app = c->app;
  const bool ranks = am_comm_size(app->world) > 1;
  const am_bench_row *row = NULL;
  for (int i = 0; i < app->argc; i++) {  // all, before minutes of measuring
    AM_TRY(am_bench_find(app->argv[i], &row));
    AM_TRY(am_bench_check_ranks(row, am_comm_size(app->world)));
  }
  for (int i = 0; i < app->argc; i++) {
    AM_TRY(am_bench_find(app->argv[i], &row));
    AM_TRY(measure(c, row));
  }
  for (const am_bench_row *const *all = am_bench_all(); app->argc == 0 && *all; all++) {
    if (needs_ranks(*all) == ranks && !((*all)->flags & AM_BENCH_CARD)) AM_TRY(measure(c, *all));
  }
  return AM_OK;
}

static am_err find_photos(bench_command *c) {
  if (!c->images) return AM_OK;
  AM_TRY(am_image_files_find(c->images, &c->photos));
  for (int64_t i = 0; i < c->photos.count; i++) {
    char *whole = NULL;
    AM_TRY(am_path_join(c->images, c->photos.path[i], &whole));
    free(c->photos.path[i]);
    c->photos.path[i] = whole;
  }
  return AM_OK;
}

// ---- what comes out ----

static am_err print_results(bench_command *c) {
  am_err err = AM_OK;
  am_str text = {0};
  json_t *rows = json_object_get(c->results, "rows"), *row, *old = NULL;
  size_t i;
  if (c->against) AM_TRY(am_bench_results_read(c->against, &old));
  AM_GO(done, am_bench_table(rows, &text));
  if (c->measured) AM_GO(done, am_str_printf(&text, "engines of convolutions were chosen by timing (--measured)\n"));
  if (c->profile) {
    json_array_foreach(rows, i, row) {
      AM_GO(done, am_str_printf(&text, "\n"));
      AM_GO(done, am_bench_profile_table(row, &text));
    }
  }
  if (old) {
    AM_GO(done, am_str_printf(&text, "\nagainst %s\n", c->against));
    AM_GO(done, am_bench_compare(c->results, old, &text));
  }
  fputs(am_str_get(&text), c->app->out);
done:
  am_str_fini(&text);
  json_decref(old);
  return err;
}

static bool is_precision(const char *word) {
  return strcmp(word, "fp32") == 0 || strcmp(word, "bf16") == 0 || strcmp(word, "tf32") == 0;
}

static am_err check_options(const bench_command *c) {
  AM_CHECK(is_precision(c->precision), AM_ERR_CONFIG, "--precision is fp32, bf16 or tf32, not \"%s\"", c->precision);
  AM_CHECK(c->repeats >= 1 && c->repeats <= AM_BENCH_REPEATS_MAX, AM_ERR_CONFIG, "--repeats is 1 to %d, not %lld",
           AM_BENCH_REPEATS_MAX, (long long)c->repeats);
  AM_CHECK(!c->measured || am_str_starts(c->app->device_kind, "cuda"), AM_ERR_CONFIG,
           "--measured chooses engines of a card: it needs --device cuda, not %s", c->app->device_kind);
  AM_CHECK(!c->paced || am_comm_size(c->app->world) == 1, AM_ERR_CONFIG, "--paced is for one rank");
  if (!c->against) return AM_OK;
  json_t *old = NULL;  // now, not after minutes of measuring
  AM_TRY(am_bench_results_read(c->against, &old));
  json_decref(old);
  return AM_OK;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  bench_command c = {.app = app, .repeats = DEFAULT_REPEATS, .precision = "fp32"};
  bool go = false;
  const am_option options[] = {
      {"--list", AM_OPTION_FLAG, &c.list, NULL, "the rows there are"},
      {"--precision", AM_OPTION_TEXT, &c.precision, "TYPE", "fp32, bf16 or tf32: what networks compute in (fp32)"},
      {"--repeats", AM_OPTION_I64, &c.repeats, "R", "timed repeats of each row (5)"},
      {"--images", AM_OPTION_TEXT, &c.images, "DIR", "photographs for the rows decode and loader-photos (default: drawn)"},
      {"--profile", AM_OPTION_FLAG, &c.profile, NULL, "also where a step's time goes, beside its floor"},
      {"--measured", AM_OPTION_FLAG, &c.measured, NULL, "with --device cuda: the engine of each convolution by timing"},
      {"--json", AM_OPTION_TEXT, &c.json, "FILE", "write everything that was measured"},
      {"--against", AM_OPTION_TEXT, &c.against, "FILE", "ratios to an earlier --json FILE"},
      {"--tiny", AM_OPTION_FLAG, &c.tiny, NULL, "toy sizes: shows that it works, not how fast"},
      {"--paced", AM_OPTION_FLAG, &c.paced, NULL, "wait for a line on standard input before each repeat; implies --here"},
      {"--here", AM_OPTION_FLAG, &c.here, NULL, "measure in this process: peak memory is then that of all rows"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  AM_TRY(check_options(&c));
  if (c.list) {
    list_rows(app->out);
    return AM_OK;
  }
  if (app->threads == 0) app->threads = am_max_i64(1, sysconf(_SC_NPROCESSORS_ONLN) / am_comm_size(app->world));
  AM_GO(done, find_photos(&c));
  AM_GO(done, am_bench_results_new(&c.results));
  AM_GO(done, measure_all(&c));
  AM_GO(done, print_results(&c));
  if (c.json && am_comm_rank(app->world) == 0) AM_GO(done, am_bench_results_write(c.results, c.json));
  AM_CHECK_GO(done, c.failed == 0, AM_ERR_UNSUPPORTED, "%lld rows failed, as said above", (long long)c.failed);
done:
  am_image_files_fini(&c.photos);
  json_decref(c.results);
  return err;
}

const am_command am_cmd_bench = {
    .name = "bench",
    .usage = "[ROW ...] [--list] [--profile] [--json FILE] [--against FILE] [options]",
    .doc = "how fast this build is on this machine",
    .help =
        "Every row is measured in a process of its own with --threads threads (default: all cores), after two\n"
        "runs of its first steps gave the same bits.\n"
        "  median min max  of the repeats' rates, in the row's unit per second of the clock\n"
        "  per CPU-s       the same per second of processor time: comparable on a machine that does other things\n"
        "  peak MiB        the most memory of the process\n"
        "  floor           the least time a step could take, in percent of what it took: every convolution,\n"
        "                  product and update at max(operations / rate of a large product, bytes / rate of\n"
        "                  memory), both measured beside; everything else counts as free. Better algorithms\n"
        "                  (Winograd) and caches can go beyond 100 %\n"
        "  reference       the time of the same work by the system's own means, in percent of ours\n"
        "--measured: where a card has several engines for a convolution, the first few that are repeatable and\n"
        "as exact as asked for are timed when it is first computed, and the fastest stays; else the first of\n"
        "cuDNN's list. Runs never choose by timing, as their numbers are kept: what this gains is what a run\n"
        "leaves on the table. The device's text in --json says so (\"engines by timing\").\n"
        "--device cuda:eager: training steps that repeat are recorded on a card and launched whole (CUDA\n"
        "graphs); this queues them op by op, to see what that gains. The bits are the same.\n"
        "--profile: one step by families of ops; floor ms are reckoned likewise, for each family.\n"
        "tensor/profile.h and bench/record.h have the rules and the format of --json.\n",
    .all_ranks = true,
    .run = run};
