// The ops of a pipeline: their settings, and how torchvision draws their parameters.
#include <string.h>

#include "augment/pixels.h"
#include "base/num.h"

// ---- horizontal_flip: RandomHorizontalFlip -----------------------------------------------------

#define FLIP_FIELDS(I, F, B, S, C) F(p, 0.5, 0, 1, "", "probability of a flip")
typedef struct {
  AM_STRUCT(FLIP_FIELDS)
} flip_cfg;
#define AM_FIELD_OF flip_cfg
static const am_field flip_fields[] = {AM_FIELDS(FLIP_FIELDS)};
#undef AM_FIELD_OF

static void flip_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const flip_cfg *cfg = cfg_any;
  (void)scratch;
  if (am_rng_uniform(rng) < cfg->p) am_flip_horizontal(image);
}

// ---- random_crop: RandomCrop with constant padding ---------------------------------------------

#define CROP_FIELDS(I, F, B, S, C)                                                    \
  I(size, 0, 0, 65536, "px", "height and width of the result; 0: those of the image") \
  I(padding, 4, 0, 4096, "px", "added on every side before the crop")                 \
  F(fill, 0, 0, 1, "", "value of the padding")
typedef struct {
  AM_STRUCT(CROP_FIELDS)
} crop_cfg;
#define AM_FIELD_OF crop_cfg
static const am_field crop_fields[] = {AM_FIELDS(CROP_FIELDS)};
#undef AM_FIELD_OF

static am_err crop_check(const void *cfg_any, const am_node *where, int64_t *height, int64_t *width) {
  const crop_cfg *cfg = cfg_any;
  if (!cfg->size) return AM_OK;
  if (cfg->size > *height + 2 * cfg->padding || cfg->size > *width + 2 * cfg->padding) {
    return am_node_fail(where, "a crop of %lld px does not fit into %lld x %lld px padded by %lld",
                        (long long)cfg->size, (long long)*width, (long long)*height, (long long)cfg->padding);
  }
  *height = *width = cfg->size;
  return AM_OK;
}

static void crop_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const crop_cfg *cfg = cfg_any;
  int64_t height = cfg->size ? cfg->size : image->height, width = cfg->size ? cfg->size : image->width;
  int64_t top = am_rng_below(rng, image->height + 2 * cfg->padding - height + 1);
  int64_t left = am_rng_below(rng, image->width + 2 * cfg->padding - width + 1);
  am_pad_crop(image, scratch, cfg->padding, (float)cfg->fill, top, left, height, width);
}

// ---- rotation: RandomRotation ------------------------------------------------------------------

#define ROTATION_FIELDS(I, F, B, S, C)                                           \
  F(degrees, 15, 0, 360, "deg", "the angle is uniform from -degrees to degrees") \
  C(interpolation, "nearest", "nearest|bilinear", "how pixels are looked up")    \
  F(fill, 0, 0, 1, "", "value outside the image")
typedef struct {
  AM_STRUCT(ROTATION_FIELDS)
} rotation_cfg;
#define AM_FIELD_OF rotation_cfg
static const am_field rotation_fields[] = {AM_FIELDS(ROTATION_FIELDS)};
#undef AM_FIELD_OF

static void rotation_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const rotation_cfg *cfg = cfg_any;
  double degrees = am_rng_range(rng, -cfg->degrees, cfg->degrees);
  am_rotate(image, scratch, degrees, strcmp(cfg->interpolation, "bilinear") == 0, (float)cfg->fill);
}

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

static am_err blur_check(const void *cfg_any, const am_node *where, int64_t *height, int64_t *width) {
  const blur_cfg *cfg = cfg_any;
  if (cfg->kernel % 2 == 0)
    return am_node_fail(where, "kernel is %lld, expected an odd number", (long long)cfg->kernel);
  if (cfg->sigma_min > cfg->sigma_max) {
    return am_node_fail(where, "sigma_min is %g, above sigma_max %g", cfg->sigma_min, cfg->sigma_max);
  }
  if (cfg->kernel / 2 >= am_min_i64(*height, *width)) {
    return am_node_fail(where, "a kernel of %lld px is too large for images of %lld x %lld px",
                        (long long)cfg->kernel, (long long)*width, (long long)*height);
  }
  return AM_OK;
}

static void blur_apply(const void *cfg_any, am_planar *image, am_planar *scratch, am_rng *rng) {
  const blur_cfg *cfg = cfg_any;
  am_gaussian_blur(image, scratch, cfg->kernel, am_rng_range(rng, cfg->sigma_min, cfg->sigma_max));
}

// ---- the table ---------------------------------------------------------------------------------

#define SCHEMA(op_name, op_doc, cfg_type, fields)                                      \
  {                                                                                    \
    .name = op_name, .doc = op_doc, .struct_bytes = sizeof(cfg_type), .field = fields, \
    .field_count = AM_COUNT_OF(fields)                                                 \
  }

static const am_schema flip_schema = SCHEMA("horizontal_flip", "mirrors the image", flip_cfg, flip_fields);
static const am_schema crop_schema =
    SCHEMA("random_crop", "pads, then cuts at a random place", crop_cfg, crop_fields);
static const am_schema rotation_schema =
    SCHEMA("rotation", "turns about the centre by a random angle", rotation_cfg, rotation_fields);
static const am_schema jitter_schema = SCHEMA(
    "color_jitter", "brightness, contrast, saturation and hue in random order", jitter_cfg, jitter_fields);
static const am_schema blur_schema =
    SCHEMA("gaussian_blur", "blurs by a random width", blur_cfg, blur_fields);
static const am_schema normalize_schema = {.name = "normalize",
                                           .doc = "(x - mean)/sd, as for evaluation; last"};

static const am_augment_op op_flip = {"horizontal_flip", "RandomHorizontalFlip", &flip_schema, NULL,
                                      flip_apply};
static const am_augment_op op_crop = {"random_crop", "RandomCrop with padding", &crop_schema, crop_check,
                                      crop_apply};
static const am_augment_op op_rotation = {"rotation", "RandomRotation", &rotation_schema, NULL,
                                          rotation_apply};
static const am_augment_op op_jitter = {"color_jitter", "ColorJitter", &jitter_schema, NULL, jitter_apply};
static const am_augment_op op_blur = {"gaussian_blur", "GaussianBlur", &blur_schema, blur_check, blur_apply};
static const am_augment_op op_normalize = {"normalize", "Normalize, which always comes last",
                                           &normalize_schema, NULL, NULL};
static const am_augment_op *const ops[] = {&op_flip, &op_crop,      &op_rotation, &op_jitter,
                                           &op_blur, &op_normalize, NULL};

const am_augment_op *const *am_augment_all(void) { return ops; }

const am_augment_op *am_augment_find(const char *name) {
  for (int i = 0; ops[i]; i++) {
    if (strcmp(ops[i]->name, name) == 0) return ops[i];
  }
  return NULL;
}
