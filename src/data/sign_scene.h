// What stands between the artwork of a sign and a photograph of it: surroundings, camera, light, wear,
// weather, lens and sensor. Used by signs.c.
//
// Colours are floats, 0 to 1 as displayed, (AM_SCENE_SIDE, AM_SCENE_SIDE, 3). Every function takes what
// it needs from the random stream in a fixed order: one draw to a declarator or statement, never two
// among the arguments of a call or in braces, whose order is the compiler's. No libm functions that
// differ between machines.
#ifndef AM_DATA_SIGN_SCENE_H
#define AM_DATA_SIGN_SCENE_H

#include <stdbool.h>

#include "base/rng.h"
#include "data/sign_art.h"

enum { AM_SCENE_SIDE = 64, AM_SCENE_PIXELS = AM_SCENE_SIDE * AM_SCENE_SIDE };
typedef struct {
  float rgb[AM_SCENE_PIXELS][3];
} am_scene;

typedef enum {
  AM_WEATHER_FAIR,
  AM_WEATHER_FOG,
  AM_WEATHER_RAIN,
  AM_WEATHER_SNOW,
  AM_WEATHER_NIGHT,
  AM_WEATHERS
} am_weather;

// From pixels to the sign's square, and the size of a pixel there.
typedef struct {
  float m[9];
} am_sign_view;

// The view of a sign that is turned, tilted and off centre: `turn` is the largest angle out of the
// picture plane, as a fraction of a full turn; `smallest` radius and `off` centre are in pixels.
am_sign_view am_scene_view(am_rng *rng, float turn, float smallest, float off);
// (x, y) in pixels; *pixel is the width of one pixel at (*u, *v).
void am_scene_locate(const am_sign_view *view, float x, float y, float *u, float *v, float *pixel);

void am_scene_surroundings(am_scene *s, am_rng *rng);      // sky, trees, houses, road
void am_scene_far_surroundings(am_scene *s, am_rng *rng);  // sand, brick, snow, blank walls
// Draws sign k with wear, light and a pole; mask (may be NULL) gets 255 on the sign.
void am_scene_put_sign(am_scene *s, int k, const am_sign_view *view, const am_sign_style *style,
                       am_weather weather, am_rng *rng, unsigned char *mask);
void am_scene_shade(am_scene *s, am_rng *rng);  // light and shadow over all of it
void am_scene_weather(am_scene *s, am_weather weather, am_rng *rng);
void am_scene_photograph(am_scene *s, am_weather weather, am_rng *rng);  // lens, exposure, sensor
// A pencil or pen drawing of sign k on paper.
void am_scene_sketch(am_scene *s, int k, const am_sign_view *view, const am_sign_style *style, am_rng *rng,
                     unsigned char *mask);

#endif
