// 8-bit images in host memory: (height, width, channels) interleaved, rows without padding.
#ifndef AM_DATA_IMAGE_H
#define AM_DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

typedef struct {
  int64_t width, height, channels;  // channels 1 or 3 (4 only inside the PNG codec)
  uint8_t *pixel;                   // owned, height*width*channels bytes
  size_t room;                      // bytes at pixel where that is more than the image needs; else 0
} am_image;

AM_MUST_USE am_err am_image_new(int64_t width, int64_t height, int64_t channels, am_image *out);  // black
// Makes `image` (which may be {0}) this size, its pixels undefined, in the memory it has where that is enough:
// for code that fills one image after the other.
AM_MUST_USE am_err am_image_reserve(am_image *image, int64_t width, int64_t height, int64_t channels);
AM_MUST_USE am_err am_image_copy(const am_image *in, am_image *out);
void am_image_fini(am_image *image);

// A rectangle of an image in memory: no copy, lines `stride` bytes apart.
typedef struct {
  const uint8_t *pixel;  // borrowed
  int64_t stride, width, height, channels;
} am_image_part;
am_image_part am_image_whole(const am_image *image);
// Errors: AM_ERR_ARG a rectangle that is empty or not inside.
AM_MUST_USE am_err am_image_part_of(const am_image_part *in, int64_t left, int64_t top, int64_t width,
                                    int64_t height, am_image_part *out);
// Some of a part, in its px; may begin and end within a pixel.
typedef struct {
  double left, top, right, bottom;
} am_image_box;

// ---- codec (codec.c, codec_jpeg.c, codec_png.c) ----
// Foreign bytes. Limits: 100 megapixels, side at most 65,500 px, file at most 1 GiB. The content
// decides, not the name.
// Results are RGB exactly as Pillow's Image.open(f).convert("RGB") gives them: greyscale repeated,
// palette looked up, alpha dropped (not blended), 16-bit colour reduced to the high byte, CMYK JPEG
// converted; EXIF orientation is left alone, as torchvision's loaders do. One deviation: 16-bit
// greyscale without alpha is reduced to the high byte too, where Pillow clips at 255, which turns
// nearly every such picture white.
// Stricter than Pillow where pixels would be invented: a JPEG whose data end early or do not decode
// (libjpeg only warns) and a PNG without its end are errors.
// `name` is for messages. Errors: AM_ERR_DATA with name and reason (truncated, empty, not an image).
enum { AM_IMAGE_FILE_BYTES = 1 << 30 };
AM_MUST_USE am_err am_image_decode(const char *name, const void *bytes, size_t count, am_image *out);
AM_MUST_USE am_err am_image_read(const char *path, am_image *out);
// Its size, from the header alone.
AM_MUST_USE am_err am_image_size(const char *name, const void *bytes, size_t count, int64_t *width,
                                 int64_t *height);

// A window of an encoded image that is going to be resized to out_width x out_height px.
typedef struct {
  int64_t left, top, width, height;  // px, inside the image
  int64_t out_width, out_height;     // 0: unknown
} am_image_window;
// What was decoded for it: `box` of `part`, to be given to am_image_resize_part.
typedef struct {
  am_image_part part;
  am_image_box box;
  int reduced;  // 1, or 2, 4, 8: the part was decoded at that fraction of its size
} am_image_cut;
// Of a JPEG only the blocks that matter are transformed, and nothing below the window is looked at: that
// the file ends early there goes unnoticed. The part holds exactly the pixels of am_image_decode, except where both
// sides of the window are at least 2*AM_IMAGE_SPARE (4*, 8*) times as long as those of the result: it is then
// decoded at 1/2 (1/4, 1/8) of its size by a smaller inverse DCT, which leaves the antialiased resize
// AM_IMAGE_SPARE px or more for each px of the result. Tolerance, in levels of 255 after a bilinear resize: ten
// ImageNet photographs are off by 0.4 in the mean, 99.9 % of the values by at most 4, all by at most 13; the
// golden test refuses more than 1, 1 % beyond 4, or 0.1 % beyond 9.
// Uses the memory of *memory, into which the part points.
enum { AM_IMAGE_SPARE = 3 };
AM_MUST_USE am_err am_image_decode_window(const char *name, const void *bytes, size_t count,
                                          const am_image_window *want, am_image *memory, am_image_cut *out);
