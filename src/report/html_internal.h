// The sections of report.html; not for other folders. Each writes nothing when it has nothing to show.
#ifndef AM_REPORT_HTML_INTERNAL_H
#define AM_REPORT_HTML_INTERNAL_H

#include "report/table.h"

extern const char am_html_style[];  // html_style.c

AM_MUST_USE am_err am_html_overview(am_results *r, am_str *out);   // html_charts.c: dots per arm
AM_MUST_USE am_err am_html_curves(am_results *r, am_str *out);     // trainings, then fits
AM_MUST_USE am_err am_html_confusion(am_results *r, am_str *out);  // html_images.c
AM_MUST_USE am_err am_html_samples(am_results *r, am_str *out);
AM_MUST_USE am_err am_html_cost(am_results *r, am_str *out);  // html_facts.c
AM_MUST_USE am_err am_html_provenance(am_results *r, am_str *out);

#endif
