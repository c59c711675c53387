#include "data/sign_art.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
  float x, y;
} point;

static float min_f(float a, float b) { return a < b ? a : b; }
static float max_f(float a, float b) { return a > b ? a : b; }
static float clamp_f(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }
static float length_of(float x, float y) { return sqrtf(x * x + y * y); }

// ---- shapes ----

static float disc(point p, point center, float radius) {
  return length_of(p.x - center.x, p.y - center.y) - radius;
}

static float box(point p, point center, float half_w, float half_h) {
  float x = fabsf(p.x - center.x) - half_w, y = fabsf(p.y - center.y) - half_h;
  return length_of(max_f(x, 0), max_f(y, 0)) + min_f(max_f(x, y), 0);
}

static float segment(point p, point a, point b) {
  float bx = b.x - a.x, by = b.y - a.y, px = p.x - a.x, py = p.y - a.y;
  float t = clamp_f((px * bx + py * by) / (bx * bx + by * by), 0, 1);
  return length_of(px - t * bx, py - t * by);
}

// Distance to the part of a circle that faces `toward` (a unit vector): angles whose cosine with it
// is at least `reach`.
static float arc(point p, point center, float radius, point toward, float reach) {
  float x = p.x - center.x, y = p.y - center.y, r = length_of(x, y);
  if (x * toward.x + y * toward.y >= reach * r) return fabsf(r - radius);
  float side = x * toward.y - y * toward.x > 0 ? 1.0f : -1.0f;  // the nearer end
  float s = side * sqrtf(1 - reach * reach);
  float end_x = radius * (reach * toward.x + s * toward.y),
        end_y = radius * (reach * toward.y - s * toward.x);
  return length_of(x - end_x, y - end_y);
}

// A triangle as the largest distance to its sides, whichever way round its corners are.
static float triangle_of(point p, const point corner[3]) {
  point c0 = corner[0], c1 = corner[1], c2 = corner[2];
  float turn = (c1.x - c0.x) * (c2.y - c0.y) - (c1.y - c0.y) * (c2.x - c0.x) > 0 ? 1.0f : -1.0f, d = -10;
  for (int i = 0; i < 3; i++) {
    point a = corner[i], b = corner[(i + 1) % 3];
    float ex = b.x - a.x, ey = b.y - a.y;
    d = max_f(d, turn * ((p.x - a.x) * ey - (p.y - a.y) * ex) / length_of(ex, ey));
  }
  return d;
}

// The plate of a warning sign: a disc cuts its corners off.
static float warning(point p, float grow) {
  static const point corner[3] = {{0, -0.86f}, {-0.86f, 0.62f}, {0.86f, 0.62f}}, middle = {0, 0.127f};
  return max_f(triangle_of(p, corner), disc(p, middle, 0.92f)) - grow;
}

static float octagon(point p, float grow) {
  static const float apothem = 0.93f, diagonal = 0.70710678f;
  float x = fabsf(p.x), y = fabsf(p.y);
  return max_f(max_f(x, y), (x + y) * diagonal) - apothem - grow;
}

// ---- symbols; p is in the symbol's own square ----

static float digit_0(point p) { return fabsf(segment(p, (point){0, -0.26f}, (point){0, 0.26f}) - 0.24f); }
static float digit_3(point p) {
  float upper = arc(p, (point){-0.02f, -0.25f}, 0.25f, (point){0.94f, -0.34f}, -0.64f);
  float lower = arc(p, (point){-0.02f, 0.24f}, 0.26f, (point){0.94f, 0.34f}, -0.64f);
  return min_f(upper, lower);
}
static float digit_5(point p) {
  float top = segment(p, (point){-0.19f, -0.5f}, (point){0.2f, -0.5f});
  float stem = segment(p, (point){-0.19f, -0.5f}, (point){-0.22f, -0.08f});
  float bowl = arc(p, (point){-0.03f, 0.19f}, 0.3f, (point){0.96f, 0.28f}, -0.72f);
  return min_f(min_f(top, stem), bowl);
}
static float digit_8(point p) {
  return min_f(fabsf(disc(p, (point){0, -0.26f}, 0.22f)), fabsf(disc(p, (point){0, 0.24f}, 0.26f)));
}

