// A network built, saved and loaded, and a transform pipeline made and run, in which the n-th
// allocation or the n-th file operation fails, for every n: each time a clean error, nothing leaked,
// and the weight file is the old one or the new one.
// One child process per n, since a fault point counts from the start of its process.
#include <sys/wait.h>

#include "am_test.h"

#include "augment/augment.h"
#include "base/fault.h"
#include "models/registry.h"
#include "weights/safetensors.h"

#define PIPELINE "[horizontal_flip, random_crop, rotation, color_jitter, gaussian_blur, normalize]"

typedef struct {
  am_device *dev;
  am_model *old, *fresh;
  am_node *list, *canonical;
  am_pipeline *pipeline;
  am_image image, preview;
} job;

static const am_model_cfg cfg = {.width = 4, .size = 16};

static am_err weights(job *j, const char *path) {
  const char *const meta[] = {"format", "pt", NULL};
  AM_TRY(am_model_new("dcgan_p4_d", &cfg, j->dev, 2, &j->fresh));
  AM_TRY(am_params_save(j->fresh->params, path, meta));
  return am_params_load(j->old->params, path);
}

static am_err transforms(job *j) {
  float out[3 * 8 * 8];
  AM_TRY(am_yaml_parse("test", PIPELINE, strlen(PIPELINE), &j->list));
  AM_TRY(am_pipeline_to_node(j->list, &j->canonical));
  AM_TRY(am_pipeline_new(j->list, 3, 8, 8, NULL, NULL, &j->pipeline));
  AM_TRY(am_image_new(8, 8, 3, &j->image));
  am_transform t = am_pipeline_transform(j->pipeline);
  am_transform_work work = {0};
  am_stored stored = am_stored_pixels("test", &j->image);
  am_err err = t.apply(t.user, &stored, 1, 2, &work, out);
  am_transform_work_fini(&work);
  if (err) return err;
  return am_pipeline_preview(j->pipeline, &j->image, 1, 2, &j->preview);
}

// After a failure (there is one, so looking is possible): the file is a whole one, and the old
// network has the values it had, or all those of the file.
static bool is_settled(job *j, const char *path, const char *before) {
  char now[65], loaded[65];
  if (am_params_hash(j->old->params, now) || am_params_load(j->old->params, path)) return false;
  if (am_params_hash(j->old->params, loaded)) return false;
  return strcmp(now, before) == 0 || strcmp(now, loaded) == 0;
}

static void close_job(job *j) {
  am_image_fini(&j->preview);
  am_image_fini(&j->image);
  am_pipeline_free(j->pipeline);
  am_node_free(j->canonical);
  am_node_free(j->list);
  am_model_free(j->fresh);
  am_model_free(j->old);
}

enum { CHILD_DONE, CHILD_FAILED_CLEANLY, CHILD_WRONG };

static int run_child(const char *fault, int n, am_err expected) {
  char spec[32], path[300], before[65];
  job j = {0};
  snprintf(path, sizeof path, "%s/w.safetensors", am_test_dir());
  if (am_device_open(&(am_device_cfg){.kind = "ref"}, &j.dev)) return CHILD_WRONG;
  if (am_model_new("dcgan_p4_d", &cfg, j.dev, 1, &j.old)) return CHILD_WRONG;
  if (am_params_save(j.old->params, path, NULL) || am_params_hash(j.old->params, before)) return CHILD_WRONG;

  snprintf(spec, sizeof spec, "%s:%d", fault, n);
  if (am_fault_init(spec, 0)) return CHILD_WRONG;
  am_err err = weights(&j, path);
  if (!err) err = transforms(&j);
  const char *trouble = err && err != expected ? "another error" : NULL;
  if (err && !trouble && !is_settled(&j, path, before)) trouble = "half-written or half-loaded weights";
  close_job(&j);
  if (!trouble && am_device_memory_now(j.dev).live_bytes) trouble = "device memory leaked";
  am_device_close(j.dev);
  if (trouble) fprintf(stderr, "%s %d: %s\n", fault, n, trouble);
  return trouble ? CHILD_WRONG : err ? CHILD_FAILED_CLEANLY : CHILD_DONE;
}

static int fail_every(const char *fault, am_err expected) {
  am_test_dir();  // one for all children
  int n = 0, status = 0;
  do {
    n++;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) exit(run_child(fault, n, expected));
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > CHILD_FAILED_CLEANLY)
      fail_msg("%s %d: status %d", fault, n, status);
  } while (WEXITSTATUS(status) == CHILD_FAILED_CLEANLY);
  return n - 1;
}

static void every_allocation_may_fail(void **state) { assert_true(fail_every("alloc", AM_ERR_NOMEM) > 50); }
static void every_file_operation_may_fail(void **state) { assert_true(fail_every("io", AM_ERR_IO) >= 3); }

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail),
                                     cmocka_unit_test(every_file_operation_may_fail)};
  return cmocka_run_group_tests_name("models_alloc", tests, NULL, NULL);
}
