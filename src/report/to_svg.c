#include "report/svg.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

am_err am_html_escape(const char *text, am_str *out) {
  for (const char *p = text; *p; p++) {
    const char *word = *p == '&'   ? "&amp;"
                       : *p == '<' ? "&lt;"
                       : *p == '>' ? "&gt;"
                       : *p == '"' ? "&quot;"
                                   : NULL;
    AM_TRY(word ? am_str_printf(out, "%s", word) : am_str_append(out, p, 1));
  }
  return AM_OK;
}

// ---- axes ----

typedef struct {
  double lo, hi, step;  // of the values; ticks at lo, lo + step, ...
  double from, to;      // of the picture
} axis;

// The smallest of 1, 2, 5 times a power of ten, and at least `least`, that gives at most `most` steps.
static double nice_step(double span, int most, double least) {
  double power = pow(10, floor(log10(span / most)));
  const double factor[] = {1, 2, 5, 10};
  for (int i = 0; i < 4; i++) {
    if (factor[i] * power * most >= span * (1 - 1e-9)) return fmax(factor[i] * power, least);
  }
  return fmax(10 * power, least);
}

static axis axis_for(double lo, double hi, double from, double to, int most, double least_step) {
  if (!(lo <= hi)) lo = 0, hi = 1;  // nothing to show
  if (hi - lo < 1e-9 * fmax(1, fabs(lo))) {
    double room = fmax(lo == 0 ? 1 : 0.1 * fabs(lo), least_step);
    lo -= room;
    hi += room;
  }
  double step = nice_step(hi - lo, most, least_step);
  return (axis){.lo = floor(lo / step + 1e-9) * step,
                .hi = ceil(hi / step - 1e-9) * step,
                .step = step,
                .from = from,
                .to = to};
}

static double place(const axis *a, double x) {
  return a->from + (x - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

static int tick_count(const axis *a) { return (int)floor((a->hi - a->lo) / a->step + 1e-6) + 1; }

static double tick_value(const axis *a, int i) {
  double x = a->lo + i * a->step;
  return fabs(x) < 1e-9 * a->step ? 0 : x;
}

static void widen(double x, double *lo, double *hi) {
  if (!isfinite(x)) return;
  if (!(*lo <= x)) *lo = x;
  if (!(*hi >= x)) *hi = x;
}

static am_err open_svg(const char *title, double width, double height, am_str *out) {
  AM_TRY(am_str_printf(out,
                       "<svg viewBox=\"0 0 %g %g\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>",
                       width, height));
  AM_TRY(am_html_escape(title, out));
  return am_str_printf(out, "</title>\n");
}

static am_err put_text(am_str *out, double x, double y, const char *anchor, const char *class,
                       const char *text) {
  AM_TRY(am_str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
                       class));
  AM_TRY(am_html_escape(text, out));
  return am_str_printf(out, "</text>\n");
}

// Grid lines and numbers of the horizontal axis between y = top and y = bottom.
static am_err put_x_axis(am_str *out, const axis *x, double top, double bottom) {
  for (int i = 0; i < tick_count(x); i++) {
    char number[32];
    double at = place(x, tick_value(x, i));
    snprintf(number, sizeof number, "%g", tick_value(x, i));
    AM_TRY(am_str_printf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>", at,
                         at, top, bottom));
    AM_TRY(put_text(out, at, bottom + 16, "middle", "tick", number));
  }
  return AM_OK;
}

static am_err put_y_axis(am_str *out, const axis *y, double left, double right) {
  for (int i = 0; i < tick_count(y); i++) {
    char number[32];
    double at = place(y, tick_value(y, i));
    snprintf(number, sizeof number, "%g", tick_value(y, i));
    AM_TRY(am_str_printf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>", left,
                         right, at, at));
    AM_TRY(put_text(out, left - 6, at + 4, "end", "tick", number));
  }
  return AM_OK;
}

// ---- lines ----