// Two digits side by side, the second a zero.
static float tens(point p, float (*first)(point)) {
  point a = {p.x + 0.34f, p.y}, b = {p.x - 0.34f, p.y};
  return min_f(first(a), digit_0(b));
}

static float letters_stop(point p) {
  point s = {p.x + 0.66f, p.y}, t = {p.x + 0.22f, p.y}, o = {p.x - 0.22f, p.y}, q = {p.x - 0.6f, p.y};
  float d = arc(s, (point){0, -0.16f}, 0.15f, (point){-0.7f, -0.7f}, -0.6f);
  d = min_f(d, arc(s, (point){0, 0.15f}, 0.16f, (point){0.7f, 0.7f}, -0.6f));
  d = min_f(d, segment(t, (point){-0.17f, -0.31f}, (point){0.17f, -0.31f}));
  d = min_f(d, segment(t, (point){0, -0.31f}, (point){0, 0.31f}));
  d = min_f(d, fabsf(segment(o, (point){0, -0.15f}, (point){0, 0.15f}) - 0.15f));
  d = min_f(d, segment(q, (point){-0.1f, -0.31f}, (point){-0.1f, 0.31f}));
  d = min_f(d, segment(q, (point){-0.1f, -0.31f}, (point){0.03f, -0.31f}));
  d = min_f(d, segment(q, (point){-0.1f, 0.0f}, (point){0.03f, 0.0f}));
  return min_f(d, arc(q, (point){0.03f, -0.155f}, 0.155f, (point){1, 0}, 0));
}

static float arrow_head(point p, point tip, point direction, float size) {
  point back = {tip.x - direction.x * size, tip.y - direction.y * size};
  const point corner[3] = {tip,
                           {back.x + direction.y * size * 0.75f, back.y - direction.x * size * 0.75f},
                           {back.x - direction.y * size * 0.75f, back.y + direction.x * size * 0.75f}};
  return triangle_of(p, corner);
}

static float bent_arrow(point p, float weight) {
  float d = segment(p, (point){0.16f, 0.5f}, (point){0.16f, 0.14f});
  d = min_f(d, segment(p, (point){0.16f, 0.14f}, (point){-0.1f, -0.16f})) - weight;
  return min_f(d, arrow_head(p, (point){-0.3f, -0.42f}, (point){-0.61f, -0.79f}, 0.36f));
}

static float walker(point p, float weight) {
  float d = disc(p, (point){0.03f, -0.42f}, 0.11f);
  float limbs = segment(p, (point){0.02f, -0.24f}, (point){-0.02f, 0.08f}) - 0.3f * weight;
  limbs = min_f(limbs, segment(p, (point){-0.02f, 0.08f}, (point){0.18f, 0.48f}));
  limbs = min_f(limbs, segment(p, (point){-0.02f, 0.08f}, (point){-0.22f, 0.46f}));
  limbs = min_f(limbs, segment(p, (point){0.02f, -0.2f}, (point){0.24f, 0.02f}));
  limbs = min_f(limbs, segment(p, (point){0.02f, -0.2f}, (point){-0.2f, 0.04f}));
  d = min_f(d, limbs - weight);
  for (int i = -1; i <= 1; i++) d = min_f(d, box(p, (point){0.34f * (float)i, 0.64f}, 0.1f, 0.05f));
  return d;
}

static float arrow_up(point p, float weight) {
  return min_f(segment(p, (point){0, 0.55f}, (point){0, -0.15f}) - 1.3f * weight,
               arrow_head(p, (point){0, -0.66f}, (point){0, -1}, 0.5f));
}
static float arrow_turn(point p, float weight) {
  float d = segment(p, (point){-0.28f, 0.55f}, (point){-0.28f, -0.1f});
  d = min_f(d, segment(p, (point){-0.28f, -0.1f}, (point){0.12f, -0.1f})) - 1.3f * weight;
  return min_f(d, arrow_head(p, (point){0.62f, -0.1f}, (point){1, 0}, 0.5f));
}

