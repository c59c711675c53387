// augmint augment: shows what a policy of online transforms does to images.
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/files.h"
#include "augment/augment.h"

enum { SHEET_ROWS = 12, SHEET_COPIES = 7, TILE_PX = 96, MOST_COPIES = 1000 };

typedef struct {
  const am_node *list;    // borrowed
  am_pipeline *pipeline;  // owned: for images of the last size
  int64_t width, height;
  int64_t size, copies, seed;
  am_sheet sheet;
} augmenter;

// The policy's list: the whole file, or its key `augment`, as an experiment's arm has it.
static am_err find_list(const am_node *root, const am_node **out) {
  *out = root->kind == AM_NODE_MAP ? am_node_get(root, "augment") : root;
  if (!*out || (*out)->kind != AM_NODE_LIST) {
    return am_node_fail(*out ? *out : root,
                        "expected a list of transforms, as [horizontal_flip, {rotation: {degrees: 15}}]");
  }
  return AM_OK;
}

static am_err pipeline_for(augmenter *a, const am_image *image) {
  if (a->pipeline && a->width == image->width && a->height == image->height) return AM_OK;
  am_pipeline_free(a->pipeline);
  a->pipeline = NULL;
  a->width = image->width;
  a->height = image->height;
  return am_pipeline_new(a->list, image->channels, image->height, image->width, NULL, NULL, &a->pipeline);
}

// "cow/1.jpg" -> "cow/1-2.png"; the only copy keeps the plain name.
static am_err copy_name(const char *path, int64_t copy, int64_t copies, char **out) {
  const char *dot = strrchr(path, '.');
  if (dot && strpbrk(dot, "#/")) dot = NULL;  // "batch.bin#7" is image 7 of a packed file
  int stem = (int)(dot ? dot - path : (long)strlen(path));
  if (copies == 1) return am_str_format(out, "%.*s.png", stem, path);
  return am_str_format(out, "%.*s-%lld.png", stem, path, (long long)copy);
}

static am_err write_copy(augmenter *a, const am_image *image, const char *path, int64_t item, int64_t copy,
                         bool on_sheet, const am_output *out) {
  am_err err = AM_OK;
  am_image result = {0};
  char *name = NULL;
  // The stream of epoch `copy`, so that copies are what consecutive epochs of a training would see.
  uint64_t stream = ((uint64_t)copy << 32) + (uint64_t)item;
  AM_GO(done, am_pipeline_preview(a->pipeline, image, (uint64_t)a->seed, stream, &result));
  AM_GO(done, copy_name(path, copy, a->copies, &name));
  AM_GO(done, am_output_png(out, name, &result));
  if (on_sheet && copy < SHEET_COPIES) AM_GO(done, am_sheet_add(&a->sheet, &result, TILE_PX));
done:
  am_image_fini(&result);
  free(name);
  return err;
}

static am_err augment_one(augmenter *a, const am_image_files *files, int64_t i, const am_output *out) {
  am_err err = AM_OK;
  am_image read = {0}, resized = {0};
  AM_GO(done, am_image_files_read(files, i, &read));
  const am_image *image = &read;
  if (a->size > 0) {
    AM_GO(done, am_image_resize(&read, a->size, a->size, AM_RESIZE_BILINEAR, &resized));
    image = &resized;
  }
  AM_GO(done, pipeline_for(a, image));
  if (i < SHEET_ROWS) AM_GO(done, am_sheet_add(&a->sheet, image, TILE_PX));
  for (int64_t copy = 0; copy < a->copies; copy++) {
    AM_GO(done, write_copy(a, image, files->path[i], i, copy, i < SHEET_ROWS, out));
  }
done:
  am_image_fini(&read);
  am_image_fini(&resized);
  return err;
}

static am_err write_sheet(const augmenter *a, const am_output *out) {
  am_image sheet = {0};
  AM_TRY(am_sheet_draw(&a->sheet, 1 + am_min_i64(a->copies, SHEET_COPIES), &sheet));
  am_err err = am_output_png(out, "contact-sheet.png", &sheet);
  am_image_fini(&sheet);
  return err;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  const char *policy = NULL, *out_dir = NULL;
  am_image_choice images = {0};
  bool force = false, go = false;
  augmenter a = {.copies = 4};
  am_node *root = NULL;
  am_image_files files = {0};
  am_output out = {0};
  const am_option options[] = {
      {"--policy", AM_OPTION_TEXT, &policy, "POLICY.yaml",
       "list of transforms, or an arm with the key `augment`"},
      AM_IMAGE_OPTIONS(&images),
      {"--out", AM_OPTION_TEXT, &out_dir, "DIR", "folder that the results go to, with contact-sheet.png"},
      {"--copies", AM_OPTION_I64, &a.copies, "N", "results per image (4)"},
      {"--size", AM_OPTION_I64, &a.size, "PX", "resize to PX x PX first (default: their own size)"},
      {"--seed", AM_OPTION_I64, &a.seed, "S", "another seed, other results (0)"},
      {"--force", AM_OPTION_FLAG, &force, NULL, "set an existing --out aside as DIR.old"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, 0, &go));
  if (!go) return AM_OK;
  AM_CHECK(policy && out_dir, AM_ERR_CONFIG, "augment needs --policy POLICY.yaml and --out DIR");
  AM_CHECK(a.copies >= 1 && a.copies <= MOST_COPIES, AM_ERR_CONFIG, "--copies %lld, expected 1 to %d",
           (long long)a.copies, MOST_COPIES);
  AM_CHECK(a.size >= 0 && a.size <= 4096, AM_ERR_CONFIG, "--size %lld, expected 1 to 4096",
           (long long)a.size);
  AM_GO(done, am_yaml_read(policy, &root));
  AM_GO(done, find_list(root, &a.list));
  AM_GO(done, am_image_files_choose(app, &images, &files));
  AM_GO(done, am_output_begin(out_dir, force, &out));
  for (int64_t i = 0; i < files.count; i++) AM_GO(done, augment_one(&a, &files, i, &out));
  AM_GO(done, write_sheet(&a, &out));
  AM_GO(done, am_output_commit(&out));
  fprintf(app->out, "wrote %lld images and contact-sheet.png to %s\n", (long long)(files.count * a.copies),
          out_dir);
done:
  am_output_fini(&out);
  am_image_files_fini(&files);
  am_sheet_fini(&a.sheet);
  am_pipeline_free(a.pipeline);
  am_node_free(root);
  return err;
}

const am_command am_cmd_augment = {
    .name = "augment",
    .usage =
        "--policy POLICY.yaml --images DIR|--manifest NAME --out DIR [--copies N] [--size PX] [--seed S]",
    .doc = "show what a policy of online transforms does to images",
    .help =
        "A policy is what an arm has under `augment`:  [horizontal_flip, {rotation: {degrees: 15}}]\n"
        "`augmint schema augment` lists the transforms and their settings. Normalisation is left out, so "
        "that\n"
        "the results can be looked at. contact-sheet.png has a row for each of the first images: the image\n"
        "itself, then its results.\n",
    .run = run};