static am_err put_band(am_str *out, const am_svg_series *s, const axis *x, const axis *y, int color) {
  AM_TRY(am_str_printf(out, "<path fill=\"var(--s%d)\" class=\"band\" d=\"", color));
  const char *verb = "M";
  for (int64_t i = 0; i < s->count; i++) {
    if (!isfinite(s->hi[i]) || !isfinite(s->lo[i])) continue;
    AM_TRY(am_str_printf(out, "%s%.1f %.1f", verb, place(x, s->x[i]), place(y, s->hi[i])));
    verb = "L";
  }
  for (int64_t i = s->count - 1; i >= 0; i--) {
    if (!isfinite(s->hi[i]) || !isfinite(s->lo[i])) continue;
    AM_TRY(am_str_printf(out, "L%.1f %.1f", place(x, s->x[i]), place(y, s->lo[i])));
  }
  return am_str_printf(out, "\"/>\n");
}

static am_err put_line(am_str *out, const am_svg_series *s, const axis *x, const axis *y, int64_t index) {
  // Past the last colour the same ones come again, dashed.
  const char *dash = index < AM_SVG_COLORS ? "" : " stroke-dasharray=\"6 3\"";
  AM_TRY(am_str_printf(out, "<path stroke=\"var(--s%d)\"%s class=\"line\" d=\"", (int)(index % AM_SVG_COLORS),
                       dash));
  bool pen_down = false;
  for (int64_t i = 0; i < s->count; i++) {
    bool good = isfinite(s->y[i]);
    if (good)
      AM_TRY(am_str_printf(out, "%s%.1f %.1f", pen_down ? "L" : "M", place(x, s->x[i]), place(y, s->y[i])));
    pen_down = good;
  }
  AM_TRY(am_str_printf(out, "\"/>\n"));
  if (s->count != 1 || !isfinite(s->y[0])) return AM_OK;
  return am_str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"var(--s%d)\"/>\n",
                       place(x, s->x[0]), place(y, s->y[0]), (int)(index % AM_SVG_COLORS));
}

am_err am_svg_lines(const char *title, const char *x_label, const am_svg_series *series, int64_t count,
                    am_str *out) {
  const double width = 560, height = 300, left = 52, right = 540, top = 30, bottom = 254;
  double x_lo = NAN, x_hi = NAN, y_lo = NAN, y_hi = NAN;
  for (int64_t s = 0; s < count; s++) {
    for (int64_t i = 0; i < series[s].count; i++) {
      widen(series[s].x[i], &x_lo, &x_hi);
      widen(series[s].y[i], &y_lo, &y_hi);
      if (series[s].lo) widen(series[s].lo[i], &y_lo, &y_hi);
      if (series[s].hi) widen(series[s].hi[i], &y_lo, &y_hi);
    }
  }
  axis x = axis_for(x_lo, x_hi, left, right, 8, 1), y = axis_for(y_lo, y_hi, bottom, top, 5, 0);
  AM_TRY(open_svg(title, width, height, out));
  AM_TRY(put_text(out, left, 16, "start", "chart-title", title));
  AM_TRY(put_x_axis(out, &x, top, bottom));
  AM_TRY(put_y_axis(out, &y, left, right));
  AM_TRY(put_text(out, (left + right) / 2, height - 8, "middle", "tick", x_label));
  for (int64_t s = 0; s < count; s++) {
    if (series[s].lo && series[s].hi && series[s].count > 1) {
      AM_TRY(put_band(out, &series[s], &x, &y, (int)(s % AM_SVG_COLORS)));
    }
  }
  for (int64_t s = 0; s < count; s++) AM_TRY(put_line(out, &series[s], &x, &y, s));
  return am_str_printf(out, "</svg>\n");
}

// ---- dots ----

static am_err put_dots_row(am_str *out, const am_svg_dots_row *row, const axis *x, double left, double y) {
  AM_TRY(put_text(out, left - 10, y + 4, "end", "label", row->name));
  for (int64_t i = 0; i < row->count; i++) {
    if (!isfinite(row->value[i])) continue;
    AM_TRY(am_str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" class=\"single\"/>",
                         place(x, row->value[i]), y));
  }
  if (isfinite(row->sd)) {
    AM_TRY(am_str_printf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"spread\"/>",
                         place(x, row->mean - row->sd), place(x, row->mean + row->sd), y, y));
  }
  if (isfinite(row->mean)) {
    AM_TRY(am_str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"var(--s0)\"/>",
                         place(x, row->mean), y));
  }
  if (isfinite(row->published)) {
    double at = place(x, row->published);
    AM_TRY(am_str_printf(out, "<path d=\"M%.1f %.1fl6 6l-6 6l-6 -6z\" class=\"published\"/>", at, y - 6));
  }
  return am_str_printf(out, "\n");
}

