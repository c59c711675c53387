// Online transforms: the steps of a program on every image of a batch (tensor/augment.h). Must match augment/apply.c to the bit.
//
// One team an image, whose members share its pixels. Between steps the image lies in one of two pieces of `room`, and
// members wait for each other; all that decides who waits (steps, parameters, sizes) is the same for all of them.
#include "backend/cuda/kernels/launch.h"

#define AM_AUGMENT_FN AM_ON_CARD
#include "tensor/augment_rules.h"

typedef struct {
  am_augment_program p;
  const uint8_t *bytes;
  const float *params;
  int64_t count;
  float *room;  // (count, 2, p.room)
  float *out;
} augment_args;

// An image on its way: (channels, height, width).
typedef struct {
  int64_t channels, height, width;
  float *pixel;
  float *spare;  // as much room
} picture;

AM_ON_CARD int64_t plane_of(const picture *im) { return im->height * im->width; }
AM_ON_CARD int64_t pixels_of(const picture *im) { return im->channels * im->height * im->width; }

// What was built in the spare room is the image.
AM_ON_CARD void take_spare(picture *im, int64_t height, int64_t width) {
  float *old = im->pixel;
  im->pixel = im->spare;
  im->spare = old;
  im->height = height;
  im->width = width;
}

// Elements of an image that member t takes.
#define SHARE(i, t, count) for (int64_t i = (t); i < (count); i += AM_CUDA_THREADS)

// ---- colour ----

AM_ON_CARD void brightness(picture *im, float factor) {
  AM_MEMBER_FOR(t) SHARE(i, t, pixels_of(im)) im->pixel[i] = am_rule_scaled(im->pixel[i], factor);
}

AM_ON_CARD float grey_at(const picture *im, int64_t i) {
  const int64_t n = plane_of(im);
  return im->channels == 3 ? am_rule_grey(im->pixel[i], im->pixel[i + n], im->pixel[i + 2 * n]) : im->pixel[i];
}

// A lane of a block of pixels.
AM_ON_CARD float lane_sum(const picture *im, int64_t block, int k) {
  const int64_t n = plane_of(im), begin = block * AM_GREY_BLOCK;
  const int64_t end = begin + AM_GREY_BLOCK < n ? begin + AM_GREY_BLOCK : n;
  const int64_t whole = end - (end - begin) % AM_GREY_LANES;
  float sum = 0;
  for (int64_t i = begin + k; i < whole; i += AM_GREY_LANES) sum += grey_at(im, i);
  for (int64_t i = whole; k == 0 && i < end; i++) sum += grey_at(im, i);
  return sum;
}

// The mean of the grey image. Lanes are as the host's, a member for each; the first member adds them up in their order.
AM_ON_CARD float grey_mean(const picture *im) {
  AM_TEAM_SHARED float lane[AM_CUDA_THREADS];
  AM_TEAM_SHARED double total[1];
  const int64_t n = plane_of(im), lanes = (n + AM_GREY_BLOCK - 1) / AM_GREY_BLOCK * AM_GREY_LANES;
  AM_MEMBER_FOR(t) {
    if (t == 0) total[0] = 0;
  }
  for (int64_t first = 0; first < lanes; first += AM_CUDA_THREADS) {
    AM_MEMBER_FOR(t) {
      if (first + t < lanes) lane[t] = lane_sum(im, (first + t) / AM_GREY_LANES, (int)((first + t) % AM_GREY_LANES));
    }
    AM_TEAM_WAIT();
    AM_MEMBER_FOR(t) {
      for (int k = 0; t == 0 && k < AM_CUDA_THREADS && first + k < lanes; k++) total[0] += lane[k];
    }
    AM_TEAM_WAIT();
  }
  return (float)(total[0] / (double)n);
}

AM_ON_CARD void contrast(picture *im, float factor) {
  const float rest = (1.0f - factor) * grey_mean(im);
  AM_MEMBER_FOR(t) SHARE(i, t, pixels_of(im)) im->pixel[i] = am_rule_blended(im->pixel[i], factor, rest);
}

