// augmint predict: logits of a folder of images, for programs outside.
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/files.h"
#include "app/network.h"
#include "base/ahead.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/h5.h"
#include "data/preprocess.h"

static const int64_t BATCH_BYTES = (int64_t)256 << 20;

// An image as the network takes it.
typedef struct {
  int64_t height, width;
  float *value;  // owned: (c, height, width)
  int64_t capacity;
} input;

typedef struct {
  am_preprocess preprocess;
  am_dtype compute;  // of the convolutions
  int64_t most_batch;
  am_image_files files;
  input *slot;  // owned: images that are decoded ahead
  int64_t slot_count;
  am_ahead *ahead;  // owned
  am_model *model;  // owned
  am_graph *graph;  // owned
  float *batch;     // owned: images of one size that go through the network together
  int64_t batch_floats;
  float *logits;  // owned: (files, classes)
  int64_t channels, classes;
} predictor;

// ---- images ----

static am_err read_image(const predictor *p, int64_t i, am_image *out) {
  am_image read = {0};
  AM_TRY(am_image_files_read(&p->files, i, &read));
  am_err err = am_preprocess_image(&p->preprocess, &read, out);
  am_image_fini(&read);
  return err;
}

static am_err make_input(void *user, int64_t i, int64_t slot) {
  predictor *p = user;
  input *in = &p->slot[slot];
  am_image image = {0};
  AM_TRY(read_image(p, i, &image));
  am_err err = AM_GROW(&in->value, &in->capacity, image.channels * image.width * image.height);
  if (!err) {
    in->height = image.height;
    in->width = image.width;
    am_preprocess_floats(&p->preprocess, &image, in->value);
  }
  am_image_fini(&image);
  return err;
}

// Networks that end in a layer over all pixels are built for one size: that of the first image.
static am_err find_size(const predictor *p, int64_t *size) {
  am_image image = {0};
  AM_TRY(read_image(p, 0, &image));
  *size = image.height;
  am_image_fini(&image);
  return AM_OK;
}

// ---- the network ----

