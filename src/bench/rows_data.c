// What brings images to a network: photographs, shards, the loader.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/str.h"
#include "bench/rows.h"

// ---- photographs ----

enum { PHOTOS = 24, PHOTO_WIDTH = 500, PHOTO_HEIGHT = 375, SHORT_SIDE = 256, CROP = 224 };

typedef struct {
  char **path;  // owned
  int64_t count;
  uint32_t crc;  // of the pixels of all pictures so far
} decode;

static void decode_close(void *self) {
  decode *d = self;
  for (int64_t i = 0; d->path && i < d->count; i++) free(d->path[i]);
  free(d->path);
  free(d);
}

static am_err draw_photos(const am_bench *b, decode *d) {
  const int64_t shrink = b->tiny ? 8 : 1;
  for (int64_t i = 0; i < d->count; i++) {
    AM_TRY(am_str_format(&d->path[i], "%s/%lld.jpg", b->scratch, (long long)i));
    AM_TRY(am_bench_draw_jpeg(d->path[i], (uint64_t)i, PHOTO_WIDTH / shrink, PHOTO_HEIGHT / shrink));
  }
  return AM_OK;
}

static am_err describe_photos(const am_bench *b, const decode *d, am_bench_work *work) {
  int64_t bytes = 0;
  for (int64_t i = 0; i < d->count; i++) {
    int64_t one = 0;
    AM_TRY(am_file_size(d->path[i], &one));
    bytes += one;
  }
  *work = (am_bench_work){.items = (double)d->count};
  snprintf(work->note, sizeof work->note, "%lld %s of %.0f kB on average", (long long)d->count,
           b->photo_count ? "photographs" : "drawn pictures", 1e-3 * (double)bytes / (double)d->count);
  return AM_OK;
}

static am_err decode_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  decode *d = NULL;
  AM_GO(done, AM_NEW(&d));
  const int64_t count = am_min_i64(b->photo_count ? b->photo_count : PHOTOS, b->tiny ? 3 : AM_BENCH_PHOTOS_MAX);
  AM_GO(done, AM_NEW_ARRAY(&d->path, count));
  d->count = count;
  for (int64_t i = 0; b->photo_count && i < count; i++) AM_GO(done, am_mem_strdup(b->photo[i], &d->path[i]));
  if (!b->photo_count) AM_GO(done, draw_photos(b, d));
  AM_GO(done, describe_photos(b, d, work));
  *self = d;
  d = NULL;
done:
  if (d) decode_close(d);
  return err;
}

// torchvision's Resize(256) and CenterCrop(224), as predict has them.
static am_err prepare_photo(const char *path, am_image *out) {
  static const am_image_fit fit = {
      .size = CROP, .short_side = SHORT_SIDE, .channels = 3, .filter = AM_RESIZE_BILINEAR, .kind = AM_FIT_CROP};
  am_image whole = {0};
  am_err err = am_image_read(path, &whole);
  if (!err) err = am_fit_image(&whole, &fit, out);
  am_image_fini(&whole);
  return err;
}

static am_err decode_step(void *self) {
  decode *d = self;
  for (int64_t i = 0; i < d->count; i++) {
    am_image image = {0};
    AM_TRY(prepare_photo(d->path[i], &image));
    d->crc = am_crc32c(d->crc, image.pixel, 64);  // all of it would be measured, too
    am_image_fini(&image);
  }
  return AM_OK;
}

static am_err decode_check(void *self, double *value) {
  decode *d = self;
  for (int64_t i = 0; i < d->count; i++) {
    am_image image = {0};
    AM_TRY(prepare_photo(d->path[i], &image));
    d->crc = am_crc32c(d->crc, image.pixel, (size_t)(image.height * image.width * image.channels));
    am_image_fini(&image);
  }
  *value = d->crc;
  return AM_OK;
}

const am_bench_row am_row_decode = {
    .name = "decode",
    .doc = "JPEG file to 224 px on one core: decode, antialiased to a short side of 256, centre crop",
    .unit = "images/s",
    .flags = AM_BENCH_ONE_CORE,
    .open = decode_open,
    .step = decode_step,
    .check = decode_check,
    .close = decode_close};

// ---- shards ----

enum { SHARD_SIZE = 32, SHARD_IMAGE_BYTES = 3 * SHARD_SIZE * SHARD_SIZE, READ_IMAGES = 100000, WRITE_IMAGES = 20000 };

typedef struct {
  am_dataset *data;  // owned
  int64_t *order;    // owned
  int64_t count;
  uint32_t crc;  // of what was read
  bool check;
} shard_read;

