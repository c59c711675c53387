// augmint sample: images from a fitted generator, as shards.
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/files.h"
#include "app/network.h"
#include "base/path.h"
#include "generate/generate.h"

enum { GRID_COLUMNS = 10, GRID_IMAGES = 100 };

typedef struct {
  const char *out_dir, *grid, *class_name;
  int64_t count, seed, block, batch_statistics;
  bool force;
} sample_options;

// Images 0 .. of the shards, which is all the grid needs to know.
static am_err write_grid(const char *shards, const char *path) {
  am_err err = AM_OK;
  am_shard_set *set = NULL;
  am_image image[GRID_IMAGES] = {{0}}, grid = {0};
  int64_t count = 0;
  AM_GO(done, am_shard_set_open(shards, &set));
  for (; count < GRID_IMAGES && count < am_shard_set_count(set); count++) {
    int64_t row = 0;
    am_shard *shard = am_shard_set_at(set, count, &row);
    AM_GO(done, am_shard_image(shard, row, &image[count]));
  }
  AM_GO(done, am_image_grid(image, count, am_min_i64(GRID_COLUMNS, count), 2, &grid));
  AM_GO(done, am_image_write_png(path, &grid));
done:
  for (int64_t i = 0; i < GRID_IMAGES; i++) am_image_fini(&image[i]);
  am_image_fini(&grid);
  am_shard_set_close(set);
  return err;
}

static am_err write_blocks(const sample_options *o, am_model *model, am_device *device, const char *dir) {
  enum { RUNNING_BATCH = 16 };  // any batch gives the same images then
  am_sample_block block = {.generator = model,
                           .device = device,
                           .batch_statistics = o->batch_statistics > 0,
                           .batch_size = o->batch_statistics > 0 ? o->batch_statistics : RUNNING_BATCH,
                           .seed = (uint64_t)o->seed,
                           .label = o->class_name ? 0 : -1,
                           .class_name = &o->class_name,
                           .class_count = o->class_name ? 1 : 0};
  for (int64_t first = 0; first < o->count; first += o->block) {
    char *path = NULL;
    block.first = first;
    block.count = am_min_i64(o->block, o->count - first);
    AM_TRY(am_str_format(&path, "%s/block-%08lld.h5", dir, (long long)(first / o->block)));
    am_err err = am_generate_block(&block, path);
    free(path);
    AM_TRY(err);
  }
  return AM_OK;
}

static am_err check_options(const sample_options *o, const am_network_choice *net) {
  AM_CHECK(
      net->weights && o->out_dir && o->count, AM_ERR_CONFIG,
      "sample needs --weights FILE, --count N and --out DIR (and --model NAME for weights from elsewhere)");
  AM_CHECK(o->count >= 1 && o->count <= 1000000000, AM_ERR_CONFIG, "--count %lld, expected 1 to 1000000000",
           (long long)o->count);
  AM_CHECK(o->block >= 1 && o->block <= 1000000, AM_ERR_CONFIG, "--block %lld, expected 1 to 1000000",
           (long long)o->block);
  AM_CHECK(o->seed >= 0, AM_ERR_CONFIG, "--seed %lld, expected 0 or more", (long long)o->seed);
  AM_CHECK(o->batch_statistics >= 0 && o->batch_statistics <= 65536, AM_ERR_CONFIG,
           "--batch-statistics %lld, expected 1 to 65536", (long long)o->batch_statistics);
  return AM_OK;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  sample_options o = {.block = 250};
  am_network_choice net = {.role = AM_ROLE_GENERATOR};
  am_device *device = NULL;
  am_model *model = NULL;
  am_output out = {0};
  bool go = false;
  const am_option options[] = {
      {"--model", AM_OPTION_TEXT, &net.model, "NAME", "generator (default: what the weights say)"},
      {"--weights", AM_OPTION_TEXT, &net.weights, "FILE", "its weights, safetensors"},
      {"--count", AM_OPTION_I64, &o.count, "N", "images to make"},
      {"--out", AM_OPTION_TEXT, &o.out_dir, "DIR", "folder that the shards go to"},
      {"--seed", AM_OPTION_I64, &o.seed, "S", "another seed, other images (0)"},
      {"--grid", AM_OPTION_TEXT, &o.grid, "F.png", "also draw the first 100 images"},
      {"--class", AM_OPTION_TEXT, &o.class_name, "NAME", "what the images show (default: unlabelled)"},
      {"--batch-statistics", AM_OPTION_I64, &o.batch_statistics, "B",
       "BatchNorm over groups of B images, as pools do (default: running averages)"},
      {"--block", AM_OPTION_I64, &o.block, "N", "images in one shard (250)"},
      {"--width", AM_OPTION_I64, &net.cfg.width, "N", "base width (default: the network's)"},
      {"--latent", AM_OPTION_I64, &net.cfg.latent, "N", "length of z (default: the network's)"},
      {"--force", AM_OPTION_FLAG, &o.force, NULL, "set an existing --out aside as DIR.old"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, 0, &go));
  if (!go) return AM_OK;
  AM_TRY(check_options(&o, &net));
  AM_GO(done, am_app_device(app, 0, &device));
  AM_GO(done, am_network_load(&net, device, &model));
  AM_GO(done, am_output_begin(o.out_dir, o.force, &out));
  AM_GO(done, write_blocks(&o, model, device, out.work));
  if (o.grid) AM_GO(done, write_grid(out.work, o.grid));
  AM_GO(done, am_output_commit(&out));
  fprintf(app->out, "wrote %lld images of %s to %s\n", (long long)o.count, model->def->name, o.out_dir);
done:
  am_output_fini(&out);
  am_model_free(model);
  am_device_close(device);
  return err;
}

const am_command am_cmd_sample = {
    .name = "sample",
    .usage = "--weights FILE --count N --out DIR [--model NAME] [--seed S] [--grid F.png]",
    .doc = "images from a fitted generator, as shards",
    .help =
        "Image i depends on the weights, the seed and i alone: asking for more images changes none of them.\n"
        "`augmint export` turns shards into PNG files; `augmint schema models` lists the generators.\n",
    .run = run};
