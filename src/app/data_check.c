#include "app/data_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "data/checksum.h"

void am_data_report_fini(am_data_report *report) {
  for (int64_t i = 0; i < report->corrupt_count; i++) free(report->reason[i]);
  free(report->reason);
  free(report->twin);
  *report = (am_data_report){0};
}

typedef struct {
  am_manifest *m;
  const am_file_list *list;
  char **reason;  // owned (count): why an image cannot be read, or NULL
} reading;

static am_err read_one(void *user, int64_t i) {
  reading *r = user;
  am_image image = {0};
  am_err err = am_manifest_image(r->m, r->list, i, &image);
  am_image_fini(&image);
  if (err != AM_ERR_DATA && err != AM_ERR_IO) return err;
  return am_mem_strdup(am_err_last()->message, &r->reason[i]);
}

static am_err read_all(am_manifest *m, const am_file_list *list, am_data_report *report) {
  enum { READERS = 4 };
  am_err err = AM_OK;
  reading r = {.m = m, .list = list};
  AM_TRY(AM_NEW_ARRAY(&r.reason, list->count));
  AM_GO(done, am_parallel_for(READERS, list->count, read_one, &r));
  for (int64_t i = 0; i < list->count; i++) {
    if (!r.reason[i]) continue;
    AM_GO(done, AM_GROW(&report->reason, &report->capacity, report->corrupt_count + 1));
    report->reason[report->corrupt_count++] = r.reason[i];
    r.reason[i] = NULL;
  }
done:
  for (int64_t i = 0; i < list->count; i++) free(r.reason[i]);
  free(r.reason);
  return err;
}

// ---- files of equal bytes ----

typedef struct {
  const uint8_t *sha256;
  int64_t index;
} hashed;

