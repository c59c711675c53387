// doctor: which image sets and weights of the manifests are here, and where people get the others.
#include <stdlib.h>
#include <string.h>

#include "app/doctor.h"
#include "base/path.h"
#include "data/manifest.h"
#include "weights/pinned.h"

static void check_data_set(am_doctor *d, const char *file) {
  am_manifest *m = NULL;
  am_file_list list = {0};
  char *path = NULL;
  am_err err = am_path_join(d->app->manifest_dir, file, &path);
  if (!err) err = am_manifest_load(path, d->app->manifest_dir, &m);
  if (err) {
    am_doctor_fail(d, "data", am_err_last()->message, "%s cannot be read", file);
  } else if (am_manifest_list(m, d->app->data_dir, &(am_selection){0}, &list) == AM_OK) {
    am_doctor_ok(d, "data", "%s: %lld images of %lld classes%s", am_manifest_name(m), (long long)list.count,
                 (long long)list.class_count, am_manifest_is_drawn(m) ? ", drawn by the program" : "");
  } else {
    am_doctor_warn(d, "data", am_err_last()->message, "%s is not here, or not whole", am_manifest_name(m));
  }
  am_file_list_fini(&list);
  am_manifest_free(m);
  free(path);
}

// Looked for, not read: `augmint weights check` hashes them.
static void check_weights(am_doctor *d, const char *file) {
  am_weights_ref ref = {0};
  char name[256];
  snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - strlen(".yaml")), file);
  if (am_weights_ref_find(name, d->app->manifest_dir, d->app->data_dir, &ref) != AM_OK) {
    am_doctor_fail(d, "weights", am_err_last()->message, "%s cannot be read", file);
  } else if (am_path_exists(ref.path)) {
    am_doctor_ok(d, "weights", "%s: %s", name, ref.path);
  } else {
    char advice[AM_ERR_MESSAGE_BYTES];
    snprintf(advice, sizeof advice, "put the file to %s%s", ref.path, ref.about);
    am_doctor_warn(d, "weights", advice, "%s is not here", name);
  }
  am_weights_ref_fini(&ref);
}

static am_err check_each(am_doctor *d, const char *dir, void (*check)(am_doctor *, const char *)) {
  am_dir_list list = {0};
  AM_TRY(am_dir_read(dir, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (am_str_ends(list.name[i], ".yaml")) check(d, list.name[i]);
  }
  am_dir_list_fini(&list);
  return AM_OK;
}

am_err am_doctor_data(am_doctor *d) {
  const am_app *app = d->app;
  char *weights = NULL;
  if (!am_path_is_dir(app->manifest_dir)) {
    am_doctor_fail(d, "data", "start in the source folder or give --manifests DIR", "there is no folder of manifests %s",
                   app->manifest_dir);
    return AM_OK;
  }
  am_doctor_ok(d, "data", "image sets are looked for in %s/<manifest>/, weights in %s/weights/ (--data DIR or AUGMINT_DATA)",
               app->data_dir, app->data_dir);
  AM_TRY(check_each(d, app->manifest_dir, check_data_set));
  AM_TRY(am_path_join(app->manifest_dir, "weights", &weights));
  am_err err = am_path_is_dir(weights) ? check_each(d, weights, check_weights) : AM_OK;
  free(weights);
  return err;
}
