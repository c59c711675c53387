// What a result cost and where it comes from: the last sections of report.html.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/node.h"
#include "report/html_internal.h"
#include "report/svg.h"

// ---- cost ----

typedef struct {
  int64_t done, images;
  double seconds, device_seconds;
} cost;

static double finite_or_zero(double x) { return isfinite(x) ? x : 0; }

// Rows of a frame that are done and whose column `by` is `name`.
static cost cost_of(const am_frame *f, const char *by, const char *name, const char *images,
                    const char *device) {
  cost c = {0};
  for (int64_t i = 0; i < am_frame_rows(f); i++) {
    if (strcmp(am_frame_text(f, i, by), name) || strcmp(am_frame_text(f, i, "status"), "done")) continue;
    c.done++;
    c.images += am_frame_i64(f, i, images);
    c.seconds += finite_or_zero(am_frame_f64(f, i, "seconds"));
    c.device_seconds += finite_or_zero(am_frame_f64(f, i, device));
  }
  return c;
}

static am_err put_cost(am_str *out, const char *kind, const char *name, const cost *c) {
  char total[32], each[32];
  am_clock_span(c->seconds, total);
  am_clock_span(c->done ? c->seconds / (double)c->done : 0, each);
  AM_TRY(am_str_printf(out, "<tr><td>%s</td><td class=\"name\">", kind));
  AM_TRY(am_html_escape(name, out));
  return am_str_printf(out,
                       "</td><td class=\"num\">%lld</td><td class=\"num\">%lld</td><td class=\"num\">%s</td>"
                       "<td class=\"num\">%s</td><td class=\"num\">%.3f</td></tr>\n",
                       (long long)c->done, (long long)c->images, each, total, c->device_seconds / 3600);
}

// A row for every distinct name of column `by`, at its first appearance.
static am_err put_costs(am_str *out, const am_frame *f, const char *kind, const char *by, const char *images,
                        const char *device) {
  for (int64_t i = 0; i < am_frame_rows(f); i++) {
    const char *name = am_frame_text(f, i, by);
    bool seen = false;
    for (int64_t j = 0; j < i && !seen; j++) seen = !strcmp(am_frame_text(f, j, by), name);
    if (seen) continue;
    cost c = cost_of(f, by, name, images, device);
    AM_TRY(put_cost(out, kind, name, &c));
  }
  return AM_OK;
}

am_err am_html_cost(am_results *r, am_str *out) {
  const am_frame *cells = am_results_frame(r, "cells"), *fits = am_results_frame(r, "fits"),
                 *pools = am_results_frame(r, "pools");
  if (am_frame_rows(cells) + am_frame_rows(fits) + am_frame_rows(pools) == 0) return AM_OK;
  AM_TRY(am_str_printf(out,
                       "<h2>Cost</h2>\n<div class=\"scroll\"><table><tr><th>stage</th><th>what</th>"
                       "<th class=\"num\">done</th><th class=\"num\">images</th><th class=\"num\">each</th>"
                       "<th class=\"num\">all</th><th class=\"num\">device-hours</th></tr>\n"));
  AM_TRY(put_costs(out, fits, "fit", "generator", "images", "device_seconds"));
  AM_TRY(put_costs(out, pools, "generate", "generator", "images", "device_seconds"));
  AM_TRY(put_costs(out, cells, "train", "arm", "train_images", "device_seconds"));
  return am_str_printf(out, "</table></div>\n");
}

// ---- provenance ----

static am_err put_json_value(const json_t *value, am_str *out) {
  if (json_is_string(value)) return am_html_escape(json_string_value(value), out);
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
  AM_CHECK(text, AM_ERR_NOMEM, "out of memory while writing provenance");
  am_err err = am_html_escape(text, out);
  free(text);
  return err;
}

static am_err put_json_object(const char *text, am_str *out) {
  json_t *root = json_loads(text, 0, NULL);
  if (!json_is_object(root)) {  // not what it should be: shown as it is
    json_decref(root);
    AM_TRY(am_str_printf(out, "<pre>"));
    AM_TRY(am_html_escape(text, out));
    return am_str_printf(out, "</pre>\n");
  }
  am_err err = AM_OK;
  const char *key;
  json_t *value;
  AM_GO(done, am_str_printf(out, "<dl>\n"));
  json_object_foreach(root, key, value) {
    AM_GO(done, am_str_printf(out, "<dt>"));
    AM_GO(done, am_html_escape(key, out));
    AM_GO(done, am_str_printf(out, "</dt><dd>"));
    AM_GO(done, put_json_value(value, out));
    AM_GO(done, am_str_printf(out, "</dd>\n"));
  }
  AM_GO(done, am_str_printf(out, "</dl>\n"));
done:
  json_decref(root);
  return err;
}

// The canonical configuration as YAML; as it is, where it cannot be read.
static am_err put_config(const char *config, am_str *out) {
  am_node *tree = NULL;
  am_str yaml = {0};
  bool readable = am_yaml_parse("config", config, strlen(config), &tree) == AM_OK;
  am_err err = AM_OK;
  if (readable) AM_GO(done, am_node_print(tree, &yaml));
  AM_GO(done, am_str_printf(out, "<details><summary>The whole configuration</summary>\n<pre>"));
  AM_GO(done, am_html_escape(readable ? am_str_get(&yaml) : config, out));
  AM_GO(done, am_str_printf(out, "</pre></details>\n"));
done:
  am_node_free(tree);
  am_str_fini(&yaml);
  return err;
}

am_err am_html_provenance(am_results *r, am_str *out) {
  const char *provenance = am_results_attr(r, "provenance"), *config = am_results_attr(r, "config"),
             *devices = am_results_attr(r, "devices");
  if (!*provenance && !*config && !*devices) return AM_OK;
  AM_TRY(am_str_printf(out, "<h2>Provenance</h2>\n"));
  if (*devices) {
    AM_TRY(am_str_printf(out, "<p>Computed on "));
    AM_TRY(am_html_escape(devices, out));
    AM_TRY(am_str_printf(out, "</p>\n"));
  }
  if (*provenance) AM_TRY(put_json_object(provenance, out));
  return *config ? put_config(config, out) : AM_OK;
}