// Logits of `count` images of one size; the batch is padded to `batch`, so that its shape, and with
// it every bit, does not depend on how many are left.
static am_err forward(predictor *p, int64_t batch, int64_t height, int64_t width, int64_t count,
                      float *logits) {
  am_err err = AM_OK;
  am_tensor *x = NULL, *y = NULL;
  float *all = NULL;
  am_pass pass = {.graph = p->graph, .compute = p->compute};
  int64_t row = p->channels * height * width;
  memset(p->batch + count * row, 0, (size_t)((batch - count) * row) * sizeof *p->batch);
  AM_GO(done, am_tensor_from_host(am_graph_device(p->graph), AM_F32,
                                  AM_SHAPE(batch, p->channels, height, width), p->batch, &x));
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

// Batches are runs of images of one size. Where a folder mixes sizes, images go one by one from the
// first change on.
static am_err predict_all(predictor *p) {
  int64_t held = 0, first = 0, batch = 0, width = 0, height = 0, row = 0;
  for (int64_t i = 0; i < p->files.count; i++) {
    int64_t slot;
    AM_TRY(am_ahead_next(p->ahead, &slot));
    const input *in = &p->slot[slot];
    if (in->width != width || in->height != height) {
      if (held) AM_TRY(forward(p, batch, height, width, held, p->logits + first * p->classes));
      held = 0;
      width = in->width;
      height = in->height;
      row = p->channels * width * height;
      batch = i == 0 ? am_clamp_i64(BATCH_BYTES / (row * (int64_t)sizeof(float)), 1, p->most_batch) : 1;
      AM_TRY(AM_GROW(&p->batch, &p->batch_floats, batch * row));
    }
    if (held == 0) first = i;
    memcpy(p->batch + held * row, in->value, (size_t)row * sizeof(float));
    if (++held < batch && i + 1 < p->files.count) continue;
    AM_TRY(forward(p, batch, height, width, held, p->logits + first * p->classes));
    held = 0;
  }
  return AM_OK;
}

// ---- results ----

static am_err put_class_names(am_h5 *h, const predictor *p, char *names) {
  am_err err = AM_OK;
  const char **name = NULL;
  char *rest = NULL;
  int64_t count = 0;
  AM_TRY(AM_NEW_ARRAY(&name, p->classes));
  for (char *one = strtok_r(names, "\n", &rest); one; one = strtok_r(NULL, "\n", &rest))
    if (count++ < p->classes) name[count - 1] = one;
  if (count == p->classes) err = am_h5_put_text(h, "class_name", name, count);
  free(name);
  return err;
}

// A data set knows what its images show: numbers of its classes, which need not be those of the weights.
static am_err put_labels(am_h5 *h, const predictor *p) {
  const am_file_list *list = &p->files.list;
  int32_t *label = NULL;
  AM_TRY(AM_NEW_ARRAY(&label, list->count));
  for (int64_t i = 0; i < list->count; i++) label[i] = list->entry[i].label;
  am_err err = am_h5_put(h, "label", AM_H5_I32, 1, &list->count, label);
  if (!err)
    err = am_h5_put_attr_texts(h, "label", "class_names", (const char *const *)list->class_name,
                               list->class_count);
  free(label);
  return err;
}

static am_err write_results(const predictor *p, const am_network_choice *net, const char *precision, const char *path) {
  am_err err = AM_OK;
  am_h5 *h = NULL;
  am_str line = {0};
  char sha256[AM_SHA256_HEX], *classes = NULL;
  AM_GO(done, am_h5_create(&h));
  AM_GO(done, am_h5_put(h, "logits", AM_H5_F32, 2, (int64_t[]){p->files.count, p->classes}, p->logits));
  AM_GO(done, am_h5_put_text(h, "file", (const char *const *)p->files.path, p->files.count));
  AM_GO(done, am_network_text(net, "classes", &classes));
  if (classes) AM_GO(done, put_class_names(h, p, classes));
  if (p->files.manifest) AM_GO(done, put_labels(h, p));
  AM_GO(done, am_h5_put_attr_text(h, "", "model", p->model->def->name));
  AM_GO(done, am_sha256_file(net->weights, sha256));
  AM_GO(done, am_h5_put_attr_text(h, "", "weights_sha256", sha256));
  AM_GO(done, am_preprocess_print(&p->preprocess, &line));
  AM_GO(done, am_h5_put_attr_text(h, "", "preprocess", am_str_get(&line)));
  AM_GO(done, am_h5_put_attr_text(h, "", "precision", precision));
  AM_GO(done, am_h5_publish(h, path));
done:
  am_h5_close(h);
  am_str_fini(&line);
  free(classes);
  return err;
}

// ---- the command ----

typedef struct {
  am_image_choice images;
  const char *out, *preprocess, *precision;
  int64_t size, batch, decoders;
} predict_options;

// What the weights say, else what such networks are usually trained with; then what the caller says.
static am_err find_preprocess(const predict_options *o, const am_network_choice *net, const am_model_def *def,
                              am_preprocess *out) {
  am_err err = AM_OK;
  char *stated = NULL, *size = NULL;
  *out = am_preprocess_none(3);
  AM_GO(done, am_network_text(net, "preprocess", &stated));
  AM_GO(done, am_preprocess_parse(stated ? stated : def->imagenet_input ? "imagenet" : "none", out));
  if (o->preprocess) AM_GO(done, am_preprocess_parse(o->preprocess, out));
  if (o->size) AM_GO(done, am_str_format(&size, "stretch:%lld", (long long)o->size));
  if (size) AM_GO(done, am_preprocess_parse(size, out));
done:
  free(stated);
  free(size);
  return err;
}

static am_err check_options(const predict_options *o, const am_network_choice *net) {
  AM_CHECK(net->weights && o->out, AM_ERR_CONFIG, "predict needs --weights FILE and --out F.h5");
  AM_CHECK(o->size >= 0 && o->size <= 4096, AM_ERR_CONFIG, "--size %lld, expected 1 to 4096",
           (long long)o->size);
  AM_CHECK(o->batch >= 1 && o->batch <= 4096, AM_ERR_CONFIG, "--batch %lld, expected 1 to 4096",
           (long long)o->batch);
  AM_CHECK(o->decoders >= 0 && o->decoders <= 256, AM_ERR_CONFIG, "--decoders %lld, expected 0 to 256",
           (long long)o->decoders);
  return AM_OK;
}

static am_err start_reading(predictor *p, int decoders) {
  p->slot_count = am_min_i64(p->most_batch + 2 * decoders + 1, p->files.count);
  AM_TRY(AM_NEW_ARRAY(&p->slot, p->slot_count));
  return am_ahead_new(decoders, p->files.count, p->slot_count, make_input, p, &p->ahead);
}

static void predictor_fini(predictor *p) {
  am_ahead_free(p->ahead);
  for (int64_t i = 0; p->slot && i < p->slot_count; i++) free(p->slot[i].value);
  free(p->slot);
  free(p->batch);
  free(p->logits);
  am_graph_free(p->graph);
  am_model_free(p->model);
  am_image_files_fini(&p->files);
}

static am_err predict(am_app *app, const predict_options *o, am_network_choice *net, am_device *device,
                      predictor *p) {
  const am_model_def *def = NULL;
  AM_TRY(am_compute_use(device, o->precision, &p->compute));
  AM_TRY(am_network_find(net, &def));
  AM_TRY(find_preprocess(o, net, def, &p->preprocess));
  AM_TRY(am_image_files_choose(app, &o->images, &p->files));
  AM_TRY(find_size(p, &net->cfg.size));
  AM_TRY(am_network_load(net, device, &p->model));
  p->classes = p->model->cfg.classes;
  p->channels = p->preprocess.fit.channels = p->model->cfg.channels;
  AM_CHECK(p->channels == 3 || p->channels == 1, AM_ERR_CONFIG,
           "%s are for images of %lld channels, expected 3 or 1", net->weights, (long long)p->channels);
  AM_CHECK(p->channels == 3 || am_preprocess_is_even(&p->preprocess), AM_ERR_CONFIG,
           "%s are for images of 1 channels, the preprocessing is that of three", net->weights);
  AM_TRY(AM_NEW_ARRAY(&p->logits, p->files.count * p->classes));
  AM_TRY(am_graph_new(device, &p->graph));
  am_graph_record(p->graph, false);
  AM_TRY(start_reading(p, (int)o->decoders));
  AM_TRY(predict_all(p));
  AM_TRY(write_results(p, net, o->precision, o->out));
  fprintf(app->out, "wrote %lld x %lld logits to %s\n", (long long)p->files.count, (long long)p->classes,
          o->out);
  return AM_OK;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  predict_options o = {.precision = "fp32", .batch = 8, .decoders = am_max_i64(1, app->threads)};
  am_network_choice net = {.role = AM_ROLE_CLASSIFIER};
  predictor p = {0};
  am_device *device = NULL;
  bool go = false;
  const am_option options[] = {
      {"--model", AM_OPTION_TEXT, &net.model, "NAME", "classifier (default: what the weights say)"},
      {"--weights", AM_OPTION_TEXT, &net.weights, "FILE", "its weights, safetensors"},
      AM_IMAGE_OPTIONS(&o.images),
      {"--out", AM_OPTION_TEXT, &o.out, "F.h5", "where logits and file names go"},
      {"--preprocess", AM_OPTION_TEXT, &o.preprocess, "WORDS",
       "what the network sees (default: what the weights say; else its usual)"},
      {"--size", AM_OPTION_I64, &o.size, "PX", "the same as stretch:PX at the end of WORDS"},
      {"--batch", AM_OPTION_I64, &o.batch, "N", "images that go through the network together (8)"},
      {"--decoders", AM_OPTION_I64, &o.decoders, "N",
       "threads that read images ahead of the network (as --threads)"},
      {"--width", AM_OPTION_I64, &net.cfg.width, "N", "base width (default: the network's)"},
      {"--precision", AM_OPTION_TEXT, &o.precision, "TYPE",
       "fp32, bf16 or tf32: what convolutions compute in (fp32)"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, 0, &go));
  if (!go) return AM_OK;
  AM_TRY(check_options(&o, &net));
  p.most_batch = o.batch;
  AM_GO(done, am_app_device(app, 0, &device));
  AM_GO(done, predict(app, &o, &net, device, &p));
done:
  predictor_fini(&p);
  am_device_close(device);
  return err;
}

const am_command am_cmd_predict = {
    .name = "predict",
    .usage =
        "--weights FILE --images DIR|--manifest NAME --out F.h5 [--model NAME] [--preprocess WORDS] "
        "[--precision bf16|tf32]",
    .doc = "logits of a folder of images or of a data set, as HDF5",
    .help =
        "F.h5 gets `logits` (images x classes, f32), `file` (path below DIR, in byte order), `class_name` "
        "where the\n"
        "weights state the classes, of a data set also `label` with its own class names, and attributes "
        "model,\n"
        "weights_sha256, preprocess and precision. A corrupt image is an error, and nothing is written "
        "then.\n"
        "\n"
        "WORDS, separated by commas, change what would be done without them; of two for one thing the later "
        "counts:\n"
        "  imagenet         crop:224,short_side:256,filter:bilinear,mean:0.485/0.456/0.406,"
        "sd:0.229/0.224/0.225;\n"
        "                   the usual of ResNets with ImageNet's stem. IMAGENET1K_V2: "
        "imagenet,short_side:232\n"
        "  none             the image's own size, pixels / 255: the usual of other networks\n"
        "  half             none,mean:0.5,sd:0.5\n"
        "  stretch:PX       both sides to PX\n"
        "  crop:PX          short side to short_side:PX (or to the crop's), then the middle PX x PX\n"
        "  pad:PX           the image in the middle of PX x PX black\n"
        "  filter:NAME      nearest, bilinear, bicubic, lanczos or box, antialiased as Pillow\n"
        "  mean:A/B/C sd:A/B/C   (x/255 - mean)/sd for each channel, or one number for all\n"
        "Weights that augmint trained state their own. An image's logits do not depend on its neighbours, "
        "but "
        "may\n"
        "differ in the last bits with another --batch.\n"
        "--precision bf16 needs a processor with bf16 instructions (augmint doctor tells): faster, and "
        "logits\n"
        "have two to three digits. A network that was trained in bf16 is evaluated in bf16. tf32 is of cuda devices:\n"
        "f32 whose products and convolutions read 10 bits of a number; logits have three digits.\n",
    .run = run};