// One channel, as Pillow's convert("L"): Rec. 601 luma; an RGB image whose channels are equal gives these.
AM_MUST_USE am_err am_image_to_grey(const am_image *in, am_image *out);
AM_MUST_USE am_err am_image_part_to_grey(const am_image_part *in, am_image *out);  // in the memory of *out
AM_MUST_USE am_err am_image_read_grey(const char *path, am_image *out);            // masks
// PNG whose decoding gives back exactly these pixels; *bytes is heap memory of the caller.
AM_MUST_USE am_err am_image_encode_png(const am_image *image, uint8_t **bytes, size_t *count);
AM_MUST_USE am_err am_image_encode_jpeg(const am_image *image, int quality, uint8_t **bytes, size_t *count);
AM_MUST_USE am_err am_image_write_png(const char *path, const am_image *image);  // atomic

// ---- resizing (image_resize.c) ----
// Pillow's Image.resize: separable, antialiased (support scales with the ratio), fixed point with
// 22 bit, rounding and clamping between the passes. Bit-exact with Pillow 13, which runs the vertical
// pass first where the height loses more than twice the pixels that the width loses; older ones
// always begin with the horizontal pass and round such pictures a little differently.
typedef enum {
  AM_RESIZE_NEAREST,
  AM_RESIZE_BILINEAR,
  AM_RESIZE_BICUBIC,
  AM_RESIZE_LANCZOS,
  AM_RESIZE_BOX
} am_resize_kind;
// By the words nearest, bilinear, bicubic, lanczos, box; false for others.
bool am_resize_kind_find(const char *word, am_resize_kind *out);
const char *am_resize_kind_name(am_resize_kind kind);
AM_MUST_USE am_err am_image_resize(const am_image *in, int64_t width, int64_t height, am_resize_kind kind,
                                   am_image *out);
// Pillow's Image.resize(size, kind, box) on a part: nothing outside the part is looked at (so a part is Pillow's
// crop), pixels of it around the box are. box NULL: all of it. `out` and `work` ({0} at first) keep their memory
// from call to call. Errors: AM_ERR_ARG a box that is not inside, a result without pixels.
AM_MUST_USE am_err am_image_resize_part(const am_image_part *in, const am_image_box *box, int64_t width,
                                        int64_t height, am_resize_kind kind, am_scratch *work, am_image *out);
// The size with a short side of `side` and a long one of floor(side * long / short): torchvision's Resize(int).
AM_MUST_USE am_err am_image_short_side(int64_t width, int64_t height, int64_t side, int64_t *new_width,
                                       int64_t *new_height);
AM_MUST_USE am_err am_image_resize_short(const am_image *in, int64_t side, am_resize_kind kind,
                                         am_image *out);

// ---- cropping (image_geom.c) ----
AM_MUST_USE am_err am_image_crop(const am_image *in, int64_t left, int64_t top, int64_t width, int64_t height,
                                 am_image *out);  // inside only
// Where torchvision's CenterCrop of `out` px begins on an axis of `in` px; negative: so much is padded.
int64_t am_image_center(int64_t in, int64_t out);
// torchvision's CenterCrop (rounds half to even; pads with 0 where the image is smaller).
AM_MUST_USE am_err am_image_center_crop(const am_image *in, int64_t width, int64_t height, am_image *out);

// A contact sheet: count images of one size on a grid of `columns`, `gap` px of white between.
AM_MUST_USE am_err am_image_grid(const am_image *images, int64_t count, int64_t columns, int64_t gap,
                                 am_image *out);

#endif