static void shard_read_close(void *self) {
  shard_read *s = self;
  am_dataset_free(s->data);
  free(s->order);
  free(s);
}

static am_err shard_read_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  shard_read *s = NULL;
  char *path = NULL;
  AM_GO(done, AM_NEW(&s));
  s->count = b->tiny ? 50 : READ_IMAGES;
  AM_GO(done, AM_NEW_ARRAY(&s->order, s->count));
  am_rng rng = am_rng_at(AM_BENCH_SEED, AM_RNG_ORDER, 0);
  am_rng_permutation(&rng, s->order, s->count);
  AM_GO(done, am_str_format(&path, "%s/read.h5", b->scratch));
  AM_GO(done, am_bench_draw_shard(path, s->count, SHARD_SIZE, 10));
  AM_GO(done, am_dataset_from_shards(path, NULL, &s->data));
  *work = (am_bench_work){.items = (double)s->count, .bytes = 2.0 * (double)(s->count * SHARD_IMAGE_BYTES)};
  *self = s;
  s = NULL;
done:
  free(path);
  if (s) shard_read_close(s);
  return err;
}

// Every image once. All of its bytes arrive in the caller's buffer; a few are looked at.
static am_err shard_read_step(void *self) {
  shard_read *s = self;
  uint8_t pixel[SHARD_IMAGE_BYTES];
  for (int64_t i = 0; i < s->count; i++) {
    AM_TRY(am_dataset_pixels(s->data, s->order[i], pixel));
    s->crc += pixel[0] + pixel[SHARD_IMAGE_BYTES - 1];
    if (s->check) s->crc = am_crc32c(s->crc, pixel, sizeof pixel);
  }
  return AM_OK;
}

static am_err shard_read_check(void *self, double *value) {
  shard_read *s = self;
  s->check = true;
  am_err err = shard_read_step(s);
  s->check = false;
  *value = s->crc;
  return err;
}

const am_bench_row am_row_shard_read = {.name = "shard-read",
                                        .doc = "3 kB images of a shard in random order, from the page cache, on one core",
                                        .unit = "images/s",
                                        .flags = AM_BENCH_ONE_CORE,
                                        .open = shard_read_open,
                                        .step = shard_read_step,
                                        .check = shard_read_check,
                                        .close = shard_read_close};

typedef struct {
  uint8_t *pixel;  // owned: all images
  int64_t count;
  char *shard, *raw;  // owned: paths
  am_shard_desc desc;
} shard_write;

static void shard_write_close(void *self) {
  shard_write *s = self;
  free(s->pixel);
  free(s->shard);
  free(s->raw);
  free(s);
}

static am_err shard_write_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  static const char *const class_name[] = {"noise"};
  am_err err = AM_OK;
  shard_write *s = NULL;
  AM_GO(done, AM_NEW(&s));
  s->count = b->tiny ? 50 : WRITE_IMAGES;
  s->desc = (am_shard_desc){.encoding = AM_ENCODING_RAW,
                            .height = SHARD_SIZE,
                            .width = SHARD_SIZE,
                            .channels = 3,
                            .class_count = 1,
                            .class_name = class_name};
  AM_GO(done, AM_NEW_ARRAY(&s->pixel, s->count * SHARD_IMAGE_BYTES));
  am_bench_draw_noise(0, s->pixel, s->count * SHARD_IMAGE_BYTES);
  AM_GO(done, am_str_format(&s->shard, "%s/written.h5", b->scratch));
  AM_GO(done, am_str_format(&s->raw, "%s/raw", b->scratch));
  *work = (am_bench_work){.items = 1e-9 * (double)(s->count * SHARD_IMAGE_BYTES)};
  snprintf(work->note, sizeof work->note, "%lld images of 3 kB", (long long)s->count);
  *self = s;
  s = NULL;
done:
  if (s) shard_write_close(s);
  return err;
}

static am_err shard_write_step(void *self) {
  am_err err = AM_OK;
  shard_write *s = self;
  am_shard_writer *w = NULL;
  AM_GO(done, am_shard_writer_new(&s->desc, &w));
  for (int64_t i = 0; i < s->count; i++)
    AM_GO(done, am_shard_add(w, s->pixel + i * SHARD_IMAGE_BYTES, SHARD_IMAGE_BYTES, 0, i, NULL));
  AM_GO(done, am_shard_publish(w, s->shard));
done:
  am_shard_writer_free(w);
  return err;
}

static am_err shard_write_check(void *self, double *value) {
  shard_write *s = self;
  char *bytes = NULL;
  size_t count = 0;
  AM_TRY(am_file_read(s->shard, AM_IMAGE_FILE_BYTES, &bytes, &count));
  *value = am_crc32c(0, bytes, count);
  free(bytes);
  return AM_OK;
}

