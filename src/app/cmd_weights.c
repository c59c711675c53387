// augmint weights: what is in a file of weights, and whether it fits a network.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/network.h"
#include "base/hash.h"
#include "base/mem.h"
#include "weights/safetensors.h"

typedef struct {
  const char *file, *out;
  am_network_choice net;
  bool hashes, json;
} weights_options;

// ---- show ----

// What the elements of a tensor are, by PyTorch's names for them.
typedef enum { PARAMETERS, STATISTICS, COUNTERS, PURPOSES } purpose;
static const char *const purpose_name[PURPOSES] = {"parameters", "running_statistics", "counters"};

static purpose purpose_of(const char *name) {
  if (am_str_ends(name, "num_batches_tracked")) return COUNTERS;
  return am_str_ends(name, "running_mean") || am_str_ends(name, "running_var") ? STATISTICS : PARAMETERS;
}

static void count_elements(const am_safetensors *st, int64_t total[PURPOSES]) {
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *e = am_safetensors_at(st, i);
    total[purpose_of(e->name)] += am_shape_count(e->shape);
  }
}

static am_err print_table(const weights_options *o, const am_safetensors *st, const char *sha256, FILE *out) {
  const char *key, *value;
  int64_t total[PURPOSES] = {0};
  char text[AM_SHAPE_TEXT], hex[AM_SHA256_HEX] = "";
  fprintf(out, "%s  SHA-256 %s\n", o->file, sha256);
  for (int64_t i = 0; am_safetensors_meta_at(st, i, &key, &value); i++)
    fprintf(out, "  %s: %s\n", key, value);
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *e = am_safetensors_at(st, i);
    if (o->hashes) AM_TRY(am_sha256_bytes(e->data, e->bytes, hex));
    fprintf(out, "%-44s %-8s %s%*s%s\n", e->name, am_st_dtype_name(e->dtype), am_shape_text(e->shape, text),
            *hex ? (int)am_max_i64(1, 20 - (int64_t)strlen(text)) : 0, "", hex);
  }
  count_elements(st, total);
  fprintf(out, "%lld tensors: %lld parameters, %lld running statistics, %lld counters\n",
          (long long)am_safetensors_count(st), (long long)total[PARAMETERS], (long long)total[STATISTICS],
          (long long)total[COUNTERS]);
  return AM_OK;
}

static am_err tensor_to_json(const weights_options *o, const am_st_entry *e, json_t **out) {
  char hex[AM_SHA256_HEX];
  json_t *shape = json_array();
  for (int d = 0; d < e->shape.ndim; d++) json_array_append_new(shape, json_integer(e->shape.dim[d]));
  json_t *t = json_pack("{s:s, s:s, s:o, s:I}", "name", e->name, "type", am_st_dtype_name(e->dtype), "shape",
                        shape, "bytes", (json_int_t)e->bytes);
  AM_CHECK(t, AM_ERR_NOMEM, "out of memory describing %s", e->name);
  if (o->hashes) {
    am_err err = am_sha256_bytes(e->data, e->bytes, hex);
    if (!err && json_object_set_new(t, "sha256", json_string(hex)))
      err = AM_FAIL(AM_ERR_NOMEM, "out of memory describing %s", e->name);
    if (err) json_decref(t);
    AM_TRY(err);
  }
  *out = t;
  return AM_OK;
}

static am_err print_json(const weights_options *o, const am_safetensors *st, const char *sha256, FILE *out) {
  am_err err = AM_OK;
  const char *key, *value;
  int64_t total[PURPOSES] = {0};
  json_t *meta = json_object(), *tensors = json_array(), *t = NULL, *all = NULL;
  bool good = meta && tensors;
  for (int64_t i = 0; good && am_safetensors_meta_at(st, i, &key, &value); i++)
    good = json_object_set_new(meta, key, json_string(value)) == 0;
  for (int64_t i = 0; good && i < am_safetensors_count(st); i++) {
    AM_GO(done, tensor_to_json(o, am_safetensors_at(st, i), &t));
    good = json_array_append_new(tensors, t) == 0;
  }
  count_elements(st, total);
  all = json_pack("{s:s, s:s, s:O, s:O}", "file", o->file, "sha256", sha256, "metadata", meta, "tensors",
                  tensors);
  for (int p = 0; good && all && p < PURPOSES; p++)
    good = json_object_set_new(all, purpose_name[p], json_integer(total[p])) == 0;
  AM_CHECK_GO(done, good && all && json_dumpf(all, out, JSON_INDENT(1)) == 0, AM_ERR_NOMEM,
              "out of memory describing %s", o->file);
  fputc('\n', out);
done:
  json_decref(meta);
  json_decref(tensors);
  json_decref(all);
  return err;
}