AM_ON_CARD void saturation(picture *im, float factor) {
  const int64_t n = plane_of(im);
  float *r = im->pixel, *g = r + n, *b = g + n;
  const float other = 1.0f - factor;
  AM_MEMBER_FOR(t) SHARE(i, t, n) {
    const float rest = other * am_rule_grey(r[i], g[i], b[i]);
    r[i] = am_rule_blended(r[i], factor, rest);
    g[i] = am_rule_blended(g[i], factor, rest);
    b[i] = am_rule_blended(b[i], factor, rest);
  }
}

AM_ON_CARD void hue(picture *im, float turn) {
  const int64_t n = plane_of(im);
  float *r = im->pixel, *g = r + n, *b = g + n;
  AM_MEMBER_FOR(t) SHARE(i, t, n) {
    const am_rule_rgb c = am_rule_turn_hue(r[i], g[i], b[i], turn);
    r[i] = c.r;
    g[i] = c.g;
    b[i] = c.b;
  }
}

// One-channel images keep their saturation and hue.
AM_ON_CARD void jitter(picture *im, const float *param) {
  for (int k = 0; k < 4; k++) {
    const int kind = (int)param[2 * k];
    const float factor = param[2 * k + 1];
    AM_TEAM_WAIT();
    if (kind == AM_JITTER_BRIGHTNESS) brightness(im, factor);
    if (kind == AM_JITTER_CONTRAST) contrast(im, factor);
    if (kind == AM_JITTER_SATURATION && im->channels == 3) saturation(im, factor);
    if (kind == AM_JITTER_HUE && im->channels == 3) hue(im, factor);
  }
}

// ---- places ----

// Down the columns into the spare room, and along the rows back.
AM_ON_CARD void blur(picture *im, const float *weight, int64_t size) {
  const int64_t height = im->height, width = im->width, half = size / 2;
  AM_MEMBER_FOR(t) SHARE(i, t, pixels_of(im)) {
    const int64_t line = i / width, y = line % height, x = i % width;
    const float *column = im->pixel + (line - y) * width + x;
    float sum = 0;
    for (int64_t k = 0; k < size; k++) sum += weight[k] * column[am_rule_reflect(y + k - half, height) * width];
    im->spare[i] = sum;
  }
  AM_TEAM_WAIT();
  AM_MEMBER_FOR(t) SHARE(i, t, pixels_of(im)) {
    const int64_t x = i % width;
    const float *row = im->spare + (i - x);
    float sum = 0;
    for (int64_t k = 0; k < size; k++) sum += weight[k] * row[am_rule_reflect(x + k - half, width)];
    im->pixel[i] = sum;
  }
}

AM_ON_CARD void rotate(picture *im, const float *matrix, bool bilinear, float fill) {
  const int64_t height = im->height, width = im->width, n = plane_of(im);
  AM_MEMBER_FOR(t) SHARE(i, t, n) {
    const am_rule_point p = am_rule_rotated(matrix, i / width, i % width, (float)height, (float)width);
    if (bilinear) {
      const am_rule_corners k = am_rule_around(p, height, width);
      for (int64_t c = 0; c < im->channels; c++) im->spare[c * n + i] = am_rule_between(&k, im->pixel + c * n, fill);
    } else {
      const int64_t from = am_rule_nearest(p, height, width);
      for (int64_t c = 0; c < im->channels; c++) im->spare[c * n + i] = from >= 0 ? im->pixel[c * n + from] : fill;
    }
  }
  take_spare(im, height, width);
}

AM_ON_CARD void flip(picture *im, bool horizontal) {
  const int64_t height = im->height, width = im->width;
  AM_MEMBER_FOR(t) SHARE(i, t, pixels_of(im)) {
    const int64_t line = i / width, x = i % width, y = line % height;
    im->spare[i] = im->pixel[horizontal ? i - x + (width - 1 - x) : (line - y + (height - 1 - y)) * width + x];
  }
  take_spare(im, height, width);
}

AM_ON_CARD void crop(picture *im, const am_augment_step *s, const float *param) {
  const int64_t top = (int64_t)param[0], left = (int64_t)param[1];
  AM_MEMBER_FOR(t) SHARE(i, t, im->channels * s->height * s->width) {
    const int64_t line = i / s->width, c = line / s->height, y = line % s->height + top, x = i % s->width + left;
    const bool inside = y >= 0 && y < im->height && x >= 0 && x < im->width;
    im->spare[i] = inside ? im->pixel[(c * im->height + y) * im->width + x] : s->fill;
  }
  take_spare(im, s->height, s->width);
}

