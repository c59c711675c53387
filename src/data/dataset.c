// Data sets: packed shards, and views on other data sets. A kind is a small table of functions.
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

struct am_dataset {
  am_err (*fetch)(am_dataset *d, int64_t i, bool as_stored, am_image *memory, am_stored *out);
  int64_t count;
  int64_t height, width, channels;
  int64_t class_count;
  char **class_name;     // owned
  int32_t *label;        // owned (count)
  am_shard_set *shards;  // owned: packed shards
  am_image_fit fit;      // what their files become
  am_dataset **part;     // owned: what a view stands on
  int64_t part_count;
  int64_t *index;  // owned (count): subset: which item of part 0
  int64_t *start;  // owned (part_count + 1): concat: first item of each part
};

void am_dataset_free(am_dataset *d) {
  if (!d) return;
  for (int64_t k = 0; d->class_name && k < d->class_count; k++) free(d->class_name[k]);
  free(d->class_name);
  free(d->label);
  am_shard_set_close(d->shards);
  for (int64_t k = 0; k < d->part_count; k++) am_dataset_free(d->part[k]);
  free(d->part);
  free(d->index);
  free(d->start);
  free(d);
}

int64_t am_dataset_count(const am_dataset *d) { return d->count; }
int64_t am_dataset_classes(const am_dataset *d) { return d->class_count; }
const char *am_dataset_class_name(const am_dataset *d, int64_t k) { return d->class_name[k]; }
int32_t am_dataset_label(const am_dataset *d, int64_t i) { return d->label[i]; }

void am_dataset_image_shape(const am_dataset *d, int64_t *height, int64_t *width, int64_t *channels) {
  *height = d->height;
  *width = d->width;
  *channels = d->channels;
}

am_err am_dataset_fetch(am_dataset *d, int64_t i, bool as_stored, am_image *memory, am_stored *out) {
  AM_CHECK(i >= 0 && i < d->count, AM_ERR_ARG, "item %lld of a data set of %lld", (long long)i,
           (long long)d->count);
  return d->fetch(d, i, as_stored, memory, out);
}

am_err am_dataset_pixels(am_dataset *d, int64_t i, uint8_t *out) {
  am_image memory = {0};
  am_stored image;
  am_err err = am_dataset_fetch(d, i, false, &memory, &image);
  if (!err) memcpy(out, image.bytes, image.count);
  am_image_fini(&memory);
  return err;
}

static am_err set_classes(am_dataset *d, const char *const *name, int64_t count) {
  AM_TRY(AM_NEW_ARRAY(&d->class_name, count));
  d->class_count = count;
  for (int64_t k = 0; k < count; k++) AM_TRY(am_mem_strdup(name[k], &d->class_name[k]));
  return AM_OK;
}

static am_err set_like(am_dataset *d, const am_dataset *like, int64_t count) {
  d->height = like->height;
  d->width = like->width;
  d->channels = like->channels;
  d->count = count;
  AM_TRY(set_classes(d, (const char *const *)like->class_name, like->class_count));
  return AM_NEW_ARRAY(&d->label, count);
}

// ---- packed shards ----

am_stored am_stored_pixels(const char *name, const am_image *image) {
  return (am_stored){.name = name,
                     .bytes = image->pixel,
                     .count = (size_t)(image->width * image->height * image->channels),
                     .width = image->width,
                     .height = image->height,
                     .channels = image->channels};
}

// A file decoded and brought to the data set's size.
static am_err decode_item(const am_dataset *d, am_shard *s, int64_t row, am_image *memory) {
  am_err err = AM_OK;
  am_image image = {0}, fitted = {0};
  AM_TRY(am_shard_image(s, row, &image));
  if (am_shard_describe(s)->height == 0) {
    AM_GO(done, am_fit_image(&image, &d->fit, &fitted));
  } else {
    fitted = image;
    image = (am_image){0};
  }
  AM_CHECK_GO(done, fitted.channels == d->channels, AM_ERR_DATA,
              "%s: image %lld has %lld channels, the shard says %lld", am_shard_path(s), (long long)row,
              (long long)fitted.channels, (long long)d->channels);
  am_image_fini(memory);
  *memory = fitted;
  fitted = (am_image){0};
done:
  am_image_fini(&image);
  am_image_fini(&fitted);
  return err;
}

static am_err shard_fetch(am_dataset *d, int64_t i, bool as_stored, am_image *memory, am_stored *out) {
  int64_t row = 0;
  am_shard *s = am_shard_set_at(d->shards, i, &row);
  am_stored stored = {.name = am_shard_path(s), .channels = d->channels};
  stored.encoded = am_shard_describe(s)->encoding != AM_ENCODING_RAW;
  if (stored.encoded && !as_stored) {
    AM_TRY(decode_item(d, s, row, memory));
    *out = am_stored_pixels(stored.name, memory);
    return AM_OK;
  }
  AM_TRY(am_shard_bytes(s, row, &stored.bytes, &stored.count));
  if (!stored.encoded) {
    stored.width = d->width;
    stored.height = d->height;
  }
  *out = stored;
  return AM_OK;
}

