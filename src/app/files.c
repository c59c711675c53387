#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"

enum { FOLDER_DEPTH = 32 };  // links that lead in circles end here

// ---- images below a folder ----

static bool ends_in(const char *name, const char *const *ending, int64_t count) {
  size_t n = strlen(name);
  for (int64_t e = 0; e < count; e++) {
    size_t m = strlen(ending[e]);
    if (n > m && !strcasecmp(name + n - m, ending[e])) return true;
  }
  return false;
}

static bool is_image_name(const char *name) {
  static const char *const ours[] = {".jpg", ".jpeg", ".png"};
  return ends_in(name, ours, AM_COUNT_OF(ours));
}

// Pictures that others read.
static bool is_foreign_name(const char *name) {
  static const char *const foreign[] = {".webp", ".bmp", ".gif",  ".tif",  ".tiff",
                                        ".ppm",  ".pgm", ".avif", ".heic", ".jxl"};
  return ends_in(name, foreign, AM_COUNT_OF(foreign));
}

typedef struct {
  const char *dir;
  am_image_files *out;
  int64_t foreign;  // how many were left out
  char *example;    // owned: one of them
} finder;

static am_err find_below(finder *f, const char *below, int depth);

static am_err find_file(finder *f, const char *below, const char *name, int depth) {
  am_err err = AM_OK;
  char *rest = NULL, *full = NULL;
  am_image_files *out = f->out;
  AM_GO(done, am_path_join(below, name, &rest));
  AM_GO(done, am_path_join(f->dir, rest, &full));
  if (am_path_is_dir(full)) {
    AM_GO(done, find_below(f, rest, depth + 1));
  } else if (is_image_name(name)) {
    AM_GO(done, AM_GROW(&out->path, &out->capacity, out->count + 1));
    out->path[out->count++] = rest;
    rest = NULL;
  } else if (is_foreign_name(name) && f->foreign++ == 0) {
    f->example = rest;
    rest = NULL;
  }
done:
  free(rest);
  free(full);
  return err;
}

