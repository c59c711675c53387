// What a pixel of a resampled image is made of, along one axis; for the processor and for cards (AM_ELEMENT_FN, as in
// element_rules.h).
#ifndef AM_TENSOR_RESAMPLE_RULES_H
#define AM_TENSOR_RESAMPLE_RULES_H

#include "tensor/backend.h"
#include "tensor/element_rules.h"

// ---- interpolation: PyTorch's area_pixel_compute_source_index ----

typedef struct {
  am_resample_kind kind;
  int64_t in, out;     // lengths
  double step;         // pixels of the input for one of the result
  float nearest_step;  // PyTorch finds the nearest pixel in f32, whatever the type of the image
} am_resample_axis;

AM_ELEMENT_FN am_resample_axis am_resample_axis_of(am_resample_kind kind, int64_t in, int64_t out) {
  am_resample_axis a;
  a.kind = kind;
  a.in = in;
  a.out = out;
  a.step = (double)in / (double)out;
  a.nearest_step = (float)in / (float)out;
  return a;
}

// Two neighbours, or the same pixel twice.
typedef struct {
  int64_t first, second;
  double weight;  // of the second one; the first has the rest
} am_resample_place;

AM_ELEMENT_FN am_resample_place am_resample_at(const am_resample_axis *a, int64_t o) {
  am_resample_place p;
  double source = ((double)o + 0.5) * a->step - 0.5;
  if (source < 0) source = 0;
  p.first = a->kind == AM_RESAMPLE_NEAREST ? (int64_t)((float)o * a->nearest_step) : (int64_t)source;
  if (p.first > a->in - 1) p.first = a->in - 1;
  p.second = a->kind == AM_RESAMPLE_NEAREST || p.first == a->in - 1 ? p.first : p.first + 1;
  p.weight = p.second > p.first ? source - (double)p.first : 0;
  return p;
}

AM_ELEMENT_FN double am_resample_weight(am_resample_place p, int64_t i) {
  return (p.first == i ? 1 - p.weight : 0) + (p.second == i ? p.weight : 0);
}

// The first pixel of the result that reads pixel i of the input, or one behind it: those that read i follow from here, up to
// the first whose `first` is beyond i. The estimate is one or two short of it, so that nothing that is rounded takes it too far.
AM_ELEMENT_FN int64_t am_resample_reader(const am_resample_axis *a, int64_t i) {
  const double half = a->kind == AM_RESAMPLE_NEAREST ? 0 : 0.5;
  const double estimate = floor(((double)i - half) / a->step - half) - 1;
  int64_t o = estimate > 0 ? (int64_t)estimate : 0;
  while (o < a->out && am_resample_at(a, o).second < i) o++;
  return o;
}

// ---- upsample, filter, downsample ----

typedef struct {
  int64_t in, taps, up, down, pad;  // pad: before the first pixel
} am_fir_axis;

// The taps that meet pixels: `count` of them from `tap` on, `up` apart, meet as many neighbours from `pixel` on. Taps are counted
// as the filter lies on the image.
typedef struct {
  int64_t tap, pixel, count;
} am_fir_span;

AM_ELEMENT_FN am_fir_span am_fir_at(const am_fir_axis *a, int64_t o) {
  am_fir_span s;
  const int64_t start = o * a->down - a->pad;  // of the filter, in upsampled pixels
  s.tap = start < 0 ? -start : (a->up - start % a->up) % a->up;
  s.pixel = (start + s.tap) / a->up;
  s.count = s.tap < a->taps ? (a->taps - 1 - s.tap) / a->up + 1 : 0;
  if (s.count > a->in - s.pixel) s.count = a->in - s.pixel;
  if (s.count <= 0) s.tap = s.pixel = s.count = 0;
  return s;
}

#endif
