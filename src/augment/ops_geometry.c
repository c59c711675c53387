// Ops that move pixels: their settings, and how torchvision draws their parameters.
#include <math.h>
#include <string.h>

#include "augment/ops_internal.h"
#include "augment/pixels.h"
#include "base/num.h"

// ---- horizontal_flip, vertical_flip ------------------------------------------------------------

#define FLIP_FIELDS(I, F, B, S, C) F(p, 0.5, 0, 1, "", "probability of a flip")
typedef struct {
  AM_STRUCT(FLIP_FIELDS)
} flip_cfg;
#define AM_FIELD_OF flip_cfg
static const am_field flip_fields[] = {AM_FIELDS(FLIP_FIELDS)};
#undef AM_FIELD_OF
static const am_schema flip_schema = AM_SCHEMA("horizontal_flip", "mirrors the image", flip_cfg, flip_fields);
static const am_schema vertical_schema =
    AM_SCHEMA("vertical_flip", "turns the image upside down, mirrored", flip_cfg, flip_fields);

static bool draw_flip(const void *cfg_any, am_rng *rng) {
  const flip_cfg *cfg = cfg_any;
  return am_rng_uniform(rng) < cfg->p;
}
static am_err flip_bytes(const void *cfg, am_canvas *image, am_rng *rng) {
  return draw_flip(cfg, rng) ? am_canvas_flip_horizontal(image) : AM_OK;
}
static am_err vertical_bytes(const void *cfg, am_canvas *image, am_rng *rng) {
  return draw_flip(cfg, rng) ? am_canvas_flip_vertical(image) : AM_OK;
}
static void flip_step(const void *cfg, am_augment_step *step) {
  step->kind = AM_STEP_FLIP_HORIZONTAL;
  step->params = 1;
}
static void vertical_step(const void *cfg, am_augment_step *step) {
  step->kind = AM_STEP_FLIP_VERTICAL;
  step->params = 1;
}
static void flip_draw(const void *cfg, const am_augment_step *step, am_rng *rng, float *param) {
  param[0] = draw_flip(cfg, rng) ? 1 : 0;
}

const am_augment_op am_op_horizontal_flip = {.name = "horizontal_flip",
                                             .doc = "RandomHorizontalFlip",
                                             .schema = &flip_schema,
                                             .apply_bytes = flip_bytes,
                                             .step = flip_step,
                                             .draw = flip_draw};
const am_augment_op am_op_vertical_flip = {.name = "vertical_flip",
                                           .doc = "RandomVerticalFlip",
                                           .schema = &vertical_schema,
                                           .apply_bytes = vertical_bytes,
                                           .step = vertical_step,
                                           .draw = flip_draw};

// ---- random_crop: RandomCrop with constant padding ---------------------------------------------

#define CROP_FIELDS(I, F, B, S, C)                                                    \
  I(size, 0, 0, 65536, "px", "height and width of the result; 0: those of the image") \
  I(padding, 4, 0, 4096, "px", "added on every side before the crop")                 \
  F(fill, 0, 0, 1, "", "value of the padding, rounded to 1/255")
typedef struct {
  AM_STRUCT(CROP_FIELDS)
} crop_cfg;
#define AM_FIELD_OF crop_cfg
static const am_field crop_fields[] = {AM_FIELDS(CROP_FIELDS)};
#undef AM_FIELD_OF
static const am_schema crop_schema =
    AM_SCHEMA("random_crop", "pads, then cuts at a random place", crop_cfg, crop_fields);

static am_err crop_check(void *cfg_any, const am_node *where, am_augment_size *size) {
  const crop_cfg *cfg = cfg_any;
  if (!cfg->size) return AM_OK;
  if (cfg->size > size->height + 2 * cfg->padding || cfg->size > size->width + 2 * cfg->padding) {
    return am_node_fail(where, "a crop of %lld px does not fit into %s%lld x %lld px padded by %lld",
                        (long long)cfg->size, size->fixed ? "" : "images that may have ",
                        (long long)size->width, (long long)size->height, (long long)cfg->padding);
  }
  size->height = size->width = cfg->size;
  size->fixed = true;
  return AM_OK;
}

// What a crop of a given size is drawn for.
static void put_corner(const am_rect *r, float *param) {
  param[0] = (float)r->top;
  param[1] = (float)r->left;
}

// Where the crop of a width x height image lies; the padding has negative coordinates.
static am_rect draw_crop(const crop_cfg *cfg, int64_t width, int64_t height, am_rng *rng) {
  am_rect r = {.width = cfg->size ? cfg->size : width, .height = cfg->size ? cfg->size : height};
  r.top = am_rng_below(rng, height + 2 * cfg->padding - r.height + 1) - cfg->padding;
  r.left = am_rng_below(rng, width + 2 * cfg->padding - r.width + 1) - cfg->padding;
  return r;
}
static uint8_t fill_level(const crop_cfg *cfg) { return (uint8_t)(255 * cfg->fill + 0.5); }