AM_ON_CARD void erase(picture *im, const am_augment_step *s, const float *param) {
  const int64_t top = (int64_t)param[0], left = (int64_t)param[1], height = (int64_t)param[2], width = (int64_t)param[3];
  AM_MEMBER_FOR(t) SHARE(i, t, im->channels * height * width) {
    const int64_t line = i / width, c = line / height, y = line % height + top, x = i % width + left;
    im->pixel[(c * im->height + y) * im->width + x] = s->fill;
  }
}

AM_ON_CARD void apply_step(picture *im, const am_augment_step *s, const float *param) {
  AM_TEAM_WAIT();
  switch (s->kind) {
    case AM_STEP_JITTER: jitter(im, param); break;
    case AM_STEP_BLUR: blur(im, param, s->kernel); break;
    case AM_STEP_ROTATE: rotate(im, param, s->bilinear, s->fill); break;
    case AM_STEP_FLIP_HORIZONTAL:
    case AM_STEP_FLIP_VERTICAL:
      if (param[0] != 0) flip(im, s->kind == AM_STEP_FLIP_HORIZONTAL);
      break;
    case AM_STEP_CROP: crop(im, s, param); break;
    case AM_STEP_ERASE: erase(im, s, param); break;
    case AM_STEP_NOISE: break;  // in no program
  }
}

// ---- from bytes to normalised floats ----

AM_ON_CARD float unit_of(uint8_t v) { return (float)v / 255.0f; }
AM_ON_CARD float normal_of(const am_augment_program *p, float x, int64_t c) { return (x - p->mean[c]) / p->sd[c]; }

AM_ON_CARD void spread(const picture *im, const uint8_t *bytes) {
  const int64_t n = plane_of(im);
  AM_MEMBER_FOR(t) SHARE(i, t, n) {
    for (int64_t c = 0; c < im->channels; c++) im->pixel[c * n + i] = unit_of(bytes[i * im->channels + c]);
  }
}

AM_ON_CARD void normalise(const augment_args *a, const picture *im, float *out) {
  const int64_t n = plane_of(im);
  AM_MEMBER_FOR(t) SHARE(i, t, pixels_of(im)) out[i] = normal_of(&a->p, im->pixel[i], i / n);
}

AM_KERNEL augment_kernel(augment_args a) {
  const am_augment_program *p = &a.p;
  AM_TEAM_FOR(g, a.count) {
    const float *param = a.params + g * p->params;
    float *out = a.out + g * p->channels * p->height * p->width;
    picture im = {p->channels, p->in_height, p->in_width, a.room + 2 * g * p->room, a.room + (2 * g + 1) * p->room};
    spread(&im, a.bytes + g * pixels_of(&im));
    for (int64_t k = 0; k < p->float_steps; k++) apply_step(&im, &p->step[k], param + p->step[k].first);
    AM_TEAM_WAIT();
    normalise(&a, &im, out);
    im.pixel = out;
    for (int64_t k = p->float_steps; k < p->steps; k++) apply_step(&im, &p->step[k], param + p->step[k].first);
  }
}

// Where there are no steps on floats every value goes straight to its place.
AM_KERNEL normalise_kernel(augment_args a) {
  const am_augment_program *p = &a.p;
  const int64_t n = p->height * p->width, image = p->channels * n;
  AM_CUDA_FOR(i, a.count * image) {
    const int64_t g = i / image, c = i % image / n;
    a.out[i] = normal_of(p, unit_of(a.bytes[g * image + i % n * p->channels + c]), c);
  }
}

cudaError_t am_cuda_launch_augment(cudaStream_t stream, const am_augment_program *p, const uint8_t *bytes, const float *params,
                                   int64_t count, float *room, float *out) {
  const augment_args a = {*p, bytes, params, count, room, out};
  if (p->steps == 0) return AM_CUDA_LAUNCH(normalise_kernel, stream, count * p->channels * p->height * p->width, a);
  return AM_TEAM_LAUNCH(augment_kernel, stream, count, a);
}