static am_err find_below(finder *f, const char *below, int depth) {
  am_err err = AM_OK;
  char *folder = NULL;
  am_dir_list list = {0};
  AM_CHECK(depth < FOLDER_DEPTH, AM_ERR_DATA, "%s/%s: folders are nested deeper than %d", f->dir, below,
           FOLDER_DEPTH);
  AM_GO(done, *below ? am_path_join(f->dir, below, &folder) : am_mem_strdup(f->dir, &folder));
  AM_GO(done, am_dir_read(folder, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (list.name[i][0] == '.') continue;  // ".cache", "._image.jpg"
    AM_GO(done, find_file(f, below, list.name[i], depth));
  }
done:
  am_dir_list_fini(&list);
  free(folder);
  return err;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

am_err am_image_files_find(const char *dir, am_image_files *out) {
  am_err err = AM_OK;
  am_image_files files = {0};
  finder f = {.dir = dir, .out = &files};
  AM_GO(done, am_mem_strdup(dir, &files.dir));
  AM_GO(done, find_below(&f, "", 0));
  AM_CHECK_GO(done, files.count > 0, AM_ERR_DATA, "%s holds no image (.jpg, .jpeg or .png)", dir);
  if (f.foreign)
    AM_WARN("%s: %lld pictures that are neither JPEG nor PNG are left out, such as %s", dir, (long long)f.foreign,
            f.example);
  qsort(files.path, (size_t)files.count, sizeof *files.path, by_bytes);
  *out = files;
  files = (am_image_files){0};
done:
  free(f.example);
  am_image_files_fini(&files);
  return err;
}

static am_err list_set(const am_app *app, const am_image_choice *choice, am_image_files *out) {
  am_err err = AM_OK;
  am_image_files files = {0};
  AM_GO(failed, am_manifest_load(choice->manifest, app->manifest_dir, &files.manifest));
  AM_GO(failed, am_manifest_list(files.manifest, app->data_dir, &(am_selection){.split = choice->split},
                                 &files.list));
  AM_GO(failed, AM_NEW_ARRAY(&files.path, files.list.count));
  for (; files.count < files.list.count; files.count++)
    AM_GO(failed, am_mem_strdup(files.list.entry[files.count].path, &files.path[files.count]));
  *out = files;
  return AM_OK;
failed:
  am_image_files_fini(&files);
  return err;
}

am_err am_image_files_choose(const am_app *app, const am_image_choice *choice, am_image_files *out) {
  AM_CHECK(!choice->dir != !choice->manifest, AM_ERR_CONFIG,
           "%s needs either --images DIR or --manifest NAME", app->command->name);
  AM_CHECK(choice->manifest || !choice->split, AM_ERR_CONFIG,
           "--split %s is of a data set: give --manifest too", choice->split);
  return choice->dir ? am_image_files_find(choice->dir, out) : list_set(app, choice, out);
}

void am_image_files_fini(am_image_files *files) {
  for (int64_t i = 0; i < files->count; i++) free(files->path[i]);
  free(files->path);
  free(files->dir);
  am_file_list_fini(&files->list);
  am_manifest_free(files->manifest);
  *files = (am_image_files){0};
}

am_err am_image_files_read(const am_image_files *files, int64_t i, am_image *out) {
  char *path = NULL;
  if (files->manifest) return am_manifest_image(files->manifest, &files->list, i, out);
  AM_TRY(am_path_join(files->dir, files->path[i], &path));
  am_err err = am_image_read(path, out);
  free(path);
  return err;
}

// ---- folders that appear whole ----

static am_err is_free(const char *path, bool *out) {
  am_dir_list list = {0};
  *out = true;
  if (!am_path_exists(path)) return AM_OK;
  AM_CHECK(am_path_is_dir(path), AM_ERR_IO, "%s is a file, expected a folder", path);
  AM_TRY(am_dir_read(path, &list));
  *out = list.count == 0;
  am_dir_list_fini(&list);
  return AM_OK;
}

am_err am_output_begin(const char *path, bool force, am_output *out) {
  am_err err = AM_OK;
  am_output o = {0};
  bool empty = false;
  AM_GO(failed, is_free(path, &empty));
  AM_CHECK_GO(failed, empty || force, AM_ERR_IO,
              "%s is not empty: choose another folder, or --force to set it aside", path);
  AM_GO(failed, am_mem_strdup(path, &o.path));
  for (size_t n = strlen(o.path); n > 1 && o.path[n - 1] == '/'; n--) o.path[n - 1] = '\0';
  AM_GO(failed, am_str_format(&o.work, "%s.part-%ld", o.path, (long)getpid()));
  AM_GO(failed, am_path_mkdirs(o.work));
  *out = o;
  return AM_OK;
failed:
  free(o.path);
  free(o.work);
  return err;
}

// Makes way for what is about to take the place.
static am_err clear_place(const char *path) {
  am_err err = AM_OK;
  char *aside = NULL;
  bool empty = false;
  AM_TRY(is_free(path, &empty));
  if (!am_path_exists(path)) return AM_OK;
  if (empty) {
    AM_CHECK(rmdir(path) == 0, AM_ERR_IO, "cannot replace the empty folder %s: %s", path, strerror(errno));
    return AM_OK;
  }
  AM_TRY(am_str_format(&aside, "%s.old", path));
  AM_CHECK_GO(done, !am_path_exists(aside), AM_ERR_IO,
              "%s is in the way: remove it, it is from an earlier --force", aside);
  AM_GO(done, am_path_rename(path, aside));
done:
  free(aside);
  return err;
}

am_err am_output_commit(am_output *out) {
  AM_TRY(clear_place(out->path));
  AM_TRY(am_path_rename(out->work, out->path));
  free(out->work);
  out->work = NULL;
  return AM_OK;
}

am_err am_output_commit_child(am_output *out, const char *name) {
  char *child = NULL;
  AM_TRY(am_path_join(out->work, name, &child));
  am_err err = clear_place(out->path);
  if (!err) err = am_path_rename(child, out->path);
  free(child);
  return err;
}

void am_output_fini(am_output *out) {
  if (out->work) {
    am_err_record keep = *am_err_last();  // cleaning up must not hide why
    if (am_path_remove_tree(out->work) != AM_OK) am_err_restore(&keep);
  }
  free(out->path);
  free(out->work);
  *out = (am_output){0};
}

// Without the fsync of base/path: the folder only counts once it has been renamed.
static am_err write_new(const char *path, const void *bytes, size_t count) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) return AM_FAIL(AM_ERR_DATA, "two images would become %s", path);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
  AM_CHECK(f, AM_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  bool good = fwrite(bytes, 1, count, f) == count;
  good = fclose(f) == 0 && good;
  AM_CHECK(good, AM_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  return AM_OK;
}

am_err am_output_png(const am_output *out, const char *name, const am_image *image) {
  am_err err = AM_OK;
  char *path = NULL;
  uint8_t *png = NULL;
  size_t count = 0;
  AM_GO(done, am_path_join(out->work, name, &path));
  char *slash = strrchr(path, '/');
  *slash = '\0';
  AM_GO(done, am_path_mkdirs(path));
  *slash = '/';
  AM_GO(done, am_image_encode_png(image, &png, &count));
  AM_GO(done, write_new(path, png, count));
done:
  free(path);
  free(png);
  return err;
}

// ---- sheets ----

am_err am_sheet_add_blank(am_sheet *sheet, int64_t side) {
  am_image tile = {0};
  AM_TRY(AM_GROW(&sheet->tile, &sheet->capacity, sheet->count + 1));
  AM_TRY(am_image_new(side, side, 3, &tile));
  memset(tile.pixel, 255, (size_t)(side * side * 3));
  sheet->tile[sheet->count++] = tile;
  return AM_OK;
}

am_err am_sheet_add(am_sheet *sheet, const am_image *image, int64_t side) {
  am_image fitted = {0};
  double scale = (double)side / (double)am_max_i64(image->width, image->height);
  int64_t width = am_clamp_i64((int64_t)(scale * (double)image->width + 0.5), 1, side);
  int64_t height = am_clamp_i64((int64_t)(scale * (double)image->height + 0.5), 1, side);
  AM_TRY(am_image_resize(image, width, height, AM_RESIZE_BILINEAR, &fitted));
  am_err err = am_sheet_add_blank(sheet, side);
  if (!err) {
    uint8_t *pixel = sheet->tile[sheet->count - 1].pixel;
    int64_t left = (side - width) / 2, top = (side - height) / 2, channels = fitted.channels;
    for (int64_t y = 0; y < height; y++) {
      for (int64_t x = 0; x < width; x++) {
        const uint8_t *from = fitted.pixel + (y * width + x) * channels;
        uint8_t *to = pixel + ((top + y) * side + left + x) * 3;
        for (int c = 0; c < 3; c++) to[c] = from[channels == 1 ? 0 : c];
      }
    }
  }
  am_image_fini(&fitted);
  return err;
}

am_err am_sheet_draw(const am_sheet *sheet, int64_t columns, am_image *out) {
  return am_image_grid(sheet->tile, sheet->count, am_min_i64(columns, sheet->count), 2, out);
}

void am_sheet_fini(am_sheet *sheet) {
  for (int64_t i = 0; i < sheet->count; i++) am_image_fini(&sheet->tile[i]);
  free(sheet->tile);
  *sheet = (am_sheet){0};
}
