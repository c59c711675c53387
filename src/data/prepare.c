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

// What becomes of one image.
typedef struct {
  am_image image;  // owned: its pixels; none where the file is kept, or could not be read
  char *file;      // owned: its file as it is, where that is kept
  size_t file_bytes;
  char *reason;  // owned: why it could not be read
} prepared;

// A run of images that are decoded together, each into its own place.
typedef struct {
  am_manifest *m;
  const am_file_list *list;
  const am_prepare_cfg *cfg;
  int64_t first;
  prepared *item;  // owned
} batch;

// Keeps the file (PNG where the image has none of its own) and decodes it.
static am_err read_file(const batch *b, int64_t i, prepared *p, am_image *raw) {
  AM_TRY(am_manifest_file(b->m, b->list, i, &p->file, &p->file_bytes));
  if (p->file) return am_image_decode(b->list->entry[i].path, p->file, p->file_bytes, raw);
  uint8_t *png = NULL;
  AM_TRY(am_manifest_image(b->m, b->list, i, raw));
  AM_TRY(am_image_encode_png(raw, &png, &p->file_bytes));
  p->file = (char *)png;
  return AM_OK;
}

// Everything is decoded and fitted, also where only the file is kept: the same images are left out.
static am_err decode_one(void *user, int64_t k) {
  batch *b = user;
  prepared *p = &b->item[k];
  am_image raw = {0};
  am_err err = b->cfg->keep_files ? read_file(b, b->first + k, p, &raw)
                                  : am_manifest_image(b->m, b->list, b->first + k, &raw);
  if (err == AM_ERR_DATA) return am_mem_strdup(am_err_last()->message, &p->reason);  // this image only
  if (!err) err = am_fit_image(&raw, &b->cfg->fit, &p->image);
  am_image_fini(&raw);
  if (err != AM_ERR_DATA) return err;
  return am_str_format(&p->reason, "%s: %s", b->list->entry[b->first + k].path, am_err_last()->message);
}

static am_err take_batch(const batch *b, int64_t count, am_shard_writer *w, am_corrupt_list *corrupt) {
  for (int64_t k = 0; k < count; k++) {
    int64_t i = b->first + k;
    const am_file_entry *e = &b->list->entry[i];
    const prepared *p = &b->item[k];
    if (p->reason) {
      AM_TRY(note_corrupt(corrupt, p->reason));
    } else if (p->file) {
      AM_TRY(am_shard_add(w, p->file, p->file_bytes, e->label, i, &e->index));
    } else {
      AM_TRY(am_shard_add_image(w, &p->image, e->label, i, &e->index));
    }
  }
  return AM_OK;
}

static am_err decode_batch(batch *b, int64_t count, am_shard_writer *w, am_corrupt_list *corrupt) {
  am_err err = AM_OK;
  AM_TRY(AM_NEW_ARRAY(&b->item, count));
  AM_GO(done, am_parallel_for(b->cfg->workers, count, decode_one, b));
  AM_GO(done, take_batch(b, count, w, corrupt));
done:
  for (int64_t k = 0; k < count; k++) {
    am_image_fini(&b->item[k].image);
    free(b->item[k].file);
    free(b->item[k].reason);
  }
  free(b->item);
  b->item = NULL;
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
  am_shard_desc desc = {.encoding = AM_ENCODING_FILES,
                        .class_count = list->class_count,
                        .class_name = (const char *const *)list->class_name,
                        .column_count = 1,
                        .column_name = {"source"}};
  if (!cfg->keep_files) {
    desc.encoding = AM_ENCODING_RAW;
    desc.height = desc.width = cfg->fit.size;
    desc.channels = cfg->fit.channels;
  }
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
  AM_CHECK(cfg->fit.size > 0 && cfg->block > 0, AM_ERR_ARG, "cannot prepare %lld px images in blocks of %lld",
           (long long)cfg->fit.size, (long long)cfg->block);
  for (int64_t first = 0; first < list->count; first += cfg->block) {
    AM_TRY(write_block(m, list, cfg, first, am_min_i64(first + cfg->block, list->count), dir, corrupt));
  }
  return AM_OK;
}
