// augmint data: brings image sets in, checks them, shows them.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/command.h"
#include "app/data_check.h"
#include "app/files.h"
#include "base/mem.h"
#include "base/path.h"

typedef struct {
  const char *from, *split, *out, *classes;
  bool link, force;
  int64_t per_class;
  am_words class_name;  // of --classes, cut at its commas
} data_options;

// "cow,horse" into words; `text` is cut up.
static am_err cut_classes(char *text, am_words *out) {
  char *rest = NULL;
  for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
    AM_CHECK(out->count < AM_WORDS_MAX, AM_ERR_CONFIG, "--classes takes at most %d names", AM_WORDS_MAX);
    out->word[out->count++] = word;
  }
  return AM_OK;
}

static am_selection selection_of(const data_options *o) {
  return (am_selection){.split = o->split,
                        .class_name = o->class_name.count ? o->class_name.word : NULL,
                        .class_count = o->class_name.count};
}

// The end of the run of images of one class that begins at `first`; lists are sorted by class.
static int64_t end_of_class(const am_file_list *list, int64_t first) {
  int64_t end = first;
  while (end < list->count && list->entry[end].label == list->entry[first].label) end++;
  return end;
}

static void print_counts(am_app *app, const am_file_list *list) {
  fprintf(app->out, "%-24s %8s\n", "class", "images");
  for (int64_t first = 0, end; first < list->count; first = end) {
    end = end_of_class(list, first);
    fprintf(app->out, "%-24s %8lld\n", list->class_name[list->entry[first].label], (long long)(end - first));
  }
  fprintf(app->out, "%-24s %8lld\n", "all", (long long)list->count);
}

// ---- import ----

enum { COPY_BYTES = 1 << 20, COPY_DEPTH = 32 };

static am_err copy_file(const char *from, const char *to, char *buffer) {
  FILE *in = fopen(from, "rb"), *out = in ? fopen(to, "wbx") : NULL;
  bool good = in && out;
  for (size_t n; good && (n = fread(buffer, 1, COPY_BYTES, in)) > 0;) good = fwrite(buffer, 1, n, out) == n;
  good = good && !ferror(in);
  int why = errno;
  if (out && fclose(out) != 0) good = false, why = errno;
  if (in) fclose(in);
  AM_CHECK(good, AM_ERR_IO, "cannot copy %s to %s: %s", from, to, strerror(why));
  return AM_OK;
}

static am_err copy_tree(const char *from, const char *to, int depth, char *buffer) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *source = NULL, *target = NULL;
  AM_CHECK(depth < COPY_DEPTH, AM_ERR_DATA, "%s: folders are nested deeper than %d", from, COPY_DEPTH);
  AM_GO(done, am_path_mkdirs(to));
  AM_GO(done, am_dir_read(from, &list));
  for (int64_t i = 0; i < list.count; i++) {
    AM_GO(done, am_path_join(from, list.name[i], &source));
    AM_GO(done, am_path_join(to, list.name[i], &target));
    AM_GO(done, am_path_is_dir(source) ? copy_tree(source, target, depth + 1, buffer)
                                       : copy_file(source, target, buffer));
    free(source);
    free(target);
    source = target = NULL;
  }
done:
  am_dir_list_fini(&list);
  free(source);
  free(target);
  return err;
}

static am_err link_tree(const char *from, const char *to) {
  am_err err = AM_OK;
  char here[PATH_MAX], *whole = NULL;
  AM_CHECK(getcwd(here, sizeof here), AM_ERR_IO, "cannot tell the working folder: %s", strerror(errno));
  AM_TRY(am_path_join(here, from, &whole));
  if (symlink(whole, to) != 0)
    err = AM_FAIL(AM_ERR_IO, "cannot link %s to %s: %s", to, whole, strerror(errno));
  free(whole);
  return err;
}

// The set is brought into a data folder of its own, checked there as it will be used, then moved.
static am_err import_set(am_app *app, am_manifest *m, const data_options *o) {
  am_err err = AM_OK;
  am_output out = {0};
  am_selection what = selection_of(o);
  am_file_list list = {0};
  am_data_report report = {0};
  char *target = NULL, *place = NULL, *buffer = NULL;
  AM_CHECK(!am_manifest_is_drawn(m), AM_ERR_CONFIG, "%s is drawn by the program: there is nothing to import",
           am_manifest_name(m));
  AM_CHECK(o->from, AM_ERR_CONFIG, "data import needs --from DIR, where the image set lies now");
  AM_CHECK(am_path_is_dir(o->from), AM_ERR_IO, "there is no folder %s", o->from);
  AM_GO(done, am_path_join(app->data_dir, am_manifest_name(m), &target));
  AM_GO(done, am_output_begin(target, o->force, &out));
  AM_GO(done, am_path_join(out.work, am_manifest_name(m), &place));
  AM_GO(done, AM_NEW_ARRAY(&buffer, COPY_BYTES));
  AM_GO(done, o->link ? link_tree(o->from, place) : copy_tree(o->from, place, 0, buffer));
  AM_GO(done, am_manifest_list(m, out.work, &what, &list));
  AM_GO(done, am_data_check(m, &list, &report));
  am_data_print(&report, m, &what, &list, app->out);
  AM_GO(done, am_data_verdict(&report, m));
  AM_GO(done, am_data_checksums(m, out.work, app->out));
  AM_GO(done, am_output_commit_child(&out, am_manifest_name(m)));
  fprintf(app->out, "%s is in %s\n", am_manifest_name(m), target);
done:
  am_output_fini(&out);
  am_data_report_fini(&report);
  am_file_list_fini(&list);
  free(target);
  free(place);
  free(buffer);
  return err;
}

// ---- check ----

