// What of several experiments may stand in one table: the same splits, the same networks.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/compare_internal.h"

static am_err check_names(const am_comparing *c) {
  for (int64_t i = 0; i < c->count; i++) {
    AM_CHECK(!strcmp(am_results_attr(c->item[i].from, "tiny"), am_results_attr(c->item[0].from, "tiny")),
             AM_ERR_CONFIG, "%s and %s: one is a tiny run, the other is not", c->item[0].name, c->item[i].name);
    for (int64_t k = 0; k < i; k++)
      AM_CHECK(strcmp(c->item[i].name, c->item[k].name) != 0, AM_ERR_CONFIG,
               "two of the experiments are called %s: give one of them another `name`", c->item[i].name);
  }
  return AM_OK;
}

am_err am_comparing_begin(am_results *const *in, int64_t count, am_comparing *out) {
  am_err err = AM_OK;
  am_comparing c = {.count = count};
  AM_GO(done, AM_NEW_ARRAY(&c.item, count));
  for (int64_t i = 0; i < count; i++) {
    const char *config = am_results_attr(in[i], "config");
    c.item[i] = (am_compared){.from = in[i],
                              .name = am_results_attr(in[i], "name"),
                              .watch = am_results_attr(in[i], "watch")};
    am_err unread = am_yaml_parse("config", config, strlen(config), &c.item[i].config);
    if (unread == AM_ERR_NOMEM) AM_GO(done, unread);
  }
  AM_GO(done, check_names(&c));
  *out = c;
  c = (am_comparing){0};
done:
  am_comparing_end(&c);
  return err;
}

void am_comparing_end(am_comparing *c) {
  for (int64_t i = 0; i < c->count && c->item; i++) am_node_free(c->item[i].config);
  free(c->item);
  am_str_fini(&c->notes);
  *c = (am_comparing){0};
}

// ---- splits ----

// The row of /splits, or -1.
static int64_t find_split(const am_frame *splits, const char *split, const char *draw) {
  for (int64_t i = 0; i < am_frame_rows(splits); i++) {
    if (!strcmp(am_frame_text(splits, i, "split"), split) && !strcmp(am_frame_text(splits, i, "draw"), draw)) return i;
  }
  return -1;
}

// Every draw of the split in a is one of b, of the same images.
static bool is_contained(am_results *a, am_results *b, const char *split) {
  const am_frame *in_a = am_results_frame(a, "splits"), *in_b = am_results_frame(b, "splits");
  bool any = false;
  for (int64_t i = 0; i < am_frame_rows(in_a); i++) {
    if (strcmp(am_frame_text(in_a, i, "split"), split)) continue;
    int64_t k = find_split(in_b, split, am_frame_text(in_a, i, "draw"));
    if (k < 0 || strcmp(am_frame_text(in_a, i, "address"), am_frame_text(in_b, k, "address"))) return false;
    any = true;
  }
  return any;
}

bool am_compare_shares_split(const am_comparing *c, const char *split) {
  for (int64_t i = 1; i < c->count; i++) {
    if (!is_contained(c->item[0].from, c->item[i].from, split) || !is_contained(c->item[i].from, c->item[0].from, split))
      return false;
  }
  return true;
}

// ---- networks ----

// Appends the canonical section of a model; false where there is none.
static am_err model_text(const am_compared *e, const char *model, am_str *out, bool *found) {
  const am_node *models = am_node_get(e->config, "models"), *section = am_node_get(models, model);
  *found = section != NULL;
  return section ? am_node_canonical(section, out) : AM_OK;
}

// Whether the model is the same in every experiment that has one of that name.
static am_err is_one_model(const am_comparing *c, int64_t which, const char *model, bool *same) {
  am_err err = AM_OK;
  am_str mine = {0}, theirs = {0};
  bool has, other;
  *same = true;
  if (c->count == 1) return AM_OK;
  AM_GO(done, model_text(&c->item[which], model, &mine, &has));
  for (int64_t i = 0; i < c->count && *same; i++) {
    am_str_clear(&theirs);
    AM_GO(done, model_text(&c->item[i], model, &theirs, &other));
    *same = !other || (has && !strcmp(am_str_get(&mine), am_str_get(&theirs)));
  }
done:
  am_str_fini(&mine);
  am_str_fini(&theirs);
  return err;
}

am_err am_compare_model_name(const am_comparing *c, int64_t which, const char *model, char **out) {
  bool same;
  AM_TRY(is_one_model(c, which, model, &same));
  return same ? am_mem_strdup(model, out) : am_str_format(out, "%s of %s", model, c->item[which].name);
}

am_err am_compare_arm_name(const am_comparing *c, int64_t which, const char *arm, char **out) {
  if (c->count == 1) return am_mem_strdup(arm, out);
  return am_str_format(out, "%s: %s", c->item[which].name, arm);
}

// ---- what a reader must know ----

// Whether no row above names the same split.
static bool is_first(const am_frame *splits, int64_t row) {
  for (int64_t i = 0; i < row; i++) {
    if (!strcmp(am_frame_text(splits, i, "split"), am_frame_text(splits, row, "split"))) return false;
  }
  return true;
}

static am_err note_splits(am_comparing *c) {
  int64_t kept = 0;
  for (int64_t i = 0; i < c->count && c->count > 1; i++) {
    const am_frame *splits = am_results_frame(c->item[i].from, "splits");
    for (int64_t k = 0; k < am_frame_rows(splits); k++) {
      const char *split = am_frame_text(splits, k, "split");
      bool shared = am_compare_shares_split(c, split);
      kept += shared;
      if (shared || !is_first(splits, k)) continue;
      AM_TRY(am_str_printf(&c->notes, "split `%s` of %s is left out: it is not the same images in all experiments\n",
                           split, c->item[i].name));
    }
  }
  AM_CHECK(kept > 0 || c->count == 1, AM_ERR_CONFIG,
           "no evaluated split is the same images in all of the %lld experiments: there is nothing to compare",
           (long long)c->count);
  return AM_OK;
}

static const char *first_seed(const am_compared *e) {
  const am_node *seed = am_node_get(e->config, "seed");
  return seed && seed->text ? seed->text : "0";
}

am_err am_compare_note_differences(am_comparing *c, am_budget budget) {
  AM_TRY(note_splits(c));
  for (int64_t i = 1; i < c->count; i++) {
    const am_compared *a = &c->item[0], *b = &c->item[i];
    if (strcmp(first_seed(a), first_seed(b)) != 0)
      AM_TRY(am_str_printf(&c->notes, "%s and %s start from other seeds: their pairs share a number only\n", a->name,
                           b->name));
    const char *here = am_results_attr(a->from, "devices"), *there = am_results_attr(b->from, "devices");
    if (budget == AM_BUDGET_DEVICE_HOURS && strcmp(here, there) != 0)
      AM_TRY(am_str_printf(&c->notes, "device-hours are of different devices: %s: %s; %s: %s\n", a->name, here, b->name,
                           there));
  }
  return AM_OK;
}
