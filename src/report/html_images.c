// The pictures of report.html: confusion matrices and sheets of real and generated images.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "data/image.h"
#include "report/html_internal.h"
#include "report/svg.h"

// ---- confusion ----

// "confusion/<cell>/<split>": the parts, or false.
static bool split_path(const am_array *a, int64_t *cell, const char **split) {
  static const char prefix[] = "confusion/";
  if (!am_str_starts(a->path, prefix)) return false;
  char *end = NULL;
  *cell = strtoll(a->path + sizeof prefix - 1, &end, 10);
  if (*end != '/') return false;
  *split = end + 1;
  return a->type == AM_ARRAY_I64 && a->ndim == 2 && a->dim[0] == a->dim[1] && a->dim[0] > 0;
}

static bool same_arm(const am_frame *cells, int64_t a, int64_t b) {
  return !strcmp(am_frame_text(cells, a, "arm"), am_frame_text(cells, b, "arm")) &&
         !strcmp(am_frame_text(cells, a, "model"), am_frame_text(cells, b, "model"));
}

static bool is_first_of_arm(const am_frame *cells, int64_t cell) {
  for (int64_t i = 0; i < cell; i++) {
    if (same_arm(cells, i, cell)) return false;
  }
  return true;
}

// The matrices on `split` of all cells of this cell's arm and model, added up.
static am_err put_confusion(am_results *r, int64_t cell, const char *split, am_str *out) {
  am_err err = AM_OK;
  const am_frame *cells = am_results_frame(r, "cells");
  const am_array *first = NULL;
  int64_t *sum = NULL, other = 0;
  const char *other_split = NULL;
  for (int64_t i = 0; i < am_results_array_count(r); i++) {
    const am_array *a = am_results_array_at(r, i);
    if (!split_path(a, &other, &other_split) || strcmp(split, other_split)) continue;
    if (other < 0 || other >= am_frame_rows(cells) || !same_arm(cells, cell, other)) continue;
    if (!first) AM_GO(done, AM_NEW_ARRAY(&sum, a->dim[0] * a->dim[0]));
    if (!first) first = a;
    for (int64_t j = 0; a->dim[0] == first->dim[0] && j < a->dim[0] * a->dim[0]; j++) {
      sum[j] += ((const int64_t *)a->data)[j];
    }
  }
  if (!first) goto done;
  char title[256];
  int64_t k = first->dim[0];
  const char *model = am_frame_text(cells, cell, "model");
  const char *const *classes = first->class_count == k ? (const char *const *)first->class_name : NULL;
  snprintf(title, sizeof title, "%s, %s%s%s", am_frame_text(cells, cell, "arm"), split, *model ? ", " : "",
           model);
  AM_GO(done, am_str_printf(out, "<figure style=\"width:%lldpx\"><figcaption>",
                            (long long)am_clamp_i64(120 + k * 46, 212, 520)));
  AM_GO(done, am_html_escape(title, out));
  AM_GO(done, am_str_printf(out, "</figcaption>"));
  AM_GO(done, am_svg_confusion(title, sum, k, classes, out));
  AM_GO(done, am_str_printf(out, "</figure>\n"));
done:
  free(sum);
  return err;
}

// Splits that have matrices, in order of the paths; borrowed from them.
static am_err list_splits(const am_results *r, const char ***out, int64_t *count) {
  const char **split = NULL, *name = NULL;
  int64_t cell;
  *count = 0;
  AM_TRY(AM_NEW_ARRAY(&split, am_results_array_count(r)));
  for (int64_t i = 0; i < am_results_array_count(r); i++) {
    if (!split_path(am_results_array_at(r, i), &cell, &name)) continue;
    bool seen = false;
    for (int64_t j = 0; j < *count && !seen; j++) seen = !strcmp(split[j], name);
    if (!seen) split[(*count)++] = name;
  }
  *out = split;
  return AM_OK;
}

am_err am_html_confusion(am_results *r, am_str *out) {
  am_err err = AM_OK;
  const am_frame *cells = am_results_frame(r, "cells");
  const char **split = NULL;
  int64_t split_count = 0;
  AM_TRY(list_splits(r, &split, &split_count));
  if (split_count == 0) goto done;
  AM_GO(done,
        am_str_printf(out,
                      "<h2>Confusion</h2>\n<p class=\"muted\">Counts summed over seeds and draws; shades "
                      "are shares of the true class.</p>\n<div class=\"maps\">\n"));
  for (int64_t s = 0; s < split_count; s++) {
    for (int64_t i = 0; i < am_frame_rows(cells); i++) {
      if (is_first_of_arm(cells, i)) AM_GO(done, put_confusion(r, i, split[s], out));
    }
  }
  AM_GO(done, am_str_printf(out, "</div>\n"));
done:
  free(split);
  return err;
}

