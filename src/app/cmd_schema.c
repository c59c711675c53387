// augmint schema: every key that a file may have, from the lists that parse it.
#include <string.h>

#include "app/command.h"
#include "augment/augment.h"
#include "data/manifest.h"
#include "metrics/metrics.h"
#include "models/registry.h"
#include "sweep/experiment.h"
#include "sweep/site.h"
#include "weights/pinned.h"

static am_err put_schema(const am_schema *schema, am_str *out) {
  if (out->length) AM_TRY(am_str_printf(out, "\n"));
  return am_schema_print(schema, out);
}

static am_err put_experiment(am_str *out) {
  for (const am_schema *const *s = am_experiment_schemas(); *s; s++) AM_TRY(put_schema(*s, out));
  return AM_OK;
}

static am_err put_manifest(am_str *out) {
  AM_TRY(put_schema(&am_manifest_schema, out));
  AM_TRY(put_schema(&am_packed_schema, out));
  AM_TRY(put_schema(&am_divide_schema, out));
  return put_schema(&am_weights_schema, out);
}

static am_err put_augment(am_str *out) {
  for (const am_augment_op *const *op = am_augment_all(); *op; op++) {
    if ((*op)->schema->field_count) {
      AM_TRY(put_schema((*op)->schema, out));
    } else {
      AM_TRY(
          am_str_printf(out, "%s%s: %s\n  no settings\n", out->length ? "\n" : "", (*op)->name, (*op)->doc));
    }
  }
  return AM_OK;
}

static am_err put_models(am_str *out) {
  static const char *const role[] = {[AM_ROLE_CLASSIFIER] = "classifier",
                                     [AM_ROLE_GENERATOR] = "generator",
                                     [AM_ROLE_DISCRIMINATOR] = "discriminator"};
  AM_TRY(am_str_printf(out, "%smodels: networks by name\n", out->length ? "\n" : ""));
  for (const am_model_def *const *m = am_model_all(); *m; m++) {
    AM_TRY(am_str_printf(out, "  %-20s %-13s %s\n", (*m)->name, role[(*m)->role], (*m)->doc));
  }
  return AM_OK;
}

static am_err put_metrics(am_str *out) {
  AM_TRY(am_str_printf(out, "%smetrics: what `evaluate` may list\n", out->length ? "\n" : ""));
  for (const am_metric *const *m = am_metric_all(); *m; m++) {
    AM_TRY(am_str_printf(out, "  %-20s %-5s %-6s %s\n", (*m)->name, (*m)->unit,
                         (*m)->better == AM_HIGHER_IS_BETTER ? "higher" : "lower", (*m)->doc));
  }
  return AM_OK;
}

static const struct {
  const char *name;
  am_err (*put)(am_str *out);
} chapters[] = {{"experiment", put_experiment}, {"manifest", put_manifest}, {"profile", am_site_describe},
                {"augment", put_augment},       {"models", put_models},     {"metrics", put_metrics}};

// The schema called `name` ("train", "rotation"), NULL when there is none.
static const am_schema *find_schema(const char *name) {
  for (const am_schema *const *s = am_experiment_schemas(); *s; s++) {
    if (!strcmp((*s)->name, name)) return *s;
  }
  const am_augment_op *op = am_augment_find(name);
  return op ? op->schema : NULL;
}

static am_err fail_unknown(const char *name) {
  am_str known = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < AM_COUNT_OF(chapters); i++)
    AM_GO(done, am_str_printf(&known, " %s", chapters[i].name));
  for (const am_schema *const *s = am_experiment_schemas(); *s; s++)
    AM_GO(done, am_str_printf(&known, " %s", (*s)->name));
  for (const am_augment_op *const *op = am_augment_all(); *op; op++)
    AM_GO(done, am_str_printf(&known, " %s", (*op)->name));
  err = AM_FAIL(AM_ERR_CONFIG, "there is no schema \"%s\"; known:%s", name, am_str_get(&known));
done:
  am_str_fini(&known);
  return err;
}

static am_err put_named(const char *name, am_str *out) {
  for (int64_t i = 0; i < AM_COUNT_OF(chapters); i++) {
    if (!strcmp(chapters[i].name, name)) return chapters[i].put(out);
  }
  const am_schema *schema = find_schema(name);
  return schema ? put_schema(schema, out) : fail_unknown(name);
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_str text = {0};
  bool go = false;
  AM_TRY(am_command_begin(app, NULL, 0, 0, 1, &go));
  if (!go) return AM_OK;
  if (app->argc) AM_GO(done, put_named(app->argv[0], &text));
  for (int64_t i = 0; !app->argc && i < AM_COUNT_OF(chapters); i++) AM_GO(done, chapters[i].put(&text));
  fputs(am_str_get(&text), app->out);
done:
  am_str_fini(&text);
  return err;
}

const am_command am_cmd_schema = {
    .name = "schema",
    .usage = "[NAME]",
    .doc = "every key of experiments, manifests and transforms; models; metrics",
    .help =
        "NAME is experiment, manifest, profile (a Slurm site), augment, models, metrics, one section (train) "
        "or one transform "
        "(rotation).\n",
    .run = run};