// The same bytes by write and fsync.
static am_err shard_write_reference(void *self) {
  enum { CHUNK = 1 << 20 };
  const shard_write *s = self;
  const int64_t bytes = s->count * SHARD_IMAGE_BYTES;
  int fd = open(s->raw, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  AM_CHECK(fd >= 0, AM_ERR_IO, "cannot write %s", s->raw);
  bool ok = true;
  for (int64_t at = 0, got = 0; ok && at < bytes; at += got) {
    got = write(fd, s->pixel + at, (size_t)am_min_i64(CHUNK, bytes - at));
    ok = got > 0;
  }
  ok = ok && fsync(fd) == 0;
  ok = close(fd) == 0 && ok;
  AM_CHECK(ok, AM_ERR_IO, "writing %s failed", s->raw);
  return AM_OK;
}

const am_bench_row am_row_shard_write = {.name = "shard-write",
                                         .doc = "a shard of 3 kB images, built, written and synced",
                                         .unit = "GB/s",
                                         .flags = AM_BENCH_ONE_CORE,
                                         .open = shard_write_open,
                                         .step = shard_write_step,
                                         .check = shard_write_check,
                                         .reference = shard_write_reference,
                                         .reference_doc = "write and fsync of the same bytes",
                                         .close = shard_write_close};

// ---- the loader ----

enum { LOADER_IMAGES = 20000 };

// A step is many batches: the first ones are there already, because workers read ahead.
typedef struct {
  int64_t size, batch, batches;
  bool photos;
  const char *augment;
} loader_variant;

typedef struct {
  am_bench_images images;
  am_batch batch;
  int64_t batches;
  size_t batch_bytes;
} loading;

static void loader_close(void *self) {
  loading *l = self;
  am_bench_images_close(&l->images);
  free(l);
}

static am_err loader_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  const loader_variant *v = variant;
  am_err err = AM_OK;
  loading *l = NULL;
  void *photos = NULL;
  AM_GO(done, AM_NEW(&l));
  am_bench_images_cfg cfg = {.count = b->tiny ? 100 : LOADER_IMAGES,
                             .size = b->tiny ? SHARD_SIZE : v->size,
                             .classes = 10,
                             .batch = b->tiny ? 8 : v->batch,
                             .workers = b->threads,
                             .augment = v->augment};
  *work = (am_bench_work){0};
  if (v->photos) {
    AM_GO(done, decode_open(b, NULL, work, &photos));  // lists them, or draws some
    cfg.file = ((decode *)photos)->path;
    cfg.count = ((decode *)photos)->count;
    cfg.batch = am_min_i64(cfg.batch, cfg.count);
  }
  AM_GO(done, am_bench_images_open(b, &cfg, &l->images));
  l->batch_bytes = (size_t)(cfg.batch * 3 * cfg.size * cfg.size) * sizeof(float);
  l->batches = b->tiny ? 1 : v->batches;
  work->items = (double)(cfg.batch * l->batches);
  snprintf(work->note + strlen(work->note), sizeof work->note - strlen(work->note), "%sworkers: %d",
           work->note[0] ? ", " : "", cfg.workers);
  *self = l;
  l = NULL;
done:
  if (photos) decode_close(photos);
  if (l) loader_close(l);
  return err;
}

static am_err loader_step(void *self) {
  loading *l = self;
  for (int64_t k = 0; k < l->batches; k++) AM_TRY(am_loader_next(l->images.loader, &l->batch));
  return AM_OK;
}

static am_err loader_check(void *self, double *value) {
  const loading *l = self;
  *value = am_crc32c(0, l->batch.image, l->batch_bytes);
  return AM_OK;
}

static const loader_variant small = {SHARD_SIZE, 128, 64, false, "[random_crop, horizontal_flip]"};
static const loader_variant photographs = {CROP, 16, 16, true, "[random_resized_crop, horizontal_flip]"};

const am_bench_row am_row_loader = {.name = "loader",
                                    .doc = "batches of 128 images, 32 px, cropped at random, flipped, normalised",
                                    .unit = "images/s",
                                    .variant = &small,
                                    .open = loader_open,
                                    .step = loader_step,
                                    .check = loader_check,
                                    .close = loader_close};
const am_bench_row am_row_loader_photos = {
    .name = "loader-photos",
    .doc = "batches of 16 photographs: random parts of the JPEG files to 224 px, flipped, normalised",
    .unit = "images/s",
    .variant = &photographs,
    .open = loader_open,
    .step = loader_step,
    .check = loader_check,
    .close = loader_close};