static am_err crop_bytes(const void *cfg, am_canvas *image, am_rng *rng) {
  am_rect r = draw_crop(cfg, image->width, image->height, rng);
  return am_canvas_crop(image, &r, fill_level(cfg));
}
static void crop_step(const void *cfg, am_augment_step *step) {
  step->kind = AM_STEP_CROP;
  step->params = 2;
  step->fill = (float)fill_level(cfg) / 255.0f;
}
static void crop_draw(const void *cfg, const am_augment_step *step, am_rng *rng, float *param) {
  am_rect r = draw_crop(cfg, step->in_width, step->in_height, rng);
  put_corner(&r, param);
}

const am_augment_op am_op_random_crop = {.name = "random_crop",
                                         .doc = "RandomCrop with padding",
                                         .schema = &crop_schema,
                                         .check = crop_check,
                                         .apply_bytes = crop_bytes,
                                         .step = crop_step,
                                         .draw = crop_draw};

// ---- center_crop: CenterCrop -------------------------------------------------------------------

#define CENTER_FIELDS(I, F, B, S, C) \
  I(size, 0, 0, 65536, "px",         \
    "height and width of the result, 0: those of the data set; a small image gets black edges")
typedef struct {
  AM_STRUCT(CENTER_FIELDS) int64_t width, height;
} center_cfg;
#define AM_FIELD_OF center_cfg
static const am_field center_fields[] = {AM_FIELDS(CENTER_FIELDS)};
#undef AM_FIELD_OF
static const am_schema center_schema =
    AM_SCHEMA("center_crop", "cuts out the middle", center_cfg, center_fields);

static am_err center_check(void *cfg_any, const am_node *where, am_augment_size *size) {
  center_cfg *cfg = cfg_any;
  size->width = cfg->width = cfg->size ? cfg->size : size->data_width;
  size->height = cfg->height = cfg->size ? cfg->size : size->data_height;
  size->fixed = true;
  return AM_OK;
}

static am_rect center_of(const center_cfg *cfg, int64_t width, int64_t height) {
  return (am_rect){.left = am_image_center(width, cfg->width),
                   .top = am_image_center(height, cfg->height),
                   .width = cfg->width,
                   .height = cfg->height};
}
static am_err center_bytes(const void *cfg, am_canvas *image, am_rng *rng) {
  am_rect r = center_of(cfg, image->width, image->height);
  return am_canvas_crop(image, &r, 0);
}
static void center_step(const void *cfg, am_augment_step *step) {
  step->kind = AM_STEP_CROP;
  step->params = 2;
}
static void center_draw(const void *cfg, const am_augment_step *step, am_rng *rng, float *param) {
  am_rect r = center_of(cfg, step->in_width, step->in_height);
  put_corner(&r, param);
}

const am_augment_op am_op_center_crop = {.name = "center_crop",
                                         .doc = "CenterCrop",
                                         .schema = &center_schema,
                                         .check = center_check,
                                         .apply_bytes = center_bytes,
                                         .step = center_step,
                                         .draw = center_draw,
                                         .frames = true};

// ---- resize: Resize(int) -----------------------------------------------------------------------

static am_resize_kind resize_kind(const char *word) {
  am_resize_kind kind = AM_RESIZE_BILINEAR;
  am_resize_kind_find(word, &kind);  // the schema lets only its words through
  return kind;
}

#define RESIZE_FIELDS(I, F, B, S, C)                                     \
  I(size, 256, 1, 65536, "px", "length of the short side of the result") \
  C(interpolation, "bilinear", "nearest|bilinear|bicubic|lanczos|box", "filter, antialiased as Pillow")
typedef struct {
  AM_STRUCT(RESIZE_FIELDS)
} resize_cfg;
#define AM_FIELD_OF resize_cfg
static const am_field resize_fields[] = {AM_FIELDS(RESIZE_FIELDS)};
#undef AM_FIELD_OF
static const am_schema resize_schema =
    AM_SCHEMA("resize", "brings the short side to a length", resize_cfg, resize_fields);

static am_err resize_check(void *cfg_any, const am_node *where, am_augment_size *size) {
  const resize_cfg *cfg = cfg_any;
  if (size->fixed)
    return am_image_short_side(size->width, size->height, cfg->size, &size->width, &size->height);
  size->width = size->height = cfg->size;
  return AM_OK;
}

static am_err resize_bytes(const void *cfg_any, am_canvas *image, am_rng *rng) {
  const resize_cfg *cfg = cfg_any;
  int64_t width = 0, height = 0;
  AM_TRY(am_image_short_side(image->width, image->height, cfg->size, &width, &height));
  am_rect all = {.width = image->width, .height = image->height};
  return am_canvas_resize(image, &all, width, height, resize_kind(cfg->interpolation), false);
}

const am_augment_op am_op_resize = {.name = "resize",
                                    .doc = "Resize of the short side",
                                    .schema = &resize_schema,
                                    .check = resize_check,
                                    .apply_bytes = resize_bytes,
                                    .frames = true};

