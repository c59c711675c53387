// augmint predict: logits of a folder of images, for programs outside.
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/files.h"
#include "app/network.h"
#include "base/mem.h"
#include "data/h5.h"

enum { MOST_BATCH = 16, IMAGENET_RESIZE = 256, IMAGENET_CROP = 224 };
static const int64_t BATCH_BYTES = (int64_t)256 << 20;

// What happens to an image before the network sees it.
typedef struct {
  const char *name, *doc;
  bool imagenet_size;  // short side 256, centre crop 224
  float mean[3], sd[3];
} preprocess;
static const preprocess ways[] = {
    {"imagenet",
     "short side 256, centre crop 224, ImageNet mean and deviation",
     true,
     {0.485f, 0.456f, 0.406f},
     {0.229f, 0.224f, 0.225f}},
    {"none", "pixels / 255", false, {0, 0, 0}, {1, 1, 1}},
    {"half",
     "(pixels / 255 - 0.5) / 0.5, as experiments do by default",
     false,
     {0.5f, 0.5f, 0.5f},
     {0.5f, 0.5f, 0.5f}},
};

typedef struct {
  const char *dir;        // borrowed
  const preprocess *way;  // borrowed
  int64_t size;           // resize to size x size; 0: own size
  int64_t channels;       // of the network's images
  am_dtype compute;       // of the convolutions
  am_image_files files;
  am_model *model;  // owned
  am_graph *graph;  // owned
  float *input;     // owned: one batch
  int64_t input_floats;
  float *logits;  // owned: (files, classes)
  int64_t classes;
} predictor;

// RGB, or grey where the network sees grey: turned so before it is resized, as for training.
static am_err read_image(const predictor *p, int64_t i, am_image *out) {
  am_image rgb = {0};
  if (p->channels != 1) return am_image_files_read(&p->files, p->dir, i, out);
  AM_TRY(am_image_files_read(&p->files, p->dir, i, &rgb));
  am_err err = am_image_to_grey(&rgb, out);
  am_image_fini(&rgb);
  return err;
}

static am_err prepare(const predictor *p, int64_t i, am_image *out) {
  am_err err = AM_OK;
  am_image read = {0}, resized = {0};
  AM_GO(done, read_image(p, i, &read));
  if (p->way->imagenet_size) {
    AM_GO(done, am_image_resize_short(&read, IMAGENET_RESIZE, AM_RESIZE_BILINEAR, &resized));
    AM_GO(done, am_image_center_crop(&resized, IMAGENET_CROP, IMAGENET_CROP, out));
  } else if (p->size > 0) {
    AM_GO(done, am_image_resize(&read, p->size, p->size, AM_RESIZE_BILINEAR, out));
  } else {
    *out = read;
    read = (am_image){0};
  }
done:
  am_image_fini(&read);
  am_image_fini(&resized);
  return err;
}

// u8 (h, w, c) -> f32 (c, h, w)
static void put_input(const preprocess *way, const am_image *image, float *out) {
  int64_t pixels = image->width * image->height, channels = image->channels;
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t i = 0; i < pixels; i++) {
      out[c * pixels + i] = ((float)image->pixel[channels * i + c] / 255.0f - way->mean[c]) / way->sd[c];
    }
  }
}

// Logits of `count` images of one size; the batch is padded to `batch`, so that its shape, and with
// it every bit, does not depend on how many are left.
static am_err forward(predictor *p, int64_t batch, int64_t height, int64_t width, int64_t count,
                      float *logits) {
  am_err err = AM_OK;
  am_tensor *x = NULL, *y = NULL;
  float *all = NULL;
  am_pass pass = {.graph = p->graph, .compute = p->compute};
  int64_t row = p->channels * height * width;
  memset(p->input + count * row, 0, (size_t)((batch - count) * row) * sizeof *p->input);
  AM_GO(done, am_tensor_from_host(am_graph_device(p->graph), AM_F32,
                                  AM_SHAPE(batch, p->channels, height, width), p->input, &x));
  AM_GO(done, am_graph_own(p->graph, x));
  AM_GO(done, am_model_forward(p->model, &pass, x, &y));
  AM_CHECK_GO(done, am_tensor_count(y) == batch * p->classes, AM_ERR_INTERNAL,
              "%s gives %lld logits for %lld images", p->model->def->name, (long long)am_tensor_count(y),
              (long long)batch);
  AM_GO(done, AM_NEW_ARRAY(&all, batch * p->classes));
  AM_GO(done, am_tensor_to_host(y, all));
  memcpy(logits, all, (size_t)(count * p->classes) * sizeof *logits);
done:
  free(all);
  am_graph_reset(p->graph);
  return err;
}

