#include "data/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "base/thread.h"

void am_corrupt_list_fini(am_corrupt_list *c) {
  for (int64_t i = 0; i < c->count; i++) free(c->text[i]);
  free(c->text);
  *c = (am_corrupt_list){0};
}

static am_err note_corrupt(am_corrupt_list *c, const char *text) {
  AM_TRY(AM_GROW(&c->text, &c->capacity, c->count + 1));
  AM_TRY(am_mem_strdup(text, &c->text[c->count]));
  c->count++;
  return AM_OK;
}

static am_err fit_image(const am_image *in, const am_prepare_cfg *cfg, am_image *out) {
  if (cfg->fit == AM_FIT_STRETCH) return am_image_resize(in, cfg->size, cfg->size, cfg->filter, out);
  if (cfg->fit == AM_FIT_PAD) {
    AM_CHECK(am_max_i64(in->width, in->height) <= cfg->size, AM_ERR_DATA,
             "is %lldx%lld px, to be padded to %lld px it may not be larger", (long long)in->width,
             (long long)in->height, (long long)cfg->size);
    return am_image_center_crop(in, cfg->size, cfg->size, out);
  }
  am_image fitted = {0};
  AM_TRY(am_image_resize_short(in, cfg->size, cfg->filter, &fitted));
  am_err err = am_image_center_crop(&fitted, cfg->size, cfg->size, out);
  am_image_fini(&fitted);
  return err;
}

am_err am_prepare_image(const am_image *in, const am_prepare_cfg *cfg, am_image *out) {
  if (cfg->channels == in->channels) return fit_image(in, cfg, out);
  AM_CHECK(cfg->channels == 1, AM_ERR_ARG, "cannot make %lld channels of %lld", (long long)cfg->channels,
           (long long)in->channels);
  am_image grey = {0};
  AM_TRY(am_image_to_grey(in, &grey));
  am_err err = fit_image(&grey, cfg, out);
  am_image_fini(&grey);
  return err;
}

// A run of images that are decoded together, each into its own place.
typedef struct {
  am_manifest *m;
  const am_file_list *list;
  const am_prepare_cfg *cfg;
  int64_t first;
  am_image *image;  // owned (count); no pixels: could not be read
  char **reason;    // owned (count): why
} batch;

static am_err decode_one(void *user, int64_t k) {
  batch *b = user;
  am_image raw = {0};
  am_err err = am_manifest_image(b->m, b->list, b->first + k, &raw);
  if (err == AM_ERR_DATA) return am_mem_strdup(am_err_last()->message, &b->reason[k]);  // this image only
  if (err) return err;
  err = am_prepare_image(&raw, b->cfg, &b->image[k]);
  am_image_fini(&raw);
  if (err != AM_ERR_DATA) return err;
  return am_str_format(&b->reason[k], "%s: %s", b->list->entry[b->first + k].path, am_err_last()->message);
}

static am_err take_batch(batch *b, int64_t count, am_shard_writer *w, am_corrupt_list *corrupt) {
  for (int64_t k = 0; k < count; k++) {
    int64_t i = b->first + k;
    const am_file_entry *e = &b->list->entry[i];
    if (b->image[k].pixel) {
      AM_TRY(am_shard_add_image(w, &b->image[k], e->label, i, &e->index));
    } else {
      AM_TRY(note_corrupt(corrupt, b->reason[k]));
    }
  }
  return AM_OK;
}

static am_err decode_batch(batch *b, int64_t count, am_shard_writer *w, am_corrupt_list *corrupt) {
  am_err err = AM_OK;
  AM_GO(done, AM_NEW_ARRAY(&b->image, count));
  AM_GO(done, AM_NEW_ARRAY(&b->reason, count));
  AM_GO(done, am_parallel_for(b->cfg->workers, count, decode_one, b));
  AM_GO(done, take_batch(b, count, w, corrupt));
done:
  for (int64_t k = 0; k < count; k++) {
    if (b->image) am_image_fini(&b->image[k]);
    if (b->reason) free(b->reason[k]);
  }
  free(b->image);
  free(b->reason);
  b->image = NULL;
  b->reason = NULL;
  return err;
}

static am_err check_corrupt(const am_manifest *m, const am_file_list *list, const am_prepare_cfg *cfg,
                            const am_corrupt_list *c) {
  enum { MOST_NAMED = 5 };
  if ((double)c->count <= cfg->corrupt_limit * (double)list->count) return AM_OK;
  am_str named = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < c->count && i < MOST_NAMED && !err; i++)
    err = am_str_printf(&named, "%s%s", i ? "; " : "", c->text[i]);
  if (!err) {
    err = AM_FAIL(AM_ERR_DATA, "data set %s: %lld of %lld images cannot be read, at most %g %% may be: %s%s",
                  am_manifest_name(m), (long long)c->count, (long long)list->count, 100 * cfg->corrupt_limit,
                  am_str_get(&named), c->count > MOST_NAMED ? "; ..." : "");
  }
  am_str_fini(&named);
  return err;
}

static am_err write_block(am_manifest *m, const am_file_list *list, const am_prepare_cfg *cfg, int64_t first,
                          int64_t end, const char *dir, am_corrupt_list *corrupt) {
  enum { BATCH = 64 };
  am_err err = AM_OK;
  am_shard_writer *w = NULL;
  char *path = NULL;
  am_shard_desc desc = {.encoding = AM_ENCODING_RAW,
                        .height = cfg->size,
                        .width = cfg->size,
                        .channels = cfg->channels,
                        .class_count = list->class_count,
                        .class_name = (const char *const *)list->class_name,
                        .column_count = 1,
                        .column_name = {"source"}};
  AM_GO(done, am_shard_writer_new(&desc, &w));
  for (int64_t at = first; at < end; at += BATCH) {
    batch b = {.m = m, .list = list, .cfg = cfg, .first = at};
    AM_GO(done, decode_batch(&b, am_min_i64(BATCH, end - at), w, corrupt));
    AM_GO(done, check_corrupt(m, list, cfg, corrupt));
    if (cfg->watch) AM_GO(done, cfg->watch(cfg->user));
  }
  AM_GO(done, am_str_format(&path, "%s/block-%08lld.h5", dir, (long long)first));
  AM_GO(done, am_shard_publish(w, path));
done:
  am_shard_writer_free(w);
  free(path);
  return err;
}

am_err am_prepare_shards(am_manifest *m, const am_file_list *list, const am_prepare_cfg *cfg, const char *dir,
                         am_corrupt_list *corrupt) {
  AM_CHECK(cfg->size > 0 && cfg->block > 0, AM_ERR_ARG, "cannot prepare %lld px images in blocks of %lld",
           (long long)cfg->size, (long long)cfg->block);
  for (int64_t first = 0; first < list->count; first += cfg->block) {
    AM_TRY(write_block(m, list, cfg, first, am_min_i64(first + cfg->block, list->count), dir, corrupt));
  }
  return AM_OK;
}
