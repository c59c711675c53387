// Cases of filters that change the size of images, and of interpolation and its gradient.
#include <math.h>

#include "base/num.h"
#include "base/rng.h"
#include "op_cases.h"

// ---- upsample, filter, downsample ----

typedef struct {
  int64_t n, c, h, w, kh, kw;
  am_upfirdn2d_desc d;
} fir_geometry;

#define UP(h, w) .up_h = (h), .up_w = (w)
#define DOWN(h, w) .down_h = (h), .down_w = (w)
#define PADS(top, bottom, left, right) .pad_top = (top), .pad_bottom = (bottom), .pad_left = (left), .pad_right = (right)

static const fir_geometry firs[] = {
  {2, 3, 8, 8, 4, 4, {UP(2, 2), PADS(2, 1, 2, 1), .gain = 4}},          // StyleGAN2: an image to twice its size
  {2, 32, 9, 9, 4, 4, {PADS(1, 1, 1, 1), .gain = 4}},                   // behind a transposed convolution
  {2, 16, 8, 8, 4, 4, {DOWN(2, 2), PADS(1, 1, 1, 1)}},                  // to half its size
  {1, 48, 8, 6, 4, 4, {PADS(2, 2, 2, 2)}},                              // before a convolution with stride 2
  {1, 3, 16, 40, 1, 12, {UP(1, 2), PADS(0, 0, 6, 5), .gain = 2}},       // ADA's low-pass, along rows
  {1, 3, 32, 20, 12, 1, {DOWN(2, 1), PADS(-2, -3, 0, 0), .flip_filter = true}},
  {1, 1, 1, 1, 1, 1, {.gain = -0.5}},
  {2, 5, 1, 1, 3, 3, {UP(3, 2), PADS(2, 2, 2, 2)}},                     // from one place
  {3, 16, 1, 1, 2, 2, {UP(2, 2), PADS(1, 0, 1, 0)}},
  {2, 16, 3, 3, 3, 3, {0}},                                             // to one place
  {2, 7, 5, 5, 2, 3, {UP(2, 3), DOWN(3, 2), PADS(1, 2, 0, 3), .flip_filter = true}},
  {2, 16, 5, 6, 3, 5, {UP(3, 3), DOWN(2, 2), PADS(2, 1, 4, 2)}},
  {1, 2, 6, 70, 3, 3, {UP(4, 4), DOWN(2, 6), PADS(1, 1, 1, 1)}},        // rates with a common factor
  {1, 2, 4, 5, 2, 2, {UP(2, 2), PADS(-3, 9, 9, -3)}},                   // rows and columns of nothing but zeros
  {1, 3, 7, 9, 2, 2, {DOWN(3, 3), PADS(-2, -1, -4, 0)}},
  {1, 2, 3, 4, 2, 5, {UP(5, 7), PADS(0, 0, 0, 0)}},                     // zeros that no tap leaves
  {2, 24, 33, 35, 4, 4, {UP(2, 2), PADS(2, 1, 2, 1), .gain = 4}},       // more than one piece for each thread
  {3, 64, 17, 18, 4, 4, {DOWN(2, 2), PADS(1, 1, 1, 1)}},
};

// Sums of products of N(0, 1): what is rounded is of the size of the root of how many there are.
static am_err fir_case(op_cases *cases, const fir_geometry *g) {
  const double gain = g->d.gain == 0 ? 1 : fabs(g->d.gain);
  const op_case c = {.op = AM_OP_upfirdn2d, .desc.upfirdn2d = g->d, .tolerance = TOL_SUM,
                     .in = {op_floats(AM_SHAPE(g->n, g->c, g->h, g->w), VALUES_NORMAL),
                            op_floats(AM_SHAPE(g->kh, g->kw), VALUES_NORMAL)},
                     .scale = gain * sqrt((double)(g->kh * g->kw))};
  return op_cases_add(cases, c);
}

// Pads from cropping to wider than the filter, so that something is left for it.
static void draw_axis(am_rng *rng, int64_t *length, int64_t *taps, int64_t *up, int64_t *down, int64_t *before,
                      int64_t *after) {
  *length = 1 + am_rng_below(rng, 24);
  *taps = 1 + am_rng_below(rng, 7);
  *up = 1 + am_rng_below(rng, 4);
  *down = 1 + am_rng_below(rng, 4);
  *before = am_rng_below(rng, 12) - 4;
  *after = am_rng_below(rng, 12) - 4;
  *after += am_max_i64(0, *taps - (*length * *up + *before + *after));
}

