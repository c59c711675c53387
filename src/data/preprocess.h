// What happens to an image before a classifier sees it, as one line of text: the same in the
// metadata of weights, in options and in results.
//
//   crop:224,short_side:256,filter:bilinear,mean:0.485/0.456/0.406,sd:0.229/0.224/0.225
//
//   stretch:PX     both sides to PX
//   crop:PX        short side to short_side (0: to PX), then the middle PX x PX
//   short_side:PX
//   pad:PX         as it is, in the middle of PX x PX black
//   filter:NAME    nearest, bilinear, bicubic, lanczos or box, antialiased as Pillow
//   mean:A/B/C     taken from each channel in [0, 1]; one number: from all
//   sd:A/B/C       then divides it
//   imagenet       the line above: what torchvision's ImageNet networks were evaluated with
//   none           the image's own size, pixels / 255
//   half           none,mean:0.5,sd:0.5
// Of two words for one thing the later counts; the last three say something of everything.
#ifndef AM_DATA_PREPROCESS_H
#define AM_DATA_PREPROCESS_H

#include "base/str.h"
#include "data/fit.h"

typedef struct {
  am_image_fit fit;      // size 0: images keep theirs
  float mean[3], sd[3];  // one channel: the first
} am_preprocess;

am_preprocess am_preprocess_none(int64_t channels);
// Applies the words of `text` to *p. Errors: AM_ERR_CONFIG naming the word and what was expected.
AM_MUST_USE am_err am_preprocess_parse(const char *text, am_preprocess *p);
// Whether all channels have one mean and deviation.
bool am_preprocess_is_even(const am_preprocess *p);
// The line that parses to p, appended to out.
AM_MUST_USE am_err am_preprocess_print(const am_preprocess *p, am_str *out);
// The image that is normalised then.
AM_MUST_USE am_err am_preprocess_image(const am_preprocess *p, const am_image *in, am_image *out);
// u8 (h, w, c) -> f32 (c, h, w): (x/255 - mean)/sd
void am_preprocess_floats(const am_preprocess *p, const am_image *image, float *out);

#endif
