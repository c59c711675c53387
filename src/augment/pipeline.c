#include "augment/augment.h"

#include <stdlib.h>
#include <string.h>

#include "augment/pixels.h"
#include "augment/spread.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

typedef struct {
  const am_augment_op *op;
  void *cfg;               // owned: the op's own struct; its words point into the pipeline's list
  am_augment_step floats;  // what it is on floats
} pipeline_step;

// What an op gets: the stages follow each other.
typedef enum { ON_BYTES, ON_FLOATS, ON_NORMALIZED, STAGES } stage;

struct am_pipeline {
  am_node *list;        // owned copy; NULL when there is none
  pipeline_step *step;  // owned
  int64_t step_count, step_capacity;
  int64_t stage_end[STAGES];  // one after the last step of each stage
  int64_t channels;
  bool as_stored;                       // the first op takes images of any size
  am_augment_size size;                 // after the steps so far
  am_augment_program program;           // what there is to do once images are floats
  const char *host_only;                // the op for whose sake no device runs the program; NULL: any may
  bool normalizes;                      // mean and sd were given
  am_spread unit[AM_AUGMENT_CHANNELS];  // 8-bit values as floats in [0, 1]
  am_spread normalized[AM_AUGMENT_CHANNELS];  // and normalised: all there is to do without ops on floats
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

// Where a step runs: on bytes as long as it can.
static stage stage_of(const am_pipeline *p, const am_augment_op *op) {
  if (op->normalized) return ON_NORMALIZED;
  return op->apply_bytes && p->stage_end[ON_FLOATS] == p->stage_end[ON_BYTES] ? ON_BYTES : ON_FLOATS;
}

static am_err check_order(const am_pipeline *p, const am_node *item, const am_augment_op *op, stage at,
                          const char *before) {
  if (at != ON_NORMALIZED && before)
    return am_node_fail(item, "\"%s\" must come before \"%s\"", op->name, before);
  if (at != ON_BYTES && !op->draw)
    return am_node_fail(item, "\"%s\" works on 8-bit pixels: it must come before \"%s\"", op->name,
                        p->step[p->stage_end[ON_BYTES]].op->name);
  if (at != ON_BYTES && !p->size.fixed)
    return am_node_fail(
        item, "before \"%s\" the images need one size: add random_resized_crop or center_crop", op->name);
  return AM_OK;
}

// From here on images of this size become floats.
static void begin_program(am_pipeline *p) {
  p->program.in_height = p->program.height = p->size.height;
  p->program.in_width = p->program.width = p->size.width;
  p->program.room = p->channels * p->size.height * p->size.width;
}

// The program goes on with this step, whose result has the size that was reached.
static void add_to_program(am_pipeline *p, const am_augment_op *op, const void *cfg, stage at,
                           am_augment_step *step) {
  am_augment_program *g = &p->program;
  *step = (am_augment_step){.in_height = g->height,
                            .in_width = g->width,
                            .height = p->size.height,
                            .width = p->size.width,
                            .first = g->params};
  op->step(cfg, step);
  AM_ASSERT(step->params <= AM_AUGMENT_PARAMS);
  g->height = step->height;
  g->width = step->width;
  g->room = am_max_i64(g->room, p->channels * g->height * g->width);
  g->params += step->params;
  if (!p->host_only && (step->kind == AM_STEP_NOISE || g->steps == AM_AUGMENT_STEPS)) p->host_only = op->name;
  if (p->host_only) return;
  g->step[g->steps++] = *step;
  if (at == ON_FLOATS) g->float_steps = g->steps;
}

// *before: the op after which only ops on normalised images may come, once there was one.
static am_err add_step(am_pipeline *p, const am_node *item, const char **before) {
  const am_augment_op *op = NULL;
  const am_node *settings = NULL;
  AM_TRY(parse_item(item, &op, &settings));
  if (!op->draw && !op->apply_bytes) {
    *before = op->name;
    return settings ? am_node_fail(item, "\"%s\" has no settings", op->name) : AM_OK;
  }
  stage at = stage_of(p, op);
  AM_TRY(check_order(p, item, op, at, *before));
  if (at == ON_NORMALIZED) *before = op->name;
  AM_TRY(AM_GROW(&p->step, &p->step_capacity, p->step_count + 1));
  pipeline_step *step = &p->step[p->step_count];
  AM_TRY(am_mem_alloc(&step->cfg, 1, op->schema->struct_bytes));
  step->op = op;
  p->step_count++;
  for (int k = at; k < STAGES; k++) p->stage_end[k] = p->step_count;
  AM_TRY(am_bind(settings, op->schema, NULL, step->cfg));
  if (op->check) AM_TRY(op->check(step->cfg, item, &p->size));
  if (at == ON_BYTES) {
    begin_program(p);
  } else {
    add_to_program(p, op, step->cfg, at, &step->floats);
  }
  return AM_OK;
}

static am_err add_steps(am_pipeline *p) {
  const char *before = NULL;
  const am_augment_op *first = NULL;
  const am_node *settings = NULL, *list = p->list;
  if (list->count) AM_TRY(parse_item(list->item[0], &first, &settings));
  if (first && first->frames) {
    p->as_stored = true;
    p->size.height = p->size.width = 1;
    p->size.fixed = false;
  }
  for (int64_t i = 0; i < list->count; i++) AM_TRY(add_step(p, list->item[i], &before));
  if (!p->size.fixed)
    return am_node_fail(list, "the images still differ in size after the last transform: add center_crop");
  return AM_OK;
}

static void set_normalization(am_pipeline *p, const float *mean, const float *sd) {
  p->normalizes = mean || sd;
  p->program.channels = p->channels;
  for (int64_t c = 0; c < p->channels; c++) {
    p->unit[c] = am_spread_for(0, 1);
    p->normalized[c] = am_spread_for(mean ? mean[c] : 0, sd ? sd[c] : 1);
    p->program.mean[c] = p->normalized[c].mean;
    p->program.sd[c] = p->normalized[c].sd;
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
  p->size = (am_augment_size){height, width, true, height, width};
  begin_program(p);
  set_normalization(p, mean, sd);
  if (list) {
    AM_GO(done, check_list(list));
    AM_GO(done, am_node_copy(list, &p->list));
    AM_GO(done, add_steps(p));
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
    if (!op->draw && !op->apply_bytes) continue;
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

static am_err check_image(const am_pipeline *p, const am_stored *image) {
  bool any = p->as_stored && (image->encoded || (image->width > 0 && image->height > 0));
  int64_t width = p->size.data_width, height = p->size.data_height;
  AM_CHECK(
      image->channels == p->channels && (any || (image->height == height && image->width == width)),
      AM_ERR_ARG,
      "an image of %lld x %lld px and %lld channels reached a pipeline for %lld x %lld px and %lld channels",
      (long long)image->width, (long long)image->height, (long long)image->channels, (long long)width,
      (long long)height, (long long)p->channels);
  return AM_OK;
}

// The steps of a stage: each draws its parameters and is done.
static void run_steps(const am_pipeline *p, stage at, am_planar *image, am_planar *scratch, am_rng *rng) {
  float param[AM_AUGMENT_PARAMS];
  for (int64_t i = p->stage_end[at - 1]; i < p->stage_end[at]; i++) {
    const pipeline_step *s = &p->step[i];
    s->op->draw(s->cfg, &s->floats, rng, param);
    am_apply_step(&s->floats, param, image, scratch, rng);
  }
}

// Ops on floats need room for the image and for a scratch image.
static am_err run_floats(const am_pipeline *p, const am_image_part *in, am_transform_work *work, am_rng *rng,
                         float *out) {
  float *memory = NULL;
  AM_TRY(am_scratch_get(&work->floats, (size_t)(2 * p->program.room) * sizeof(float), &memory));
  am_planar image = {p->channels, in->height, in->width, memory}, scratch = image;
  scratch.pixel = memory + p->program.room;
  am_spread_image(in, p->unit, image.pixel);
  run_steps(p, ON_FLOATS, &image, &scratch, rng);
  int64_t n = image.height * image.width;
  for (int64_t c = 0; c < p->channels; c++) {
    const float *restrict plane = image.pixel + c * n;
    float *restrict to = out + c * n;
    float mean = p->normalized[c].mean, sd = p->normalized[c].sd;
    for (int64_t i = 0; i < n; i++) to[i] = (plane[i] - mean) / sd;
  }
  return AM_OK;
}

// The ops on bytes.
static am_err run_bytes(const am_pipeline *p, const am_stored *in, am_transform_work *work, am_rng *rng,
                        am_canvas *canvas) {
  AM_TRY(check_image(p, in));
  AM_TRY(am_canvas_open(in, work, canvas));
  for (int64_t i = 0; i < p->stage_end[ON_BYTES]; i++)
    AM_TRY(p->step[i].op->apply_bytes(p->step[i].cfg, canvas, rng));
  return am_canvas_decode(canvas);
}

static am_err transform_apply(const void *user, const am_stored *in, uint64_t seed, uint64_t stream,
                              am_transform_work *work, float *out) {
  const am_pipeline *p = user;
  am_canvas canvas;
  am_rng rng = am_rng_at(seed, AM_RNG_AUGMENT, stream);
  AM_TRY(run_bytes(p, in, work, &rng, &canvas));
  if (p->stage_end[ON_FLOATS] > p->stage_end[ON_BYTES]) {
    AM_TRY(run_floats(p, &canvas.part, work, &rng, out));
  } else {
    am_spread_image(&canvas.part, p->normalized, out);
  }
  am_planar image = {p->channels, p->size.height, p->size.width, out};
  run_steps(p, ON_NORMALIZED, &image, NULL, &rng);
  return AM_OK;
}

// The same draws in the same order, and nothing done with those of ops on floats.
static am_err transform_draw(const void *user, const am_stored *in, uint64_t seed, uint64_t stream,
                             am_transform_work *work, uint8_t *bytes, float *param) {
  const am_pipeline *p = user;
  am_canvas canvas;
  am_rng rng = am_rng_at(seed, AM_RNG_AUGMENT, stream);
  AM_TRY(run_bytes(p, in, work, &rng, &canvas));
  const size_t line = (size_t)(canvas.part.width * p->channels);
  for (int64_t y = 0; y < canvas.part.height; y++)
    memcpy(bytes + (size_t)y * line, canvas.part.pixel + y * canvas.part.stride, line);
  for (int64_t i = p->stage_end[ON_BYTES]; i < p->step_count; i++) {
    const pipeline_step *s = &p->step[i];
    s->op->draw(s->cfg, &s->floats, &rng, param + s->floats.first);
  }
  return AM_OK;
}

am_transform am_pipeline_transform(const am_pipeline *p) {
  const am_augment_program *g = &p->program;
  am_transform t = {.apply = transform_apply,
                    .user = p,
                    .out_height = p->size.height,
                    .out_width = p->size.width,
                    .as_stored = p->as_stored,
                    .host_only = p->host_only};
  if (p->host_only) return t;
  t.draw = transform_draw;
  t.bytes = g->in_height * g->in_width * g->channels;
  t.params = g->params;
  t.program = g;
  return t;
}

am_err am_pipeline_preview(const am_pipeline *p, const am_image *in, uint64_t seed, uint64_t stream,
                           am_image *out) {
  am_err err = AM_OK;
  am_transform_work work = {0};
  am_image image = {0};
  float *pixel = NULL;
  int64_t height = p->size.height, width = p->size.width, n = height * width;
  am_stored stored = am_stored_pixels("image", in);
  AM_CHECK(!p->normalizes, AM_ERR_ARG, "a preview of normalised images");
  AM_GO(done, AM_NEW_ARRAY(&pixel, p->channels * n));
  AM_GO(done, transform_apply(p, &stored, seed, stream, &work, pixel));
  AM_GO(done, am_image_new(width, height, p->channels, &image));
  for (int64_t c = 0; c < p->channels; c++) {
    for (int64_t i = 0; i < n; i++) {
      float x = pixel[c * n + i];
      image.pixel[i * p->channels + c] = (uint8_t)(255.0f * (x < 0 ? 0 : x > 1 ? 1 : x) + 0.5f);
    }
  }
  *out = image;
done:
  am_transform_work_fini(&work);
  free(pixel);
  return err;
}
