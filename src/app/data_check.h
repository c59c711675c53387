// What `augmint data` finds out about an image set: published checksums and numbers of images, corrupt
// images, and images of equal bytes.
#ifndef AM_APP_DATA_CHECK_H
#define AM_APP_DATA_CHECK_H

#include "data/manifest.h"

typedef struct {
  char **reason;  // owned: why an image cannot be read, naming it, in the order of the listing
  int64_t corrupt_count, capacity;
  int64_t *twin;           // owned: for each file the first one with the same bytes, -1: itself
  int64_t count;           // files
  int64_t twin_count;      // files that repeat an earlier one
  int64_t across_splits;   // ... that is in another split
  int64_t across_classes;  // ... that is of another class
} am_data_report;
// Hashes and decodes every file of the list. Errors: only those of the machine; what is wrong with
// the data is in the report.
AM_MUST_USE am_err am_data_check(am_manifest *m, am_file_list *list, am_data_report *out);
void am_data_report_fini(am_data_report *report);
void am_data_print(const am_data_report *report, const am_manifest *m, const am_selection *what,
                   const am_file_list *list, FILE *out);
// Errors: AM_ERR_DATA files are corrupt.
AM_MUST_USE am_err am_data_verdict(const am_data_report *report, const am_manifest *m);

// Compares the files and archives that are there with the manifest's checksums and says how many agree.
// Errors: AM_ERR_DATA one differs (every one is printed).
AM_MUST_USE am_err am_data_checksums(const am_manifest *m, const char *data_dir, FILE *out);

#endif
