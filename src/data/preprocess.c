#include "data/preprocess.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "config/node.h"

enum { MOST_PX = 65500 };

static const struct {
  const char *name, *words;
} names[] = {
    {"imagenet", "crop:224,short_side:256,filter:bilinear,mean:0.485/0.456/0.406,sd:0.229/0.224/0.225"},
    {"half", "none,mean:0.5,sd:0.5"},
    {"none", "stretch:0,short_side:0,filter:bilinear,mean:0,sd:1"},
};

am_preprocess am_preprocess_none(int64_t channels) {
  return (am_preprocess){
      .fit = {.channels = channels, .filter = AM_RESIZE_BILINEAR}, .mean = {0, 0, 0}, .sd = {1, 1, 1}};
}

// ---- reading ----

static am_err parse_px(const char *word, const char *value, int64_t *out) {
  AM_CHECK(am_text_is_integer(value, out) && *out >= 0 && *out <= MOST_PX, AM_ERR_CONFIG,
           "preprocessing %s:%s, expected 0 to %d px", word, value, MOST_PX);
  return AM_OK;
}

// "0.5" or "0.485/0.456/0.406".
static am_err parse_channels(const char *word, char *value, float out[3]) {
  double number[3];
  int count = 0;
  char *rest = NULL;
  bool good = true;
  for (char *one = strtok_r(value, "/", &rest); one && good; one = strtok_r(NULL, "/", &rest)) {
    good = count < 3 && am_text_is_number(one, &number[count]);
    count++;
  }
  AM_CHECK(good && (count == 1 || count == 3), AM_ERR_CONFIG,
           "preprocessing %s: expected one number or one for each channel, as 0.485/0.456/0.406", word);
  for (int c = 0; c < 3; c++) out[c] = (float)number[count == 1 ? 0 : c];
  return AM_OK;
}

static am_err parse_fit(am_fit_kind kind, const char *word, const char *value, am_preprocess *p) {
  AM_TRY(parse_px(word, value, &p->fit.size));
  p->fit.kind = kind;
  return AM_OK;
}

static am_err parse_word(char *word, am_preprocess *p) {
  for (int64_t i = 0; i < AM_COUNT_OF(names); i++)
    if (strcmp(word, names[i].name) == 0) return am_preprocess_parse(names[i].words, p);
  char *value = strchr(word, ':');
  if (value) {
    *value++ = '\0';
    if (strcmp(word, "stretch") == 0) return parse_fit(AM_FIT_STRETCH, word, value, p);
    if (strcmp(word, "crop") == 0) return parse_fit(AM_FIT_CROP, word, value, p);
    if (strcmp(word, "pad") == 0) return parse_fit(AM_FIT_PAD, word, value, p);
    if (strcmp(word, "short_side") == 0) return parse_px(word, value, &p->fit.short_side);
    if (strcmp(word, "mean") == 0) return parse_channels(word, value, p->mean);
    if (strcmp(word, "sd") == 0) {
      AM_TRY(parse_channels(word, value, p->sd));
      for (int c = 0; c < 3; c++) AM_CHECK(p->sd[c] > 0, AM_ERR_CONFIG, "preprocessing sd: expected above 0");
      return AM_OK;
    }
    if (strcmp(word, "filter") == 0) {
      AM_CHECK(am_resize_kind_find(value, &p->fit.filter), AM_ERR_CONFIG,
               "preprocessing filter:%s, expected nearest, bilinear, bicubic, lanczos or box", value);
      return AM_OK;
    }
  }
  if (value) value[-1] = ':';
  return AM_FAIL(AM_ERR_CONFIG,
                 "preprocessing \"%s\" is not known, expected imagenet, half, none, stretch:PX, crop:PX, "
                 "short_side:PX, pad:PX, filter:NAME, mean:A/B/C or sd:A/B/C",
                 word);
}

am_err am_preprocess_parse(const char *text, am_preprocess *p) {
  am_err err = AM_OK;
  am_preprocess made = *p;
  char *copy = NULL, *rest = NULL;
  AM_TRY(am_mem_strdup(text, &copy));
  for (char *word = strtok_r(copy, ",", &rest); word && !err; word = strtok_r(NULL, ",", &rest))
    err = parse_word(word, &made);
  free(copy);
  if (!err) *p = made;
  return err;
}

// ---- writing ----

static bool alike(const float value[3]) { return value[0] == value[1] && value[1] == value[2]; }

bool am_preprocess_is_even(const am_preprocess *p) { return alike(p->mean) && alike(p->sd); }

static am_err print_channels(const char *word, const float value[3], am_str *out) {
  char text[3][AM_NUMBER_TEXT];
  for (int c = 0; c < 3; c++) {
    // The shortest decimal that is this float, as somebody wrote it.
    for (int digits = 1; digits <= 9; digits++) {
      snprintf(text[c], sizeof text[c], "%.*g", digits, (double)value[c]);
      if (strtof(text[c], NULL) == value[c]) break;
    }
  }
  return alike(value) ? am_str_printf(out, ",%s:%s", word, text[0])
                      : am_str_printf(out, ",%s:%s/%s/%s", word, text[0], text[1], text[2]);
}

am_err am_preprocess_print(const am_preprocess *p, am_str *out) {
  static const char *const fit_name[] = {
      [AM_FIT_STRETCH] = "stretch", [AM_FIT_CROP] = "crop", [AM_FIT_PAD] = "pad"};
  AM_TRY(am_str_printf(out, "%s:%lld", fit_name[p->fit.kind], (long long)p->fit.size));
  if (p->fit.kind == AM_FIT_CROP && p->fit.short_side)
    AM_TRY(am_str_printf(out, ",short_side:%lld", (long long)p->fit.short_side));
  if (p->fit.size && p->fit.kind != AM_FIT_PAD)
    AM_TRY(am_str_printf(out, ",filter:%s", am_resize_kind_name(p->fit.filter)));
  AM_TRY(print_channels("mean", p->mean, out));
  return print_channels("sd", p->sd, out);
}

// ---- doing ----

am_err am_preprocess_image(const am_preprocess *p, const am_image *in, am_image *out) {
  if (p->fit.size) return am_fit_image(in, &p->fit, out);
  return p->fit.channels == in->channels ? am_image_copy(in, out) : am_image_to_grey(in, out);
}

void am_preprocess_floats(const am_preprocess *p, const am_image *image, float *out) {
  int64_t pixels = image->width * image->height, channels = image->channels;
  for (int64_t c = 0; c < channels; c++) {
    float mean = p->mean[c], sd = p->sd[c];
    for (int64_t i = 0; i < pixels; i++)
      out[c * pixels + i] = ((float)image->pixel[channels * i + c] / 255.0f - mean) / sd;
  }
}