static int by_hash(const void *a, const void *b) {
  const hashed *x = a, *y = b;
  int order = memcmp(x->sha256, y->sha256, AM_SHA256_BYTES);
  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

static bool same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static am_err find_twins(const am_file_list *list, am_data_report *report) {
  am_err err = AM_OK;
  hashed *sorted = NULL;
  AM_GO(done, AM_NEW_ARRAY(&sorted, list->count));
  AM_GO(done, AM_NEW_ARRAY(&report->twin, list->count));
  report->count = list->count;
  for (int64_t i = 0; i < list->count; i++) sorted[i] = (hashed){list->entry[i].sha256, i};
  qsort(sorted, (size_t)list->count, sizeof *sorted, by_hash);
  for (int64_t i = 0, first = 0; i < list->count; i++) {
    if (memcmp(sorted[first].sha256, sorted[i].sha256, AM_SHA256_BYTES)) first = i;
    const am_file_entry *mine = &list->entry[sorted[i].index], *twin = &list->entry[sorted[first].index];
    bool repeats = i > first;
    report->twin[sorted[i].index] = repeats ? sorted[first].index : -1;
    report->twin_count += repeats;
    report->across_splits += repeats && !same_text(mine->split, twin->split);
    report->across_classes += repeats && mine->label != twin->label;
  }
done:
  free(sorted);
  return err;
}

am_err am_data_check(am_manifest *m, am_file_list *list, am_data_report *out) {
  am_err err = AM_OK;
  am_data_report report = {0};
  AM_GO(done, am_file_list_hash(list, NULL));
  AM_GO(done, find_twins(list, &report));
  AM_GO(done, read_all(m, list, &report));
  *out = report;
  report = (am_data_report){0};
done:
  am_data_report_fini(&report);
  return err;
}

// ---- saying it ----

static bool crosses(const am_file_list *list, int64_t a, int64_t b) {
  return !same_text(list->entry[a].split, list->entry[b].split) ||
         list->entry[a].label != list->entry[b].label;
}

static void print_twins(const am_data_report *report, const am_file_list *list, FILE *out) {
  enum { SHOWN = 20 };
  int64_t shown = 0, hidden = 0;
  for (int64_t i = 0; i < report->count; i++) {
    int64_t twin = report->twin[i];
    if (twin < 0 || !crosses(list, i, twin)) continue;
    if (shown++ >= SHOWN) {
      hidden++;
      continue;
    }
    const am_file_entry *a = &list->entry[twin], *b = &list->entry[i];
    fprintf(out, "  same bytes: %s (%s%s%s) and %s (%s%s%s)\n", a->path, list->class_name[a->label],
            a->split ? ", " : "", a->split ? a->split : "", b->path, list->class_name[b->label],
            b->split ? ", " : "", b->split ? b->split : "");
  }
  if (hidden) fprintf(out, "  and %lld more\n", (long long)hidden);
}

static void print_stated(const char *what, int64_t stated, int64_t found, FILE *out) {
  if (stated == 0 || stated == found) return;
  fprintf(out, "%s has %lld images, here are %lld: this is a part of it, or not the same\n", what,
          (long long)stated, (long long)found);
}

// What the manifest says of the whole set and of its splits, where all of it was looked at.
static void print_expected(const am_manifest *m, const am_selection *what, const am_file_list *list,
                           FILE *out) {
  if (what->class_count) return;
  for (int64_t k = 0; k < am_manifest_split_count(m); k++) {
    const char *split = am_manifest_split_name(m, k);
    int64_t found = 0;
    char name[128];
    if (what->split ? strcmp(what->split, split) != 0 : am_manifest_split_is_unlabelled(m, k)) continue;
    for (int64_t i = 0; i < list->count; i++) found += same_text(list->entry[i].split, split);
    snprintf(name, sizeof name, "the complete split %s", split);
    print_stated(name, am_manifest_split_images(m, k), found, out);
  }
  if (what->split) return;
  print_stated("the complete set", am_manifest_describe(m)->images, list->count, out);
  for (int64_t k = 0; k < am_manifest_split_count(m); k++) {
    if (am_manifest_split_is_unlabelled(m, k))
      fprintf(out, "the split %s has no labels and was not looked at: --split %s\n",
              am_manifest_split_name(m, k), am_manifest_split_name(m, k));
  }
}

void am_data_print(const am_data_report *report, const am_manifest *m, const am_selection *what,
                   const am_file_list *list, FILE *out) {
  fprintf(out, "%lld images, %lld distinct\n", (long long)report->count,
          (long long)(report->count - report->twin_count));
  print_expected(m, what, list, out);
  if (report->across_splits) {
    fprintf(out, "%lld images repeat one of another split: dividing by files would leak\n",
            (long long)report->across_splits);
  }
  if (report->across_classes) {
    fprintf(out, "%lld images repeat one of another class: a label is wrong\n",
            (long long)report->across_classes);
  }
  print_twins(report, list, out);
  for (int64_t i = 0; i < report->corrupt_count; i++) fprintf(out, "  corrupt: %s\n", report->reason[i]);
}

am_err am_data_verdict(const am_data_report *report, const am_manifest *m) {
  AM_CHECK(report->corrupt_count == 0, AM_ERR_DATA, "%s: %lld of %lld images cannot be read; the first: %s",
           am_manifest_name(m), (long long)report->corrupt_count, (long long)report->count,
           report->reason[0]);
  return AM_OK;
}

am_err am_data_checksums(const am_manifest *m, const char *data_dir, FILE *out) {
  int64_t agree = 0, differ = 0, count = am_checksum_count(m);
  for (int64_t k = 0; k < count; k++) {
    am_checksum sum;
    AM_TRY(am_checksum_look(m, data_dir, k, &sum));
    agree += sum.there && sum.agrees;
    differ += sum.there && !sum.agrees;
    if (sum.there && !sum.agrees)
      fprintf(out, "  %s of %s is %s, published is %s\n", sum.kind, sum.file, sum.found, sum.hex);
  }
  if (count)
    fprintf(out, "checksums: %lld agree, %lld differ, %lld are of files that are not here\n",
            (long long)agree, (long long)differ, (long long)(count - agree - differ));
  AM_CHECK(differ == 0, AM_ERR_DATA, "%s: %lld file%s not as published: the checksum differs",
           am_manifest_name(m), (long long)differ, differ == 1 ? " is" : "s are");
  return AM_OK;
}
