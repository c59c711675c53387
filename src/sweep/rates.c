#include "sweep/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "sweep/stage_text.h"

enum { KEYS_MAX = 5000 };
// A rate is rewritten when a new one is further off than this; it then moves half-way.
static const double WORTH_WRITING = 0.2;

struct am_rates {
  char *path;     // owned
  am_node *tree;  // owned
};

// ---- devices ----

const char *am_device_type(const am_device *device, char text[AM_DEVICE_TYPE]) {
  char cpu[128];
  am_proc_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
  bool host = am_device_host_memory(device);
  snprintf(text, AM_DEVICE_TYPE, "%.120s%s%s", am_device_describe(device), host ? ", " : "", host ? cpu : "");
  return text;
}

// ---- the file ----

// What the file says, or nothing.
static am_err read_tree(const char *path, am_node **out) {
  am_node *tree = NULL;
  if (am_path_exists(path) && am_yaml_read(path, &tree) != AM_OK) {
    AM_WARN("%s; it counts for nothing", am_err_last()->message);
    am_err_clear();
  }
  if (tree && tree->kind == AM_NODE_MAP) {
    *out = tree;
    return AM_OK;
  }
  am_node_free(tree);
  return am_node_new_map("", out);
}

am_err am_rates_load(const char *path, am_rates **out) {
  am_err err = AM_OK;
  am_rates *r = NULL;
  AM_GO(done, AM_NEW(&r));
  AM_GO(done, am_mem_strdup(path, &r->path));
  AM_GO(done, read_tree(path, &r->tree));
  *out = r;
  r = NULL;
done:
  am_rates_free(r);
  return err;
}

void am_rates_free(am_rates *r) {
  if (!r) return;
  am_node_free(r->tree);
  free(r->path);
  free(r);
}

const char *am_rates_device(const am_rates *r, const char *part) {
  const char *best = NULL;
  int64_t most = 0;
  for (int64_t i = 0; i < r->tree->count; i++) {
    bool fits = strcmp(r->tree->key[i], AM_RATES_BYTES) != 0 && strstr(r->tree->key[i], part);
    if (!fits || r->tree->item[i]->count <= most) continue;
    best = r->tree->key[i];
    most = r->tree->item[i]->count;
  }
  return best;
}

bool am_rates_find(const am_rates *r, const char *device, const char *key, double *sec) {
  const am_node *n = am_node_get(am_node_get(r->tree, device), key);
  return n && n->kind == AM_NODE_SCALAR && am_text_is_number(n->text, sec) && *sec >= 0;
}

static bool says_about(const am_rates *r, const char *device, const char *key, double value, double *before) {
  *before = value;
  return am_rates_find(r, device, key, before) && fabs(value - *before) <= WORTH_WRITING * *before;
}

static am_err put(am_node *tree, const char *device, const char *key, double value) {
  am_node *n = NULL;
  char number[AM_NUMBER_TEXT];
  const am_node *map = am_node_get(tree, device);
  if (!map || map->kind != AM_NODE_MAP || map->count >= KEYS_MAX) {
    AM_TRY(am_node_new_map("", &n));
    AM_TRY(am_node_put(tree, device, n));
  }
  AM_TRY(am_node_new_scalar(am_number_text(value, number), false, &n));
  return am_node_put(am_node_get(tree, device), key, n);
}

static am_err note(am_rates *r, const char *device, const char *key, double value) {
  am_err err = AM_OK;
  am_node *tree = NULL;
  am_str text = {0};
  double before = 0;
  if (says_about(r, device, key, value, &before)) return AM_OK;
  AM_TRY(read_tree(r->path, &tree));
  am_node_free(r->tree);
  r->tree = tree;
  if (says_about(r, device, key, value, &before)) return AM_OK;
  AM_GO(done, put(r->tree, device, key, (value + before) / 2));
  AM_GO(done, am_node_canonical(r->tree, &text));
  AM_GO(done, am_str_printf(&text, "\n"));
  AM_GO(done, am_file_write(r->path, text.text, (size_t)text.length));
done:
  am_str_fini(&text);
  return err;
}

void am_rates_note(am_rates *r, const char *device, const char *key, double value) {
  am_err_record record = *am_err_last();
  if (note(r, device, key, value) != AM_OK) AM_WARN("%s", am_err_last()->message);
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

double am_stage_size_units(const am_plan *p, const am_stage *st) {
  return st->kind == AM_STAGE_FIT || st->kind == AM_STAGE_TRAIN ? 1 : am_stage_units(p, st);
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