static am_err reserve_input(predictor *p, int64_t floats) {
  if (floats <= p->input_floats) return AM_OK;
  free(p->input);
  p->input = NULL;
  p->input_floats = 0;
  AM_TRY(AM_NEW_ARRAY(&p->input, floats));
  p->input_floats = floats;
  return AM_OK;
}

static int64_t batch_for(const am_image *image) {
  int64_t bytes = image->channels * image->width * image->height * (int64_t)sizeof(float);
  return am_clamp_i64(BATCH_BYTES / bytes, 1, MOST_BATCH);
}

// Batches are runs of images of one size. Where a folder mixes sizes, images go one by one from the
// first change on.
static am_err predict_all(predictor *p) {
  am_err err = AM_OK;
  am_image image = {0};
  int64_t held = 0, first = 0, batch = 0, width = 0, height = 0;
  for (int64_t i = 0; i < p->files.count; i++) {
    AM_GO(done, prepare(p, i, &image));
    bool changed = image.width != width || image.height != height;
    if (changed) {
      if (held) AM_GO(done, forward(p, batch, height, width, held, p->logits + first * p->classes));
      held = 0;
      batch = i == 0 ? batch_for(&image) : 1;
      width = image.width;
      height = image.height;
      AM_GO(done, reserve_input(p, batch * p->channels * width * height));
    }
    if (held == 0) first = i;
    put_input(p->way, &image, p->input + held * p->channels * width * height);
    am_image_fini(&image);
    if (++held < batch && i + 1 < p->files.count) continue;
    AM_GO(done, forward(p, batch, height, width, held, p->logits + first * p->classes));
    held = 0;
  }
done:
  am_image_fini(&image);
  return err;
}

static am_err write_logits(const predictor *p, const char *path) {
  am_err err = AM_OK;
  am_h5 *h = NULL;
  AM_GO(done, am_h5_create(&h));
  AM_GO(done, am_h5_put(h, "logits", AM_H5_F32, 2, (int64_t[]){p->files.count, p->classes}, p->logits));
  AM_GO(done, am_h5_put_text(h, "file", (const char *const *)p->files.path, p->files.count));
  AM_GO(done, am_h5_put_attr_text(h, "", "model", p->model->def->name));
  AM_GO(done, am_h5_put_attr_text(h, "", "preprocess", p->way->name));
  AM_GO(done, am_h5_put_attr_text(h, "", "precision", p->compute == AM_BF16 ? "bf16" : "fp32"));
  AM_GO(done, am_h5_publish(h, path));
done:
  am_h5_close(h);
  return err;
}

static am_err find_way(const char *name, const am_model_def *def, const preprocess **out) {
  if (!name) name = def->imagenet_input ? "imagenet" : "none";
  for (int64_t i = 0; i < AM_COUNT_OF(ways); i++) {
    if (strcmp(ways[i].name, name)) continue;
    *out = &ways[i];
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_CONFIG, "--preprocess %s is not known, expected imagenet, none or half", name);
}