static am_err check_set(am_app *app, am_manifest *m, const data_options *o) {
  am_err err = AM_OK;
  am_selection what = selection_of(o);
  am_file_list list = {0};
  am_data_report report = {0};
  AM_GO(done, am_manifest_list(m, app->data_dir, &what, &list));
  AM_GO(done, am_data_check(m, &list, &report));
  print_counts(app, &list);
  am_data_print(&report, m, &what, &list, app->out);
  AM_GO(done, am_data_verdict(&report, m));
  AM_GO(done, am_data_checksums(m, app->data_dir, app->out));
done:
  am_data_report_fini(&report);
  am_file_list_fini(&list);
  return err;
}

// ---- show ----

enum { TILE_PX = 96, MOST_TILES = 4000 };

// A row of the images first .. end, which are of one class.
static am_err add_class(am_manifest *m, const am_file_list *list, int64_t first, int64_t end,
                        int64_t per_class, am_sheet *sheet) {
  am_err err = AM_OK;
  int64_t shown = 0;
  am_image image = {0};
  for (int64_t i = first; i < end && shown < per_class; i++) {
    AM_GO(done, am_manifest_image(m, list, i, &image));
    AM_GO(done, am_sheet_add(sheet, &image, TILE_PX));
    am_image_fini(&image);
    shown++;
  }
  // A class with fewer images keeps its row: the rest of it stays white.
  for (; shown < per_class; shown++) AM_GO(done, am_sheet_add_blank(sheet, TILE_PX));
done:
  am_image_fini(&image);
  return err;
}

static am_err show_set(am_app *app, am_manifest *m, const data_options *o) {
  am_err err = AM_OK;
  am_selection what = selection_of(o);
  am_file_list list = {0};
  am_sheet sheet = {0};
  am_image drawn = {0};
  char *out = NULL;
  AM_GO(done, o->out ? am_mem_strdup(o->out, &out) : am_str_format(&out, "%s.png", am_manifest_name(m)));
  AM_GO(done, am_manifest_list(m, app->data_dir, &what, &list));
  AM_CHECK_GO(done, list.class_count * o->per_class <= MOST_TILES, AM_ERR_CONFIG,
              "%lld classes x %lld images are more than a sheet of %d: choose a smaller --per-class",
              (long long)list.class_count, (long long)o->per_class, MOST_TILES);
  print_counts(app, &list);
  for (int64_t first = 0, end; first < list.count; first = end) {
    end = end_of_class(&list, first);
    AM_GO(done, add_class(m, &list, first, end, o->per_class, &sheet));
  }
  AM_GO(done, am_sheet_draw(&sheet, o->per_class, &drawn));
  AM_GO(done, am_image_write_png(out, &drawn));
  fprintf(app->out, "wrote %s, a row for each class\n", out);
done:
  am_image_fini(&drawn);
  am_sheet_fini(&sheet);
  am_file_list_fini(&list);
  free(out);
  return err;
}

// ---- the command ----

static am_err run(am_app *app) {
  static const struct {
    const char *name;
    am_err (*run)(am_app *app, am_manifest *m, const data_options *o);
  } verbs[] = {{"import", import_set}, {"check", check_set}, {"show", show_set}};
  am_err err = AM_OK;
  data_options o = {.per_class = 8};
  am_manifest *m = NULL;
  char *classes = NULL;
  bool go = false;
  const am_option options[] = {
      {"--from", AM_OPTION_TEXT, &o.from, "DIR", "import: where the image set lies now"},
      {"--link", AM_OPTION_FLAG, &o.link, NULL, "import: a symbolic link instead of a copy"},
      {"--force", AM_OPTION_FLAG, &o.force, NULL, "import: set an existing folder aside as NAME.old"},
      {"--split", AM_OPTION_TEXT, &o.split, "NAME", "only this split"},
      {"--classes", AM_OPTION_TEXT, &o.classes, "A,B",
       "only these classes, where a part of the set is enough"},
      {"--per-class", AM_OPTION_I64, &o.per_class, "N", "show: images of each class (8)"},
      {"--out", AM_OPTION_TEXT, &o.out, "F.png", "show: where the sheet goes (NAME.png)"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 2, 2, &go));
  if (!go) return AM_OK;
  AM_CHECK(o.per_class >= 1 && o.per_class <= 100, AM_ERR_CONFIG, "--per-class %lld, expected 1 to 100",
           (long long)o.per_class);
  AM_GO(done, am_mem_strdup(o.classes ? o.classes : "", &classes));
  AM_GO(done, cut_classes(classes, &o.class_name));
  for (int64_t v = 0; v < AM_COUNT_OF(verbs); v++) {
    if (strcmp(verbs[v].name, app->argv[0])) continue;
    AM_GO(done, am_manifest_load(app->argv[1], app->manifest_dir, &m));
    AM_GO(done, verbs[v].run(app, m, &o));
    goto done;
  }
  err = AM_FAIL(AM_ERR_CONFIG, "data %s is not known, expected import, check or show", app->argv[0]);
done:
  am_manifest_free(m);
  free(classes);
  return err;
}

const am_command am_cmd_data = {
    .name = "data",
    .usage = "import|check|show MANIFEST [options]",
    .doc = "bring image sets in, check them, show them",
    .help =
        "MANIFEST is a name below data/manifests/ or a path to a .yaml file; the images are in "
        "DATA/<name>/.\n"
        "  import  copies or links the folder --from to DATA/<name>/ once everything in it has been read\n"
        "  check   reads every image; counts, corrupt images, images of equal bytes and whether they cross "
        "splits;\n"
        "          published checksums\n"
        "  show    draws a contact sheet, a row for each class\n"
        "Exit code 1 when an image is corrupt or missing, or a checksum differs.\n",
    .run = run};
