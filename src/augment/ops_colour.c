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

// The four adjustments in a fresh random order; one without spread is left out, not done with factor 1.
static void jitter_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const jitter_cfg *cfg = cfg_any;
  (void)scratch;
  int64_t order[4];
  am_rng_permutation(rng, order, AM_COUNT_OF(order));
  float brightness = draw_factor(rng, cfg->brightness);
  float contrast = draw_factor(rng, cfg->contrast);
  float saturation = draw_factor(rng, cfg->saturation);
  float hue = (float)am_rng_range(rng, -cfg->hue, cfg->hue);
  for (int i = 0; i < AM_COUNT_OF(order); i++) {
    if (order[i] == 0 && cfg->brightness > 0) am_adjust_brightness(image, brightness);
    if (order[i] == 1 && cfg->contrast > 0) am_adjust_contrast(image, contrast);
    if (order[i] == 2 && cfg->saturation > 0) am_adjust_saturation(image, saturation);
    if (order[i] == 3 && cfg->hue > 0) am_adjust_hue(image, hue);
  }
}

const am_augment_op am_op_color_jitter = {
    .name = "color_jitter", .doc = "ColorJitter", .schema = &jitter_schema, .apply = jitter_apply};

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

static void blur_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const blur_cfg *cfg = cfg_any;
  am_gaussian_blur(image, scratch, cfg->kernel, am_rng_range(rng, cfg->sigma_min, cfg->sigma_max));
}

const am_augment_op am_op_gaussian_blur = {.name = "gaussian_blur",
                                           .doc = "GaussianBlur",
                                           .schema = &blur_schema,
                                           .check = blur_check,
                                           .apply = blur_apply};

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

static void erase(const erasing_cfg *cfg, am_planar *image, const am_rect *r, am_rng *rng) {
  bool noise = strcmp(cfg->fill, "random") == 0;
  for (int64_t c = 0; c < image->channels; c++) {
    for (int64_t y = r->top; y < r->top + r->height; y++) {
      float *row = image->pixel + (c * image->height + y) * image->width + r->left;
      for (int64_t x = 0; x < r->width; x++) row[x] = noise ? (float)am_rng_normal(rng) : (float)cfg->value;
    }
  }
}

// After ten attempts that do not fit the image stays as it is.
static void erasing_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const erasing_cfg *cfg = cfg_any;
  am_rect_range range = erasing_range(cfg);
  if (am_rng_uniform(rng) >= cfg->p) return;
  for (int attempt = 0; attempt < AM_RECT_ATTEMPTS; attempt++) {
    am_rect r = {0};
    am_draw_sides(rng, &range, (double)(image->height * image->width), &r.height, &r.width);
    if (r.height >= image->height || r.width >= image->width) continue;
    r.top = am_rng_below(rng, image->height - r.height + 1);
    r.left = am_rng_below(rng, image->width - r.width + 1);
    erase(cfg, image, &r, rng);
    return;
  }
}

const am_augment_op am_op_random_erasing = {.name = "random_erasing",
                                            .doc = "RandomErasing, after normalisation",
                                            .schema = &erasing_schema,
                                            .check = erasing_check,
                                            .apply = erasing_apply,
                                            .normalized = true};