// Files of any size have that of the fit.
static am_err set_shape(am_dataset *d, const char *path, const am_image_fit *fit) {
  const am_shard_desc *desc = am_shard_set_describe(d->shards);
  d->height = desc->height;
  d->width = desc->width;
  d->channels = desc->channels;
  if (desc->height > 0) return AM_OK;
  AM_CHECK(fit && fit->size > 0, AM_ERR_DATA, "%s: the images differ in size; training needs one size", path);
  d->fit = *fit;
  d->height = d->width = fit->size;
  d->channels = fit->channels;
  return AM_OK;
}

am_err am_dataset_from_shards(const char *path, const am_image_fit *fit, am_dataset **out) {
  am_err err = AM_OK;
  am_dataset *d = NULL;
  AM_TRY(AM_NEW(&d));
  d->fetch = shard_fetch;
  AM_GO(done, am_shard_set_open(path, &d->shards));
  const am_shard_desc *desc = am_shard_set_describe(d->shards);
  AM_GO(done, set_shape(d, path, fit));
  d->count = am_shard_set_count(d->shards);
  AM_GO(done, set_classes(d, desc->class_name, desc->class_count));
  AM_GO(done, AM_NEW_ARRAY(&d->label, d->count));
  for (int64_t i = 0; i < d->count; i++) {
    int64_t row = 0;
    const am_shard *s = am_shard_set_at(d->shards, i, &row);
    d->label[i] = am_shard_label(s, row);
  }
  *out = d;
  d = NULL;
done:
  am_dataset_free(d);
  return err;
}

// ---- views ----

static am_err subset_fetch(am_dataset *d, int64_t i, bool as_stored, am_image *memory, am_stored *out) {
  return am_dataset_fetch(d->part[0], d->index[i], as_stored, memory, out);
}

am_err am_dataset_subset(am_dataset *base_take, const int64_t *index, int64_t count, am_dataset **out) {
  am_err err = AM_OK;
  am_dataset *d = NULL, *base = base_take;
  AM_GO(done, AM_NEW(&d));
  d->fetch = subset_fetch;
  AM_GO(done, AM_NEW_ARRAY(&d->part, 1));
  AM_GO(done, set_like(d, base, count));
  AM_GO(done, AM_NEW_ARRAY(&d->index, count));
  for (int64_t i = 0; i < count; i++) {
    AM_CHECK_GO(done, index[i] >= 0 && index[i] < base->count, AM_ERR_ARG, "item %lld of a data set of %lld",
                (long long)index[i], (long long)base->count);
    d->index[i] = index[i];
    d->label[i] = base->label[index[i]];
  }
  d->part[0] = base;
  d->part_count = 1;
  *out = d;
  return AM_OK;
done:
  am_dataset_free(d);
  am_dataset_free(base);
  return err;
}

static am_err concat_fetch(am_dataset *d, int64_t i, bool as_stored, am_image *memory, am_stored *out) {
  int64_t low = 0, high = d->part_count;  // the part with start[low] <= i < start[low + 1]
  while (high - low > 1) {
    int64_t middle = (low + high) / 2;
    if (d->start[middle] <= i) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return am_dataset_fetch(d->part[low], i - d->start[low], as_stored, memory, out);
}

static am_err check_same_kind(const am_dataset *a, const am_dataset *b) {
  AM_CHECK(a->height == b->height && a->width == b->width && a->channels == b->channels, AM_ERR_DATA,
           "cannot join images of %lld x %lld x %lld and of %lld x %lld x %lld", (long long)a->height,
           (long long)a->width, (long long)a->channels, (long long)b->height, (long long)b->width,
           (long long)b->channels);
  AM_CHECK(a->class_count == b->class_count, AM_ERR_DATA, "cannot join data sets of %lld and of %lld classes",
           (long long)a->class_count, (long long)b->class_count);
  for (int64_t k = 0; k < a->class_count; k++) {
    AM_CHECK(strcmp(a->class_name[k], b->class_name[k]) == 0, AM_ERR_DATA,
             "cannot join data sets whose class %lld is \"%s\" and \"%s\"", (long long)k, a->class_name[k],
             b->class_name[k]);
  }
  return AM_OK;
}

static am_err join(am_dataset *d, am_dataset *const *part, int64_t count) {
  AM_CHECK(count > 0, AM_ERR_ARG, "a data set of no parts");
  AM_TRY(AM_NEW_ARRAY(&d->start, count + 1));
  for (int64_t k = 0; k < count; k++) {
    AM_TRY(check_same_kind(part[0], part[k]));
    d->start[k + 1] = d->start[k] + part[k]->count;
  }
  AM_TRY(set_like(d, part[0], d->start[count]));
  for (int64_t k = 0; k < count; k++) {
    if (part[k]->count)
      memcpy(d->label + d->start[k], part[k]->label, (size_t)part[k]->count * sizeof *d->label);
  }
  AM_TRY(AM_NEW_ARRAY(&d->part, count));
  memcpy(d->part, part, (size_t)count * sizeof *part);
  d->part_count = count;
  return AM_OK;
}

am_err am_dataset_concat(am_dataset *const *part_take, int64_t count, am_dataset **out) {
  am_dataset *d = NULL;
  am_err err = AM_NEW(&d);
  if (!err) {
    d->fetch = concat_fetch;
    err = join(d, part_take, count);
  }
  if (err) {
    for (int64_t k = 0; k < count; k++) am_dataset_free(part_take[k]);
    am_dataset_free(d);  // took nothing: the parts are its own only once nothing can fail
    return err;
  }
  *out = d;
  return AM_OK;
}