// ---- signs ----

typedef enum {
  PLATE_RING,
  PLATE_RED_DISC,
  PLATE_BLUE_DISC,
  PLATE_OCTAGON,
  PLATE_TRIANGLE,
  PLATE_YIELD
} plate;

static float draw_30(point p, float w) { return tens(p, digit_3) - w; }
static float draw_50(point p, float w) { return tens(p, digit_5) - w; }
static float draw_80(point p, float w) { return tens(p, digit_8) - w; }
static float draw_bar(point p, float w) { return box(p, (point){0, 0}, 0.78f, 0.22f); }
static float draw_stop(point p, float w) { return letters_stop(p) - 0.75f * w; }

typedef struct {
  const char *name;
  plate plate;
  float (*symbol)(point p, float weight);  // NULL: none
  float size, down;                        // of the symbol, on the plate
} sign;

// In the order of am_signs_count's class sizes: the three speed limits, the two warnings and the two
// orders are alike, and each of these families has a common and a rarer member.
static const sign signs[] = {
    {"speed-30", PLATE_RING, draw_30, 0.86f, 0},        {"no-entry", PLATE_RED_DISC, draw_bar, 0.88f, 0},
    {"stop", PLATE_OCTAGON, draw_stop, 0.92f, 0},       {"yield", PLATE_YIELD, NULL, 1, 0},
    {"crossing", PLATE_TRIANGLE, walker, 0.66f, 0.06f}, {"bend", PLATE_TRIANGLE, bent_arrow, 0.66f, 0.12f},
    {"ahead", PLATE_BLUE_DISC, arrow_up, 0.88f, 0},     {"speed-80", PLATE_RING, draw_80, 0.86f, 0},
    {"speed-50", PLATE_RING, draw_50, 0.86f, 0},        {"turn-right", PLATE_BLUE_DISC, arrow_turn, 0.88f, 0},
};

const char *am_sign_art_name(int k) { return signs[k].name; }

// The outline of a plate, its sides moved outwards by `grow`.
static float plate_distance(plate which, point p, float grow) {
  static const point middle = {0, 0};
  switch (which) {
    case PLATE_OCTAGON:
      return octagon(p, grow);
    case PLATE_TRIANGLE:
      return warning(p, grow);
    case PLATE_YIELD:
      return warning((point){p.x, -p.y}, grow);
    default:
      return disc(p, middle, 0.95f + grow);
  }
}

int am_sign_art(int k, const am_sign_style *style, float u, float v, am_sign_layer out[AM_SIGN_LAYERS]) {
  const sign *s = &signs[k];
  point p = {u, v};
  int n = 0;
  bool bordered = s->plate == PLATE_RING || s->plate == PLATE_TRIANGLE || s->plate == PLATE_YIELD;
  am_sign_paint ground = s->plate == PLATE_BLUE_DISC ? AM_PAINT_BLUE : AM_PAINT_RED;
  if (style->rim > 0) out[n++] = (am_sign_layer){plate_distance(s->plate, p, 0), AM_PAINT_WHITE};
  out[n++] = (am_sign_layer){plate_distance(s->plate, p, -style->rim), ground};
  if (bordered) {
    // The border of a triangle is measured across its sides and looks thinner than a ring's.
    float border = s->plate == PLATE_RING ? style->border : 0.8f * style->border;
    out[n++] = (am_sign_layer){plate_distance(s->plate, p, -style->rim - border), AM_PAINT_FACE};
  }
  if (s->symbol) {
    float size = s->size * style->size;
    point q = {(u - style->shift_u) / size, (v - style->shift_v - s->down) / size};
    out[n++] = (am_sign_layer){s->symbol(q, style->weight) * size, bordered ? AM_PAINT_INK : AM_PAINT_WHITE};
  }
  return n;
}
