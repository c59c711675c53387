// Charts as inline SVG, for report.html. Colours are the page's CSS variables (--s0 .. --s7, --ink,
// --muted, --line), so they follow its light and dark mode.
#ifndef AM_REPORT_SVG_H
#define AM_REPORT_SVG_H

#include <stdint.h>

#include "base/str.h"

enum { AM_SVG_COLORS = 8 };

// A line (one point: a dot) with a band around it; x ascending. NaN values break the line.
typedef struct {
  const char *name;  // borrowed, as are the arrays
  const double *x, *y;
  const double *lo, *hi;  // band, or NULL
  int64_t count;
} am_svg_series;
AM_MUST_USE am_err am_svg_lines(const char *title, const char *x_label, const am_svg_series *series,
                                int64_t count, am_str *out);

// A row of a dot plot: single values, their mean and deviation, and a reference mark.
typedef struct {
  const char *name;
  const double *value;
  int64_t count;
  double mean, sd;   // NaN: nothing to draw
  double published;  // NaN: none
} am_svg_dots_row;
AM_MUST_USE am_err am_svg_dots(const char *title, const am_svg_dots_row *row, int64_t count, am_str *out);

// counts[true * k + predicted], coloured by the share within each true class. The title is for
// screen readers only.
AM_MUST_USE am_err am_svg_confusion(const char *title, const int64_t *counts, int64_t k,
                                    const char *const *class_name, am_str *out);

// Text with &, <, > and quotes escaped for HTML and SVG.
AM_MUST_USE am_err am_html_escape(const char *text, am_str *out);

#endif
