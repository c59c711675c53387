#include "sweep/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "sweep/stage_text.h"

enum { KEYS_MAX = 5000 };
// A rate is rewritten when a new one is further off than this; it then moves half-way.
static const double WORTH_WRITING = 0.2;

struct am_rates {
  am_node *tree;  // owned
};

// ---- devices ----

// "model name : Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz"
static void cpu_model(char *out, size_t bytes) {
  char line[256];
  FILE *file = fopen("/proc/cpuinfo", "r");
  snprintf(out, bytes, "unknown processor");
  while (file && fgets(line, sizeof line, file)) {
    if (!am_str_starts(line, "model name")) continue;
    const char *colon = strchr(line, ':');
    line[strcspn(line, "\n")] = 0;
    if (colon) snprintf(out, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
    break;
  }
  if (file) fclose(file);
}

const char *am_device_type(const am_device *device, char text[AM_DEVICE_TYPE]) {
  char cpu[128];
  cpu_model(cpu, sizeof cpu);
  bool host = strcmp(am_device_kind(device), "cuda") != 0;
  snprintf(text, AM_DEVICE_TYPE, "%.120s%s%s", am_device_describe(device), host ? ", " : "", host ? cpu : "");
  return text;
}

// ---- the file ----

am_err am_rates_load(const char *path, am_rates **out) {
  am_err err = AM_OK;
  am_rates *r = NULL;
  AM_GO(done, AM_NEW(&r));
  if (am_path_exists(path) && am_yaml_read(path, &r->tree) != AM_OK) {
    AM_WARN("%s; it counts for nothing", am_err_last()->message);
    am_err_clear();
  }
  if (r->tree && r->tree->kind != AM_NODE_MAP) {
    am_node_free(r->tree);
    r->tree = NULL;
  }
  if (!r->tree) AM_GO(done, am_node_new_map("", &r->tree));
  *out = r;
  r = NULL;
done:
  am_rates_free(r);
  return err;
}

void am_rates_free(am_rates *r) {
  if (!r) return;
  am_node_free(r->tree);
  free(r);
}

int64_t am_rates_devices(const am_rates *r, const char *const **name) {
  *name = (const char *const *)r->tree->key;
  return r->tree->count;
}

bool am_rates_find(const am_rates *r, const char *device, const char *key, double *sec) {
  const am_node *n = am_node_get(am_node_get(r->tree, device), key);
  return n && n->kind == AM_NODE_SCALAR && am_text_is_number(n->text, sec) && *sec >= 0;
}

static am_err note(const char *path, const char *device, const char *key, double sec) {
  am_err err = AM_OK;
  am_rates *r = NULL;
  am_node *map = NULL, *n = NULL;
  am_str text = {0};
  char number[AM_NUMBER_TEXT];
  double before = 0;
  AM_GO(done, am_rates_load(path, &r));
  if (am_rates_find(r, device, key, &before)) {
    if (fabs(sec - before) <= WORTH_WRITING * before) goto done;
    sec = (sec + before) / 2;
  }
  map = am_node_get(r->tree, device);
  if (!map || map->kind != AM_NODE_MAP || map->count >= KEYS_MAX) {
    AM_GO(done, am_node_new_map("", &n));
    AM_GO(done, am_node_put(r->tree, device, n));
    map = am_node_get(r->tree, device);
  }
  AM_GO(done, am_node_new_scalar(am_number_text(sec, number), false, &n));
  AM_GO(done, am_node_put(map, key, n));
  AM_GO(done, am_node_canonical(r->tree, &text));
  AM_GO(done, am_str_printf(&text, "\n"));
  AM_GO(done, am_file_write(path, text.text, (size_t)text.length));
done:
  am_str_fini(&text);
  am_rates_free(r);
  return err;
}

void am_rates_note(const char *path, const char *device, const char *key, double sec) {
  am_err_record record = *am_err_last();
  if (note(path, device, key, sec) != AM_OK) AM_WARN("%s", am_err_last()->message);
  am_err_restore(&record);
}

// ---- stages ----

double am_stage_units(const am_plan *p, const am_stage *st) {
  const am_experiment *e = p->e;
  switch (st->kind) {
    case AM_STAGE_PREPARE:
      return (double)am_plan_source(p, st->draw, st->split)->images;
    case AM_STAGE_GENERATE:
      return (double)st->count;
    case AM_STAGE_FIT:
      return (double)am_plan_source(p, st->draw, 0)->per_class[st->class_index] *
             (double)e->generator[st->generator].fit.epochs;
    case AM_STAGE_TRAIN: {
      double watched = e->watch ? (double)am_plan_source(p, st->draw, e->watch)->images : 0;
      // A forward pass is a third of a step.
      return ((double)am_arm_images(p, st->arm, st->draw) + watched / 3) *
             (double)am_arm_epochs(p, st->arm, st->draw);
    }
    case AM_STAGE_EVALUATE:
      return (double)(st->split ? am_plan_source(p, st->draw, st->split)->images
                                : am_arm_images(p, st->arm, st->draw));
  }
  return 0;
}

int64_t am_plan_expect(am_plan *p, const am_rates *r, const char *device) {
  int64_t known = 0;
  for (int64_t i = 0; i < p->count; i++) {
    am_stage *st = &p->stage[i];
    double sec = 0;
    bool found = am_rates_find(r, device, st->rate, &sec);
    st->expected_sec = found ? sec * am_stage_units(p, st) : 0;
    known += found;
  }
  return known;
}
