// The artwork of the drawn road signs as layers of signed distances; used by sign_scene.c and signs.c.
//
// A sign lives in the square [-1, 1]^2, u to the right, v down. Each layer has a shape and a paint
// and lies on the layers before it; layer 0 is the outline of the plate. Distances are in the same unit,
// negative inside, so a pixel's coverage is a ramp over its own width.
//
// Only +, -, *, /, sqrt and floor are used (no libm functions that differ between machines).
#ifndef AM_DATA_SIGN_ART_H
#define AM_DATA_SIGN_ART_H

enum { AM_SIGN_LAYERS = 6 };
typedef enum {
  AM_PAINT_RED,
  AM_PAINT_BLUE,
  AM_PAINT_FACE,
  AM_PAINT_WHITE,
  AM_PAINT_INK,
  AM_PAINTS
} am_sign_paint;

// How one sign differs from another of its class: makers, years, countries.
typedef struct {
  float border;  // width of the red border
  float weight;  // half the width of a stroke of the symbol
  float size;    // of the symbol
  float shift_u, shift_v;
  float rim;  // width of the white rim around some signs; 0: none
} am_sign_style;

typedef struct {
  float distance;
  am_sign_paint paint;
} am_sign_layer;

const char *am_sign_art_name(int k);
// The layers of class k at (u, v); returns how many.
int am_sign_art(int k, const am_sign_style *style, float u, float v, am_sign_layer out[AM_SIGN_LAYERS]);

#endif