static am_err fir_cases(op_cases *cases) {
  static const int64_t channels[] = {1, 3, 8, 16, 21, 32};
  am_rng rng = am_rng_at(21, AM_RNG_TEST, 0);
  for (int i = 0; i < AM_COUNT_OF(firs); i++) AM_TRY(fir_case(cases, &firs[i]));
  for (int i = 0; i < 60; i++) {
    fir_geometry g = {.n = 1 + am_rng_below(&rng, 2), .c = channels[am_rng_below(&rng, AM_COUNT_OF(channels))]};
    am_upfirdn2d_desc *d = &g.d;
    draw_axis(&rng, &g.h, &g.kh, &d->up_h, &d->down_h, &d->pad_top, &d->pad_bottom);
    draw_axis(&rng, &g.w, &g.kw, &d->up_w, &d->down_w, &d->pad_left, &d->pad_right);
    d->flip_filter = am_rng_below(&rng, 2) == 1;
    AM_TRY(fir_case(cases, &g));
  }
  return AM_OK;
}

// ---- interpolation ----

static const struct {
  int64_t n, c, h, w, out_h, out_w;
} sizes[] = {
  {2, 3, 8, 8, 16, 16}, {2, 16, 8, 8, 16, 16}, {1, 24, 9, 5, 18, 10}, {3, 32, 4, 4, 1, 1}, {2, 5, 1, 1, 4, 3},
  {2, 16, 1, 1, 3, 2},  {2, 4, 6, 7, 6, 7},    {1, 48, 7, 7, 3, 4},   {2, 3, 12, 10, 6, 5}, {1, 7, 5, 70, 9, 45},
  {1, 2, 3, 1, 10, 1},  {1, 1, 1, 1, 1, 1},    {1, 2, 2, 3, 37, 41},  {1, 2, 37, 41, 2, 3}, {2, 64, 16, 17, 32, 34},
  {1, 1, 3, 96, 7, 192},
};

// A place of the larger image is a mean of up to four pixels; one of the gradient adds up as many as read it.
static am_err resample_family(op_cases *cases, am_shape large, int64_t out_h, int64_t out_w) {
  const am_shape result = AM_SHAPE(large.dim[0], large.dim[1], out_h, out_w);
  const double readers = ceil(2.0 * (double)out_h / (double)large.dim[2]) * ceil(2.0 * (double)out_w / (double)large.dim[3]);
  for (int kind = AM_RESAMPLE_NEAREST; kind <= AM_RESAMPLE_BILINEAR; kind++) {
    am_resample2d_desc d = {(am_resample_kind)kind, out_h, out_w, large.dim[2], large.dim[3]};
    op_case c = {.op = AM_OP_resample2d, .desc.resample2d = d, .in = {op_floats(large, VALUES_NORMAL)}};
    c.tolerance = kind == AM_RESAMPLE_NEAREST ? TOL_EXACT : TOL_ROUNDED;
    c.scale = 1;
    AM_TRY(op_cases_add(cases, c));
    c = (op_case){.op = AM_OP_resample2d_grad, .desc.resample2d_grad = d, .in = {op_floats(result, VALUES_NORMAL)},
                  .tolerance = TOL_SUM, .scale = sqrt(readers)};
    AM_TRY(op_cases_add(cases, c));
  }
  const am_resample2d_desc d = {AM_RESAMPLE_NEAREST, out_h, out_w, 0, 0};
  return op_cases_add(cases, (op_case){.op = AM_OP_resample2d, .desc.resample2d = d, .in = {op_floats(large, VALUES_SPECIAL)}});
}

am_err op_cases_resample(op_cases *cases) {
  static const int64_t channels[] = {1, 3, 8, 16, 21, 32};
  am_rng rng = am_rng_at(22, AM_RNG_TEST, 0);
  AM_TRY(fir_cases(cases));
  for (int i = 0; i < AM_COUNT_OF(sizes); i++) {
    const am_shape large = AM_SHAPE(sizes[i].n, sizes[i].c, sizes[i].h, sizes[i].w);
    AM_TRY(resample_family(cases, large, sizes[i].out_h, sizes[i].out_w));
  }
  for (int i = 0; i < 40; i++) {
    const int64_t c = channels[am_rng_below(&rng, AM_COUNT_OF(channels))];
    const int64_t h = 1 + am_rng_below(&rng, 30), w = 1 + am_rng_below(&rng, 30);
    AM_TRY(resample_family(cases, AM_SHAPE(1, c, h, w), 1 + am_rng_below(&rng, 40), 1 + am_rng_below(&rng, 40)));
  }
  return AM_OK;
}
