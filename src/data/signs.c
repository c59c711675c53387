// The drawn data set: which images there are, and the way from a number to a picture.
#include "data/signs.h"

#include <string.h>

#include "base/rng.h"
#include "data/sign_paint.h"
#include "data/sign_scene.h"

_Static_assert((int)AM_SIGNS_SIZE == (int)AM_SCENE_SIDE, "the scene is the picture");

// All images come from one seed: the data set is always the same.
static const uint64_t signs_seed = 0x5169;

const char *am_signs_class_name(int k) { return am_sign_art_name(k); }

const char *am_signs_split_name(am_signs_split split) {
  static const char *const name[AM_SIGNS_SPLITS] = {"train", "val", "test", "shifted", "sketch"};
  return name[split];
}

int64_t am_signs_count(am_signs_split split, int k) {
  // The class sizes of the 277 training photographs of Leal and Trenti's traffic signs.
  static const int64_t train[AM_SIGNS_CLASSES] = {54, 20, 8, 17, 19, 17, 10, 23, 31, 78};
  if (split == AM_SIGNS_TRAIN) return train[k];
  return split == AM_SIGNS_VAL ? 20 : 40;
}

static am_sign_style draw_style(am_rng *rng) {
  am_sign_style style;
  style.border = am_draw_f(rng, 0.14f, 0.24f);
  style.weight = am_draw_f(rng, 0.075f, 0.125f);
  style.size = am_draw_f(rng, 0.88f, 1.06f);
  style.shift_u = am_draw_f(rng, -0.03f, 0.03f);
  style.shift_v = am_draw_f(rng, -0.03f, 0.03f);
  style.rim = am_draw_chance(rng, 0.4) ? am_draw_f(rng, 0.02f, 0.06f) : 0;
  return style;
}

static void photograph(am_scene *s, am_signs_split split, int k, am_rng *rng, uint8_t *mask) {
  bool shifted = split == AM_SIGNS_SHIFTED;
  am_weather weather = shifted ? (am_weather)(1 + am_rng_below(rng, AM_WEATHERS - 1)) : AM_WEATHER_FAIR;
  am_sign_view view = shifted ? am_scene_view(rng, 0.1f, 19, 4) : am_scene_view(rng, 0.06f, 23, 2.5f);
  am_sign_style style = draw_style(rng);
  if (shifted) {
    am_scene_far_surroundings(s, rng);
  } else {
    am_scene_surroundings(s, rng);
  }
  if (weather == AM_WEATHER_NIGHT) {
    float dark = am_draw_f(rng, 0.04f, 0.16f);
    for (int i = 0; i < AM_SCENE_PIXELS; i++) {
      for (int c = 0; c < 3; c++) s->rgb[i][c] *= dark;
    }
  }
  am_scene_put_sign(s, k, &view, &style, weather, rng, mask);
  if (weather == AM_WEATHER_FAIR) am_scene_shade(s, rng);
  am_scene_weather(s, weather, rng);
  am_scene_photograph(s, weather, rng);
}

static void draw(am_scene *s, am_signs_split split, int k, am_rng *rng, uint8_t *mask) {
  if (split != AM_SIGNS_SKETCH) {
    photograph(s, split, k, rng, mask);
    return;
  }
  am_sign_view view = am_scene_view(rng, 0.05f, 20, 4);
  am_sign_style style = draw_style(rng);
  am_scene_sketch(s, k, &view, &style, rng, mask);
}

am_err am_signs_draw(am_signs_split split, int k, int64_t i, am_image *image, am_image *mask) {
  AM_CHECK(k >= 0 && k < AM_SIGNS_CLASSES && i >= 0 && i < am_signs_count(split, k), AM_ERR_ARG,
           "signs: there is no image %lld of class %d in split %d", (long long)i, k, (int)split);
  am_image picture = {0}, region = {0};
  am_scene scene;
  am_rng rng = am_rng_at(signs_seed, AM_RNG_SIGNS, (uint64_t)split << 40 | (uint64_t)k << 32 | (uint64_t)i);
  AM_TRY(am_image_new(AM_SIGNS_SIZE, AM_SIGNS_SIZE, 3, &picture));
  am_err err = mask ? am_image_new(AM_SIGNS_SIZE, AM_SIGNS_SIZE, 1, &region) : AM_OK;
  if (err) {
    am_image_fini(&picture);
    return err;
  }
  draw(&scene, split, k, &rng, region.pixel);
  for (int p = 0; p < AM_SCENE_PIXELS; p++) {
    for (int c = 0; c < 3; c++)
      picture.pixel[3 * p + c] = (uint8_t)(255 * am_clamp_f(scene.rgb[p][c], 0, 1) + 0.5f);
  }
  *image = picture;
  if (mask) *mask = region;
  return AM_OK;
}
