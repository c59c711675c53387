#include "augment/augment.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

typedef struct {
  const am_augment_op *op;
  void *cfg;  // owned: the op's own struct; its words point into the pipeline's list
} pipeline_step;

struct am_pipeline {
  am_node *list;        // owned copy; NULL when there is none
  pipeline_step *step;  // owned
  int64_t step_count, step_capacity;
  int64_t channels, height, width;  // of the images that go in
  int64_t out_height, out_width;
  int64_t image_floats;  // of the largest image on the way
  float mean[AM_AUGMENT_CHANNELS], sd[AM_AUGMENT_CHANNELS];
  float normalized[AM_AUGMENT_CHANNELS]
                  [256];  // each 8-bit value of a channel: the whole of a pipeline without ops
};

// ---- from configuration ------------------------------------------------------------------------

static am_err unknown_op(const am_node *where, const char *name) {
  const am_augment_op *const *all = am_augment_all();
  const char *names[32];
  int64_t count = 0;
  for (; all[count] && count < AM_COUNT_OF(names); count++) names[count] = all[count]->name;
  const char *nearest = am_str_nearest(name, names, count);
  if (nearest)
    return am_node_fail(where, "there is no transform \"%s\": did you mean \"%s\"?", name, nearest);
  return am_node_fail(where, "there is no transform \"%s\"", name);
}

// An item of the list is a name, or a map of one name to its settings.
static am_err parse_item(const am_node *item, const am_augment_op **op, const am_node **settings) {
  const char *name = NULL;
  *settings = NULL;
  if (item->kind == AM_NODE_MAP && item->count == 1) {
    name = item->key[0];
    if (item->item[0]->kind != AM_NODE_NULL) *settings = item->item[0];
  } else if (item->kind == AM_NODE_SCALAR) {
    name = item->text;
  } else {
    return am_node_fail(item, "expected the name of a transform, or one name with its settings");
  }
  *op = am_augment_find(name);
  return *op ? AM_OK : unknown_op(item, name);
}

static am_err check_list(const am_node *list) {
  if (list->kind == AM_NODE_LIST || list->kind == AM_NODE_NULL) return AM_OK;
  return am_node_fail(list, "expected a list of transforms");
}

static am_err add_step(am_pipeline *p, const am_node *item, bool last) {
  const am_augment_op *op = NULL;
  const am_node *settings = NULL;
  AM_TRY(parse_item(item, &op, &settings));
  AM_TRY(AM_GROW(&p->step, &p->step_capacity, p->step_count + 1));
  pipeline_step *step = &p->step[p->step_count];
  AM_TRY(am_mem_alloc(&step->cfg, 1, op->schema->struct_bytes));
  step->op = op;
  p->step_count++;
  AM_TRY(am_bind(settings, op->schema, NULL, step->cfg));
  if (!op->apply && !last) return am_node_fail(item, "\"%s\" must be the last transform", op->name);
  if (op->check) AM_TRY(op->check(step->cfg, item, &p->out_height, &p->out_width));
  p->image_floats = am_max_i64(p->image_floats, p->channels * p->out_height * p->out_width);
  return AM_OK;
}

static void set_normalization(am_pipeline *p, const float *mean, const float *sd) {
  for (int64_t c = 0; c < p->channels; c++) {
    p->mean[c] = mean ? mean[c] : 0;
    p->sd[c] = sd ? sd[c] : 1;
    for (int v = 0; v < 256; v++) p->normalized[c][v] = ((float)v / 255.0f - p->mean[c]) / p->sd[c];
  }
}

am_err am_pipeline_new(const am_node *list, int64_t channels, int64_t height, int64_t width,
                       const float *mean, const float *sd, am_pipeline **out) {
  am_err err = AM_OK;
  am_pipeline *p = NULL;
  AM_CHECK(channels == 1 || channels == AM_AUGMENT_CHANNELS, AM_ERR_ARG,
           "images have %lld channels, expected 1 or 3", (long long)channels);
  AM_GO(done, AM_NEW(&p));
  p->channels = channels;
  p->height = p->out_height = height;
  p->width = p->out_width = width;
  p->image_floats = channels * height * width;
  set_normalization(p, mean, sd);
  if (list) {
    AM_GO(done, check_list(list));
    AM_GO(done, am_node_copy(list, &p->list));
    for (int64_t i = 0; i < p->list->count; i++)
      AM_GO(done, add_step(p, p->list->item[i], i + 1 == p->list->count));
  }
  *out = p;
  p = NULL;
done:
  am_pipeline_free(p);
  return err;
}

void am_pipeline_free(am_pipeline *p) {
  if (!p) return;
  for (int64_t i = 0; i < p->step_count; i++) free(p->step[i].cfg);
  free(p->step);
  am_node_free(p->list);
  free(p);
}

