#include "augment/canvas.h"

#include <string.h>

#include "base/num.h"

static am_image *next_image(am_canvas *c) { return &c->work->image[c->next]; }

static void show_part(am_canvas *c, const am_image_part *part) {
  c->stored = NULL;
  c->part = *part;
  c->width = part->width;
  c->height = part->height;
}

// The next picture is there: the one after it goes into the other memory.
static void show(am_canvas *c) {
  am_image_part whole = am_image_whole(next_image(c));
  show_part(c, &whole);
  c->next = !c->next;
}

am_err am_canvas_open(const am_stored *image, am_transform_work *work, am_canvas *out) {
  am_canvas c = {.work = work, .channels = image->channels};
  if (image->encoded) {
    c.stored = image;
    AM_TRY(am_image_size(image->name, image->bytes, image->count, &c.width, &c.height));
  } else {
    show_part(&c, &(am_image_part){.pixel = image->bytes,
                                   .stride = image->width * image->channels,
                                   .width = image->width,
                                   .height = image->height,
                                   .channels = image->channels});
  }
  *out = c;
  return AM_OK;
}

// The window of a file; *box is where it lies in c->part.
static am_err decode_window(am_canvas *c, const am_image_window *window, am_image_box *box) {
  const am_stored *s = c->stored;
  am_image_cut cut;
  AM_TRY(am_image_decode_window(s->name, s->bytes, s->count, window, next_image(c), &cut));
  show_part(c, &cut.part);
  c->next = !c->next;
  *box = cut.box;
  if (c->channels == c->part.channels) return AM_OK;
  AM_TRY(am_image_part_to_grey(&c->part, next_image(c)));
  show(c);
  return AM_OK;
}

am_err am_canvas_decode(am_canvas *c) {
  if (!c->stored) return AM_OK;
  am_image_box box;
  return decode_window(c, &(am_image_window){.width = c->width, .height = c->height}, &box);
}

am_err am_canvas_resize(am_canvas *c, const am_rect *window, int64_t out_width, int64_t out_height,
                        am_resize_kind kind, bool may_reduce) {
  am_image_box box = {0, 0, (double)window->width, (double)window->height};
  if (c->stored) {
    am_image_window w = {window->left, window->top, window->width, window->height, 0, 0};
    if (may_reduce) {
      w.out_width = out_width;
      w.out_height = out_height;
    }
    AM_TRY(decode_window(c, &w, &box));
  } else {
    AM_TRY(am_image_part_of(&c->part, window->left, window->top, window->width, window->height, &c->part));
  }
  AM_TRY(am_image_resize_part(&c->part, &box, out_width, out_height, kind, &c->work->resize, next_image(c)));
  show(c);
  return AM_OK;
}

am_err am_canvas_crop(am_canvas *c, const am_rect *window, uint8_t fill) {
  AM_TRY(am_canvas_decode(c));
  const am_image_part *in = &c->part;
  bool inside = window->left >= 0 && window->top >= 0 && window->width <= in->width - window->left &&
                window->height <= in->height - window->top;
  if (inside) {
    am_image_part part;
    AM_TRY(am_image_part_of(in, window->left, window->top, window->width, window->height, &part));
    show_part(c, &part);
    return AM_OK;
  }
  am_image *out = next_image(c);
  AM_TRY(am_image_reserve(out, window->width, window->height, in->channels));
  int64_t line = out->width * out->channels;
  int64_t first = am_clamp_i64(-window->left, 0, out->width);
  int64_t end = am_clamp_i64(in->width - window->left, first, out->width);
  size_t before = (size_t)(first * out->channels), bytes = (size_t)((end - first) * out->channels);
  for (int64_t y = 0; y < out->height; y++) {
    int64_t from = y + window->top;
    uint8_t *to = out->pixel + y * line;
    memset(to, fill, (size_t)line);
    if (from < 0 || from >= in->height || bytes == 0) continue;
    memcpy(to + before, in->pixel + from * in->stride + (first + window->left) * in->channels, bytes);
  }
  show(c);
  return AM_OK;
}

am_err am_canvas_flip_horizontal(am_canvas *c) {
  AM_TRY(am_canvas_decode(c));
  const am_image_part *in = &c->part;
  am_image *out = next_image(c);
  AM_TRY(am_image_reserve(out, in->width, in->height, in->channels));
  for (int64_t y = 0; y < in->height; y++) {
    const uint8_t *from = in->pixel + y * in->stride;
    uint8_t *to = out->pixel + y * in->width * in->channels;
    if (in->channels == 3) {
      for (int64_t x = 0; x < in->width; x++) memcpy(to + 3 * x, from + 3 * (in->width - 1 - x), 3);
    } else {
      for (int64_t x = 0; x < in->width; x++) to[x] = from[in->width - 1 - x];
    }
  }
  show(c);
  return AM_OK;
}

am_err am_canvas_flip_vertical(am_canvas *c) {
  AM_TRY(am_canvas_decode(c));
  const am_image_part *in = &c->part;
  am_image *out = next_image(c);
  AM_TRY(am_image_reserve(out, in->width, in->height, in->channels));
  size_t line = (size_t)(in->width * in->channels);
  for (int64_t y = 0; y < in->height; y++)
    memcpy(out->pixel + (size_t)y * line, in->pixel + (in->height - 1 - y) * in->stride, line);
  show(c);
  return AM_OK;
}
