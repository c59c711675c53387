// Ops that compute with colours: their settings, and how torchvision draws their parameters.
#include <string.h>

#include "augment/ops_internal.h"
#include "augment/pixels.h"
#include "base/num.h"

// ---- color_jitter: ColorJitter -----------------------------------------------------------------

#define JITTER_FIELDS(I, F, B, S, C)                                                             \
  F(brightness, 0.2, 0, 100, "", "factor uniform from max(0, 1 - brightness) to 1 + brightness") \
  F(contrast, 0.2, 0, 100, "", "likewise")                                                       \
  F(saturation, 0.2, 0, 100, "", "likewise")                                                     \
  F(hue, 0, 0, 0.5, "turns", "the hue is turned by uniform -hue to hue")
typedef struct {
  AM_STRUCT(JITTER_FIELDS)
} jitter_cfg;
#define AM_FIELD_OF jitter_cfg
static const am_field jitter_fields[] = {AM_FIELDS(JITTER_FIELDS)};
#undef AM_FIELD_OF
static const am_schema jitter_schema = AM_SCHEMA(
    "color_jitter", "brightness, contrast, saturation and hue in random order", jitter_cfg, jitter_fields);

static float draw_factor(am_rng *rng, double spread) {
  return (float)am_rng_range(rng, spread < 1 ? 1 - spread : 0, 1 + spread);
}

static void jitter_step(const void *cfg, am_augment_step *step) {
  step->kind = AM_STEP_JITTER;
  step->params = 8;
}

// The four adjustments in a fresh random order; one without spread is left out, not done with factor 1.
static void jitter_draw(const void *cfg_any, const am_augment_step *step, am_rng *rng, float *param) {
  const jitter_cfg *cfg = cfg_any;
  const double spread[4] = {cfg->brightness, cfg->contrast, cfg->saturation, cfg->hue};
  float factor[4];
  int64_t order[4];
  am_rng_permutation(rng, order, AM_COUNT_OF(order));
  for (int i = 0; i < 3; i++) factor[i] = draw_factor(rng, spread[i]);
  factor[3] = (float)am_rng_range(rng, -cfg->hue, cfg->hue);
  for (int i = 0; i < AM_COUNT_OF(order); i++) {
    bool on = spread[order[i]] > 0;
    param[2 * i] = (float)(on ? AM_JITTER_BRIGHTNESS + order[i] : AM_JITTER_NONE);
    param[2 * i + 1] = on ? factor[order[i]] : 0;
  }
}

const am_augment_op am_op_color_jitter = {.name = "color_jitter",
                                          .doc = "ColorJitter",
                                          .schema = &jitter_schema,
                                          .step = jitter_step,
                                          .draw = jitter_draw};

// ---- gaussian_blur: GaussianBlur ---------------------------------------------------------------

#define BLUR_FIELDS(I, F, B, S, C)                                                        \
  I(kernel, 5, 1, AM_BLUR_KERNEL, "px", "side of the kernel, odd")                        \
  F(sigma_min, 0.1, 1.0e-3, 100, "px", "the standard deviation is uniform from here ...") \
  F(sigma_max, 2.0, 1.0e-3, 100, "px", "... to here")
typedef struct {
  AM_STRUCT(BLUR_FIELDS)
} blur_cfg;
#define AM_FIELD_OF blur_cfg
static const am_field blur_fields[] = {AM_FIELDS(BLUR_FIELDS)};
#undef AM_FIELD_OF
static const am_schema blur_schema =
    AM_SCHEMA("gaussian_blur", "blurs by a random width", blur_cfg, blur_fields);

static am_err blur_check(void *cfg_any, const am_node *where, am_augment_size *size) {
  const blur_cfg *cfg = cfg_any;
  if (cfg->kernel % 2 == 0)
    return am_node_fail(where, "kernel is %lld, expected an odd number", (long long)cfg->kernel);
  if (cfg->sigma_min > cfg->sigma_max) {
    return am_node_fail(where, "sigma_min is %g, above sigma_max %g", cfg->sigma_min, cfg->sigma_max);
  }
  if (cfg->kernel / 2 >= am_min_i64(size->height, size->width)) {
    return am_node_fail(where, "a kernel of %lld px is too large for images of %lld x %lld px",
                        (long long)cfg->kernel, (long long)size->width, (long long)size->height);
  }
  return AM_OK;
}