// {name: {field: value, ...}} of one item.
static am_err item_to_node(const am_node *item, const am_augment_op *op, const am_node *settings,
                           am_node **out) {
  am_err err = AM_OK;
  am_node *map = NULL, *fields = NULL;
  void *cfg = NULL;
  AM_GO(done, am_mem_alloc(&cfg, 1, op->schema->struct_bytes));
  AM_GO(done, am_bind(settings, op->schema, NULL, cfg));
  AM_GO(done, am_bind_to_node(op->schema, cfg, &fields));
  AM_GO(done, am_node_new_map(item->file, &map));
  am_node *given = fields;
  fields = NULL;
  AM_GO(done, am_node_put(map, op->name, given));
  *out = map;
  map = NULL;
done:
  am_node_free(fields);
  am_node_free(map);
  free(cfg);
  return err;
}

am_err am_pipeline_to_node(const am_node *list, am_node **out) {
  am_err err = AM_OK;
  am_node *result = NULL;
  AM_GO(done, am_node_new_list(list ? list->file : NULL, &result));
  if (list) AM_GO(done, check_list(list));
  for (int64_t i = 0; list && i < list->count; i++) {
    const am_augment_op *op = NULL;
    const am_node *settings = NULL;
    am_node *item = NULL;
    AM_GO(done, parse_item(list->item[i], &op, &settings));
    if (!op->apply) continue;
    AM_GO(done, item_to_node(list->item[i], op, settings, &item));
    AM_GO(done, am_node_append(result, item));
  }
  *out = result;
  result = NULL;
done:
  am_node_free(result);
  return err;
}

// ---- running -----------------------------------------------------------------------------------

static am_err check_image(const am_pipeline *p, const am_image *image) {
  AM_CHECK(
      image->channels == p->channels && image->height == p->height && image->width == p->width, AM_ERR_ARG,
      "an image of %lld x %lld px and %lld channels reached a pipeline for %lld x %lld px and %lld channels",
      (long long)image->width, (long long)image->height, (long long)image->channels, (long long)p->width,
      (long long)p->height, (long long)p->channels);
  return AM_OK;
}

// *memory (caller's to free) holds the result and the scratch image; *result points into it.
static am_err run_ops(const am_pipeline *p, const am_image *in, uint64_t seed, uint64_t stream,
                      float **memory, am_planar *result) {
  float *buffer = NULL;
  AM_TRY(AM_NEW_ARRAY(&buffer, 2 * p->image_floats));
  *memory = buffer;
  am_planar image = {p->channels, p->height, p->width, buffer}, scratch = image;
  scratch.pixel = buffer + p->image_floats;

  int64_t n = p->height * p->width;
  for (int64_t c = 0; c < p->channels; c++) {
    float *restrict plane = image.pixel + c * n;
    for (int64_t i = 0; i < n; i++) plane[i] = (float)in->pixel[i * p->channels + c] / 255.0f;
  }
  am_rng rng = am_rng_at(seed, AM_RNG_AUGMENT, stream);
  for (int64_t i = 0; i < p->step_count; i++) {
    if (p->step[i].op->apply) p->step[i].op->apply(p->step[i].cfg, &image, &scratch, &rng);
  }
  *result = image;
  return AM_OK;
}

static bool has_ops(const am_pipeline *p) {
  return p->step_count > 1 || (p->step_count == 1 && p->step[0].op->apply);
}

static am_err transform_apply(const void *user, const am_image *in, uint64_t seed, uint64_t stream,
                              float *out) {
  const am_pipeline *p = user;
  AM_TRY(check_image(p, in));
  int64_t n = p->out_height * p->out_width;
  if (!has_ops(p)) {
    for (int64_t c = 0; c < p->channels; c++) {
      const float *table = p->normalized[c];
      for (int64_t i = 0; i < n; i++) out[c * n + i] = table[in->pixel[i * p->channels + c]];
    }
    return AM_OK;
  }
  float *memory = NULL;
  am_planar image;
  AM_TRY(run_ops(p, in, seed, stream, &memory, &image));
  for (int64_t c = 0; c < p->channels; c++) {
    const float *restrict plane = image.pixel + c * n;
    float *restrict to = out + c * n;
    float mean = p->mean[c], sd = p->sd[c];
    for (int64_t i = 0; i < n; i++) to[i] = (plane[i] - mean) / sd;
  }
  free(memory);
  return AM_OK;
}

am_transform am_pipeline_transform(const am_pipeline *p) {
  return (am_transform){
      .apply = transform_apply, .user = p, .out_height = p->out_height, .out_width = p->out_width};
}

am_err am_pipeline_preview(const am_pipeline *p, const am_image *in, uint64_t seed, uint64_t stream,
                           am_image *out) {
  am_err err = AM_OK;
  float *memory = NULL;
  am_planar image;
  AM_TRY(check_image(p, in));
  AM_GO(done, run_ops(p, in, seed, stream, &memory, &image));
  AM_GO(done, am_image_new(image.width, image.height, image.channels, out));
  int64_t n = image.height * image.width;
  for (int64_t c = 0; c < image.channels; c++) {
    for (int64_t i = 0; i < n; i++) {
      float x = image.pixel[c * n + i];
      out->pixel[i * image.channels + c] = (uint8_t)(255.0f * (x < 0 ? 0 : x > 1 ? 1 : x) + 0.5f);
    }
  }
done:
  free(memory);
  return err;
}