static am_err show(am_app *app, const weights_options *o) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  char sha256[AM_SHA256_HEX];
  AM_GO(done, am_safetensors_open(o->file, &st));
  AM_GO(done, am_sha256_file(o->file, sha256));
  AM_GO(done, (o->json ? print_json : print_table)(o, st, sha256, app->out));
done:
  am_safetensors_close(st);
  return err;
}

// ---- check ----

// The network as a file, with the metadata of the one it came from.
static am_err write_again(const weights_options *o, am_model *m) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  const char **meta = NULL;
  int64_t pairs = 0, capacity = 0;
  AM_GO(done, am_safetensors_open(o->file, &st));
  do {
    AM_GO(done, AM_GROW(&meta, &capacity, 2 * pairs + 2));
    meta[2 * pairs] = meta[2 * pairs + 1] = NULL;
  } while (am_safetensors_meta_at(st, pairs, &meta[2 * pairs], &meta[2 * pairs + 1]) && ++pairs);
  AM_GO(done, am_params_save(m->params, o->out, meta));
done:
  free(meta);
  am_safetensors_close(st);
  return err;
}

static am_err check(am_app *app, const weights_options *o) {
  am_err err = AM_OK;
  am_device *device = NULL;
  am_model *m = NULL;
  am_network_choice net = o->net;
  net.weights = o->file;
  AM_GO(done, am_app_device(app, 0, &device));
  AM_GO(done, am_network_load(&net, device, &m));
  if (o->out) AM_GO(done, write_again(o, m));
  fprintf(app->out, "%s fits %s", o->file, m->def->name);
  if (m->def->role == AM_ROLE_CLASSIFIER) fprintf(app->out, " with %lld classes", (long long)m->cfg.classes);
  fprintf(app->out, "%s%s\n", o->out ? "; wrote " : "", o->out ? o->out : "");
done:
  am_model_free(m);
  am_device_close(device);
  return err;
}

// ---- the command ----

static am_err run(am_app *app) {
  static const struct {
    const char *name;
    am_err (*run)(am_app *app, const weights_options *o);
  } verbs[] = {{"show", show}, {"check", check}};
  weights_options o = {.net = {.role = AM_ROLE_COUNT}};
  bool go = false;
  const am_option options[] = {
      {"--json", AM_OPTION_FLAG, &o.json, NULL, "show: for programs"},
      {"--hashes", AM_OPTION_FLAG, &o.hashes, NULL, "show: with the SHA-256 of each tensor's bytes"},
      {"--model", AM_OPTION_TEXT, &o.net.model, "NAME", "check: the network (default: what the file says)"},
      {"--width", AM_OPTION_I64, &o.net.cfg.width, "N", "check: its base width (default: the network's)"},
      {"--out", AM_OPTION_TEXT, &o.out, "G", "check: write the network to this file"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 2, 2, &go));
  if (!go) return AM_OK;
  o.file = app->argv[1];
  for (int64_t v = 0; v < AM_COUNT_OF(verbs); v++)
    if (strcmp(verbs[v].name, app->argv[0]) == 0) return verbs[v].run(app, &o);
  return AM_FAIL(AM_ERR_CONFIG, "weights %s is not known, expected show or check", app->argv[0]);
}

const am_command am_cmd_weights = {
    .name = "weights",
    .usage = "show|check FILE.safetensors [options]",
    .doc = "what is in a file of weights, and whether it fits a network",
    .help =
        "  show   hash, metadata, and each tensor's name, type and shape\n"
        "  check  loads the file into a network, strictly: every name and shape must agree. --out writes "
        "the\n"
        "         network again, in 32 bit: the bytes are those of FILE when it came from augmint or from "
        "the\n"
        "         Python package in that type\n"
        "A .pt or .pth file is converted by analysis/convert_weights.py first; augmint reads no pickle.\n",
    .run = run};
