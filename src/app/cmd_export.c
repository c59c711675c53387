// augmint export: the images of shards as files that any program reads.
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/files.h"
#include "data/shard.h"

// A class name becomes a folder; it comes from a file, so it must stay inside the output.
static am_err check_class_name(const char *name, const char *shards) {
  AM_CHECK(*name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/'), AM_ERR_DATA,
           "%s: the class name \"%s\" cannot be the name of a folder", shards, name);
  return AM_OK;
}

static am_err class_folder(const am_shard_desc *desc, int32_t label, const char *shards, const char **out) {
  if (label < 0) {
    *out = "unlabelled";
    return AM_OK;
  }
  AM_CHECK(label < desc->class_count, AM_ERR_DATA, "%s: label %d, but there are %lld classes", shards,
           (int)label, (long long)desc->class_count);
  *out = desc->class_name[label];
  return check_class_name(*out, shards);
}

static am_err export_one(am_shard_set *set, int64_t i, const char *shards, const am_output *out) {
  am_err err = AM_OK;
  int64_t row = 0;
  am_shard *shard = am_shard_set_at(set, i, &row);
  am_image image = {0};
  char *name = NULL;
  const char *folder = NULL;
  AM_GO(done, class_folder(am_shard_describe(shard), am_shard_label(shard, row), shards, &folder));
  AM_GO(done, am_str_format(&name, "%s/%lld.png", folder, (long long)am_shard_index(shard, row)));
  AM_GO(done, am_shard_image(shard, row, &image));
  AM_GO(done, am_output_png(out, name, &image));
done:
  am_image_fini(&image);
  free(name);
  return err;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  const char *out_dir = NULL, *to = "imagefolder";
  bool force = false, go = false;
  am_shard_set *set = NULL;
  am_output out = {0};
  const am_option options[] = {
      {"--out", AM_OPTION_TEXT, &out_dir, "DIR", "folder that the images go to"},
      {"--to", AM_OPTION_TEXT, &to, "KIND",
       "imagefolder: DIR/<class>/<index>.png (the default and only kind)"},
      {"--force", AM_OPTION_FLAG, &force, NULL, "set an existing DIR aside as DIR.old"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, 1, &go));
  if (!go) return AM_OK;
  AM_CHECK(out_dir, AM_ERR_CONFIG, "export needs --out DIR");
  AM_CHECK(!strcmp(to, "imagefolder"), AM_ERR_CONFIG, "--to %s is not known, expected imagefolder", to);
  AM_GO(done, am_shard_set_open(app->argv[0], &set));
  AM_GO(done, am_output_begin(out_dir, force, &out));
  for (int64_t i = 0; i < am_shard_set_count(set); i++) AM_GO(done, export_one(set, i, app->argv[0], &out));
  AM_GO(done, am_output_commit(&out));
  fprintf(app->out, "wrote %lld images to %s\n", (long long)am_shard_set_count(set), out_dir);
done:
  am_output_fini(&out);
  am_shard_set_close(set);
  return err;
}

const am_command am_cmd_export = {
    .name = "export",
    .usage = "SHARDS --out DIR [--to imagefolder] [--force]",
    .doc = "write the images of shards as PNG files in folders of classes",
    .help =
        "SHARDS is a shard (block-00000000.h5) or a folder of them, such as a pool of an experiment.\n"
        "The PNG files decode to exactly the stored pixels. Images without a label go to DIR/unlabelled/.\n",
    .run = run};