static void blur_step(const void *cfg_any, am_augment_step *step) {
  const blur_cfg *cfg = cfg_any;
  step->kind = AM_STEP_BLUR;
  step->params = step->kernel = cfg->kernel;
}

static void blur_draw(const void *cfg_any, const am_augment_step *step, am_rng *rng, float *param) {
  const blur_cfg *cfg = cfg_any;
  am_blur_weights(cfg->kernel, am_rng_range(rng, cfg->sigma_min, cfg->sigma_max), param);
}

const am_augment_op am_op_gaussian_blur = {.name = "gaussian_blur",
                                           .doc = "GaussianBlur",
                                           .schema = &blur_schema,
                                           .check = blur_check,
                                           .step = blur_step,
                                           .draw = blur_draw};

// ---- random_erasing: RandomErasing, on normalised images ---------------------------------------

#define ERASING_FIELDS(I, F, B, S, C)                                                                \
  F(p, 0.5, 0, 1, "", "probability that a part is erased")                                           \
  F(scale_min, 0.02, 1.0e-6, 1, "", "its share of the area is uniform from here ...")                \
  F(scale_max, 0.33, 1.0e-6, 1, "", "... to here")                                                   \
  F(ratio_min, 0.3, 0.01, 100, "", "log(height/width) of it is uniform from log of this ...")        \
  F(ratio_max, 3.3, 0.01, 100, "", "... to log of this")                                             \
  C(fill, "value", "value|random", "value: the same everywhere; random: normal noise, each its own") \
  F(value, 0, -100, 100, "", "what fill: value writes, as a normalised colour: 0 is the mean")
typedef struct {
  AM_STRUCT(ERASING_FIELDS)
} erasing_cfg;
#define AM_FIELD_OF erasing_cfg
static const am_field erasing_fields[] = {AM_FIELDS(ERASING_FIELDS)};
#undef AM_FIELD_OF
static const am_schema erasing_schema =
    AM_SCHEMA("random_erasing", "writes over a random rectangle", erasing_cfg, erasing_fields);

static am_rect_range erasing_range(const erasing_cfg *cfg) {
  return (am_rect_range){cfg->scale_min, cfg->scale_max, cfg->ratio_min, cfg->ratio_max};
}

static am_err erasing_check(void *cfg, const am_node *where, am_augment_size *size) {
  am_rect_range range = erasing_range(cfg);
  return am_check_rect_range(where, &range);
}

static void erasing_step(const void *cfg_any, am_augment_step *step) {
  const erasing_cfg *cfg = cfg_any;
  step->kind = strcmp(cfg->fill, "random") == 0 ? AM_STEP_NOISE : AM_STEP_ERASE;
  step->params = 4;
  step->fill = (float)cfg->value;
}

// After ten attempts that do not fit the image stays as it is.
static void erasing_draw(const void *cfg_any, const am_augment_step *step, am_rng *rng, float *param) {
  const erasing_cfg *cfg = cfg_any;
  am_rect_range range = erasing_range(cfg);
  memset(param, 0, 4 * sizeof *param);
  if (am_rng_uniform(rng) >= cfg->p) return;
  for (int attempt = 0; attempt < AM_RECT_ATTEMPTS; attempt++) {
    int64_t height = 0, width = 0;
    am_draw_sides(rng, &range, (double)(step->height * step->width), &height, &width);
    if (height >= step->height || width >= step->width) continue;
    param[0] = (float)am_rng_below(rng, step->height - height + 1);
    param[1] = (float)am_rng_below(rng, step->width - width + 1);
    param[2] = (float)height;
    param[3] = (float)width;
    return;
  }
}

const am_augment_op am_op_random_erasing = {.name = "random_erasing",
                                            .doc = "RandomErasing, after normalisation",
                                            .schema = &erasing_schema,
                                            .check = erasing_check,
                                            .step = erasing_step,
                                            .draw = erasing_draw,
                                            .normalized = true};