// Networks that end in a layer over all pixels are built for one size: that of the first image.
static am_err find_size(const predictor *p, int64_t *size) {
  am_image image = {0};
  AM_TRY(prepare(p, 0, &image));
  *size = image.height;
  am_image_fini(&image);
  return AM_OK;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  const char *out = NULL, *way = NULL, *precision = "fp32";
  am_network_choice net = {.role = AM_ROLE_CLASSIFIER};
  const am_model_def *def = NULL;
  predictor p = {0};
  am_device *device = NULL;
  bool go = false;
  const am_option options[] = {
      {"--model", AM_OPTION_TEXT, &net.model, "NAME", "classifier (default: what the weights say)"},
      {"--weights", AM_OPTION_TEXT, &net.weights, "FILE", "its weights, safetensors"},
      {"--images", AM_OPTION_TEXT, &p.dir, "DIR", "images (with everything below)"},
      {"--out", AM_OPTION_TEXT, &out, "F.h5", "where logits and file names go"},
      {"--preprocess", AM_OPTION_TEXT, &way, "WAY",
       "imagenet, none or half (default: as the network was trained, or none)"},
      {"--size", AM_OPTION_I64, &p.size, "PX",
       "none, half: resize to PX x PX first (default: their own size)"},
      {"--width", AM_OPTION_I64, &net.cfg.width, "N", "base width (default: the network's)"},
      {"--precision", AM_OPTION_TEXT, &precision, "TYPE", "fp32 or bf16: what convolutions compute in (fp32)"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, 0, &go));
  if (!go) return AM_OK;
  AM_CHECK(net.weights && p.dir && out, AM_ERR_CONFIG,
           "predict needs --weights FILE, --images DIR and --out F.h5");
  AM_CHECK(p.size >= 0 && p.size <= 4096, AM_ERR_CONFIG, "--size %lld, expected 1 to 4096",
           (long long)p.size);
  AM_GO(done, am_network_find(&net, &def));
  AM_GO(done, find_way(way, def, &p.way));
  AM_GO(done, am_image_files_find(p.dir, &p.files));
  AM_GO(done, find_size(&p, &net.cfg.size));
  AM_GO(done, am_app_device(app, 0, &device));
  AM_GO(done, am_compute_type(device, precision, &p.compute));
  AM_GO(done, am_network_load(&net, device, &p.model));
  p.classes = p.model->cfg.classes;
  p.channels = p.model->cfg.channels;
  AM_CHECK_GO(done, p.channels == 3 || (p.channels == 1 && !p.way->imagenet_size), AM_ERR_CONFIG,
              "%s are for images of %lld channels, expected 3 or, without --preprocess imagenet, 1",
              net.weights, (long long)p.channels);
  AM_GO(done, AM_NEW_ARRAY(&p.logits, p.files.count * p.classes));
  AM_GO(done, am_graph_new(device, &p.graph));
  am_graph_record(p.graph, false);
  AM_GO(done, predict_all(&p));
  AM_GO(done, write_logits(&p, out));
  fprintf(app->out, "wrote %lld x %lld logits to %s\n", (long long)p.files.count, (long long)p.classes, out);
done:
  free(p.input);
  free(p.logits);
  am_graph_free(p.graph);
  am_model_free(p.model);
  am_device_close(device);
  am_image_files_fini(&p.files);
  return err;
}

const am_command am_cmd_predict = {
    .name = "predict",
    .usage = "--model NAME --weights FILE --images DIR --out F.h5 [--preprocess imagenet|none|half] [--precision bf16]",
    .doc = "logits of a folder of images, as HDF5",
    .help =
        "F.h5 gets `logits` (images x classes, f32) and `file` (path below DIR, in byte order). A corrupt "
        "image is\n"
        "an error, and nothing is written then.\n"
        "  imagenet  short side 256 antialiased bilinear, centre crop 224, ImageNet mean and deviation;\n"
        "            default of networks that are trained so\n"
        "  none      pixels / 255\n"
        "  half      (pixels / 255 - 0.5) / 0.5, as experiments normalise by default\n"
        "--precision bf16 needs a processor with bf16 instructions (augmint doctor tells): faster, and logits\n"
        "have two to three digits. A network that was trained in bf16 is evaluated in bf16.\n",
    .run = run};