// ---- images ----

static am_err put_base64(const uint8_t *bytes, size_t count, am_str *out) {
  static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < count; i += 3) {
    size_t left = count - i;
    unsigned word = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                    (left > 2 ? (unsigned)bytes[i + 2] : 0);
    char four[4] = {digit[word >> 18], digit[word >> 12 & 63], left > 1 ? digit[word >> 6 & 63] : '=',
                    left > 2 ? digit[word & 63] : '='};
    AM_TRY(am_str_append(out, four, 4));
  }
  return AM_OK;
}

// A row for each class where the labels come in equal runs, else ten columns.
static int64_t sheet_columns(const am_array *a) {
  enum { DEFAULT = 10, MOST = 16 };
  int64_t run = 1;
  if (a->label_count != a->dim[0]) return DEFAULT;
  while (run < a->label_count && a->label[run] == a->label[0]) run++;
  return run >= 2 && run <= MOST ? run : DEFAULT;
}

static am_err put_sheet(const am_array *a, const char *caption, am_str *out) {
  am_err err = AM_OK;
  am_image *tile = NULL, sheet = {0};
  uint8_t *png = NULL;
  size_t png_bytes = 0;
  int64_t count = a->dim[0], columns = am_min_i64(sheet_columns(a), count), height = a->dim[1],
          width = a->dim[2];
  AM_TRY(AM_NEW_ARRAY(&tile, count));
  for (int64_t i = 0; i < count; i++) {
    tile[i] = (am_image){.width = width,
                         .height = height,
                         .channels = a->dim[3],
                         .pixel = (uint8_t *)a->data + i * height * width * a->dim[3]};
  }
  AM_GO(done, am_image_grid(tile, count, columns, 2, &sheet));
  AM_GO(done, am_image_encode_png(&sheet, &png, &png_bytes));
  // Small images are shown at twice their size or more, where pixels can be told apart.
  int64_t scale = width < 24 ? 3 : width < 48 ? 2 : 1;
  AM_GO(done, am_str_printf(out, "<figure><img width=\"%lld\" alt=\"", (long long)(scale * sheet.width)));
  AM_GO(done, am_html_escape(caption, out));
  AM_GO(done, am_str_printf(out, "\" src=\"data:image/png;base64,"));
  AM_GO(done, put_base64(png, png_bytes, out));
  AM_GO(done, am_str_printf(out, "\"><figcaption>"));
  AM_GO(done, am_html_escape(caption, out));
  AM_GO(done, am_str_printf(out, "</figcaption></figure>\n"));
done:
  free(tile);
  free(png);
  am_image_fini(&sheet);
  return err;
}

static bool is_sheet(const am_array *a, const char *prefix) {
  return am_str_starts(a->path, prefix) && a->type == AM_ARRAY_U8 && a->ndim == 4 && a->dim[0] > 0 &&
         a->dim[1] > 0 && a->dim[2] > 0 && (a->dim[3] == 1 || a->dim[3] == 3);
}

static am_err put_sheets(am_results *r, const char *prefix, const char *what, int64_t *shown, am_str *out) {
  enum { MOST = 24 };
  for (int64_t i = 0; i < am_results_array_count(r) && *shown < MOST; i++) {
    const am_array *a = am_results_array_at(r, i);
    char caption[256];
    if (!is_sheet(a, prefix)) continue;
    int used = snprintf(caption, sizeof caption, "%s: ", what);
    snprintf(caption + used, sizeof caption - (size_t)used, "%s", a->path + strlen(prefix));
    for (char *p = caption + used; *p; p++) {
      if (*p == ':') *p = '/';
    }
    if (*shown == 0) {
      AM_TRY(
          am_str_printf(out,
                        "<h2>Images</h2>\n<p class=\"muted\">The first images of each class, not chosen by "
                        "anyone.</p>\n<div class=\"sheets\">\n"));
    }
    ++*shown;
    AM_TRY(put_sheet(a, caption, out));
  }
  return AM_OK;
}

am_err am_html_samples(am_results *r, am_str *out) {
  int64_t shown = 0;
  AM_TRY(put_sheets(r, "real/", "real", &shown, out));
  AM_TRY(put_sheets(r, "samples/", "generated", &shown, out));
  return am_str_printf(out, "%s", shown ? "</div>\n" : "");
}