// ---- random_resized_crop: RandomResizedCrop ----------------------------------------------------

#define RESIZED_FIELDS(I, F, B, S, C)                                                                \
  I(size, 0, 0, 65536, "px", "height and width of the result; 0: those of the data set")             \
  F(scale_min, 0.08, 1.0e-6, 1, "", "the crop's share of the area is uniform from here ...")         \
  F(scale_max, 1, 1.0e-6, 1, "", "... to here")                                                      \
  F(ratio_min, 0.75, 0.01, 100, "", "log(width/height) of the crop is uniform from log of this ...") \
  F(ratio_max, 1.3333333333333333, 0.01, 100, "", "... to log of this")                              \
  C(interpolation, "bilinear", "nearest|bilinear|bicubic|lanczos|box", "filter, antialiased as Pillow")
typedef struct {
  AM_STRUCT(RESIZED_FIELDS) int64_t width, height;
} resized_cfg;
#define AM_FIELD_OF resized_cfg
static const am_field resized_fields[] = {AM_FIELDS(RESIZED_FIELDS)};
#undef AM_FIELD_OF
static const am_schema resized_schema = AM_SCHEMA(
    "random_resized_crop", "cuts out a random part and brings it to one size", resized_cfg, resized_fields);

static am_rect_range resized_range(const resized_cfg *cfg) {
  return (am_rect_range){cfg->scale_min, cfg->scale_max, cfg->ratio_min, cfg->ratio_max};
}

static am_err resized_check(void *cfg_any, const am_node *where, am_augment_size *size) {
  resized_cfg *cfg = cfg_any;
  am_rect_range range = resized_range(cfg);
  AM_TRY(am_check_rect_range(where, &range));
  size->width = cfg->width = cfg->size ? cfg->size : size->data_width;
  size->height = cfg->height = cfg->size ? cfg->size : size->data_height;
  size->fixed = true;
  return AM_OK;
}

// Ten attempts, then the largest part in the middle whose ratio is allowed.
static am_rect draw_resized(const resized_cfg *cfg, int64_t width, int64_t height, am_rng *rng) {
  am_rect_range range = resized_range(cfg);
  for (int attempt = 0; attempt < AM_RECT_ATTEMPTS; attempt++) {
    am_rect r = {0};
    am_draw_sides(rng, &range, (double)width * (double)height, &r.width, &r.height);
    if (r.width < 1 || r.width > width || r.height < 1 || r.height > height) continue;
    r.top = am_rng_below(rng, height - r.height + 1);
    r.left = am_rng_below(rng, width - r.width + 1);
    return r;
  }
  am_rect r = {.width = width, .height = height};
  double ratio = (double)width / (double)height;
  if (ratio < cfg->ratio_min) r.height = am_max_i64(1, (int64_t)nearbyint((double)width / cfg->ratio_min));
  if (ratio > cfg->ratio_max) r.width = am_max_i64(1, (int64_t)nearbyint((double)height * cfg->ratio_max));
  r.top = (height - r.height) / 2;
  r.left = (width - r.width) / 2;
  return r;
}

// Nearest picks single pixels, of which a reduced picture has others.
static am_err resized_bytes(const void *cfg_any, am_canvas *image, am_rng *rng) {
  const resized_cfg *cfg = cfg_any;
  am_rect r = draw_resized(cfg, image->width, image->height, rng);
  am_resize_kind kind = resize_kind(cfg->interpolation);
  return am_canvas_resize(image, &r, cfg->width, cfg->height, kind, kind != AM_RESIZE_NEAREST);
}

const am_augment_op am_op_random_resized_crop = {.name = "random_resized_crop",
                                                 .doc = "RandomResizedCrop",
                                                 .schema = &resized_schema,
                                                 .check = resized_check,
                                                 .apply_bytes = resized_bytes,
                                                 .frames = true};

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
static const am_schema rotation_schema =
    AM_SCHEMA("rotation", "turns about the centre by a random angle", rotation_cfg, rotation_fields);

static void rotation_step(const void *cfg_any, am_augment_step *step) {
  const rotation_cfg *cfg = cfg_any;
  step->kind = AM_STEP_ROTATE;
  step->params = 4;
  step->bilinear = strcmp(cfg->interpolation, "bilinear") == 0;
  step->fill = (float)cfg->fill;
}

static void rotation_draw(const void *cfg_any, const am_augment_step *step, am_rng *rng, float *param) {
  const rotation_cfg *cfg = cfg_any;
  double degrees = am_rng_range(rng, -cfg->degrees, cfg->degrees);
  am_rotation_matrix(degrees, step->height, step->width, param);
}

const am_augment_op am_op_rotation = {.name = "rotation",
                                      .doc = "RandomRotation",
                                      .schema = &rotation_schema,
                                      .step = rotation_step,
                                      .draw = rotation_draw};