am_err am_svg_dots(const char *title, const am_svg_dots_row *row, int64_t count, am_str *out) {
  const double letter = 7.4, plot = 410, top = 30, pitch = 26;  // letter: of the labels' 13 px, on average
  double left = 60;
  for (int64_t r = 0; r < count; r++) left = fmax(left, 16 + letter * (double)strlen(row[r].name));
  const double width = left + plot + 20;
  double lo = NAN, hi = NAN, bottom = top + pitch * (double)count;
  for (int64_t r = 0; r < count; r++) {
    for (int64_t i = 0; i < row[r].count; i++) widen(row[r].value[i], &lo, &hi);
    widen(row[r].mean - row[r].sd, &lo, &hi);
    widen(row[r].mean + row[r].sd, &lo, &hi);
    widen(row[r].mean, &lo, &hi);
    widen(row[r].published, &lo, &hi);
  }
  axis x = axis_for(lo, hi, left, width - 20, 8, 0);
  AM_TRY(open_svg(title, width, bottom + 26, out));
  AM_TRY(put_text(out, left, 16, "start", "chart-title", title));
  AM_TRY(put_x_axis(out, &x, top, bottom));
  for (int64_t r = 0; r < count; r++)
    AM_TRY(put_dots_row(out, &row[r], &x, left, top + pitch * ((double)r + 0.5)));
  return am_str_printf(out, "</svg>\n");
}

// ---- confusion ----

// The first characters of a name, none cut in the middle.
static void cut_name(const char *name, size_t most_bytes, char *out) {
  size_t n = strnlen(name, most_bytes);
  while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80) n--;
  memcpy(out, name, n);
  out[n] = '\0';
}

am_err am_svg_confusion(const char *title, const int64_t *counts, int64_t k, const char *const *class_name,
                        am_str *out) {
  enum { MOST_WRITTEN = 12, NAME_BYTES = 16 };
  const double side = k <= 4 ? 46 : k <= MOST_WRITTEN ? 32 : 320.0 / (double)k;
  const double left = 112, top = 24, span = side * (double)k;
  AM_TRY(open_svg(title, left + span + 8, top + span + 8, out));
  for (int64_t t = 0; t < k; t++) {
    int64_t items = 0;
    char name[NAME_BYTES + 1];
    for (int64_t p = 0; p < k; p++) items += counts[t * k + p];
    cut_name(class_name ? class_name[t] : "", NAME_BYTES, name);
    if (k <= MOST_WRITTEN)
      AM_TRY(put_text(out, left - 8, top + side * ((double)t + 0.5) + 4, "end", "tick", name));
    for (int64_t p = 0; p < k; p++) {
      double share = items ? (double)counts[t * k + p] / (double)items : 0, x = left + side * (double)p,
             y = top + side * (double)t;
      AM_TRY(am_str_printf(
          out,
          "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" class=\"%s\" fill-opacity=\"%.3f\"/>",
          x, y, side, side, t == p ? "hit" : "miss", share));
      if (k > MOST_WRITTEN || counts[t * k + p] == 0) continue;
      char number[32];
      snprintf(number, sizeof number, "%lld", (long long)counts[t * k + p]);
      AM_TRY(put_text(out, x + side / 2, y + side / 2 + 4, "middle", share > 0.55 ? "count on" : "count",
                      number));
    }
  }
  AM_TRY(am_str_printf(out, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" class=\"frame\"/>\n", left,
                       top, span, span));
  AM_TRY(put_text(out, left, top - 8, "start", "tick", "called \xe2\x86\x92"));
  AM_TRY(put_text(out, left - 8, top - 8, "end", "tick", "true \xe2\x86\x93"));
  return am_str_printf(out, "</svg>\n");
}
