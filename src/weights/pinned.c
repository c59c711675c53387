#define _XOPEN_SOURCE 700  // realpath
#include "weights/pinned.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "data/hash_cache.h"

#define AM_FIELD_OF am_weights_cfg
static const am_field weights_fields[] = {AM_FIELDS(AM_WEIGHTS_FIELDS)};
#undef AM_FIELD_OF
const am_schema am_weights_schema =
    AM_SCHEMA("weights", "given weights: manifests/weights/NAME.yaml", am_weights_cfg, weights_fields);

bool am_is_sha256(const char *text) {
  return strlen(text) == AM_SHA256_HEX - 1 && strspn(text, "0123456789abcdef") == AM_SHA256_HEX - 1;
}

// ---- finding ----

static am_err fail_unknown(const char *name, const char *folder) {
  am_err err = AM_OK;
  am_dir_list files = {0};
  const char **names = NULL;
  AM_GO(done, am_path_is_dir(folder) ? am_dir_read(folder, &files) : AM_OK);
  AM_GO(done, AM_NEW_ARRAY(&names, files.count));
  for (int64_t i = 0; i < files.count; i++) {
    char *end = strrchr(files.name[i], '.');
    if (end) *end = '\0';
    names[i] = files.name[i];
  }
  const char *nearest = am_str_nearest(name, names, files.count);
  err =
      AM_FAIL(AM_ERR_CONFIG,
              "there are no weights \"%s\" in %s%s%s%s; a file of your own is named by a path that ends in "
              ".safetensors",
              name, folder, nearest ? ": did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
done:
  am_dir_list_fini(&files);
  free(names);
  return err;
}

static am_err read_manifest(const char *path, const char *name, const char *data_dir, am_weights_ref *ref) {
  am_err err = AM_OK;
  am_node *tree = NULL;
  am_weights_cfg cfg;
  AM_GO(done, am_yaml_read(path, &tree));
  AM_GO(done, am_bind(tree, &am_weights_schema, NULL, &cfg));
  if (*cfg.sha256 && !am_is_sha256(cfg.sha256)) {
    err = am_node_fail(am_node_get(tree, "sha256"), "expected the 64 hexadecimal digits of a SHA-256");
    goto done;
  }
  snprintf(ref->sha256, sizeof ref->sha256, "%s", cfg.sha256);
  AM_GO(done, *cfg.file ? am_str_format(&ref->path, "%s/weights/%s", data_dir, cfg.file)
                        : am_str_format(&ref->path, "%s/weights/%s.safetensors", data_dir, name));
  AM_GO(done, am_str_format(&ref->about, ": %s, licence %s, from %s", *cfg.title ? cfg.title : name,
                            *cfg.licence ? cfg.licence : "not stated", *cfg.source ? cfg.source : "?"));
done:
  am_node_free(tree);
  return err;
}

am_err am_weights_ref_find(const char *name, const char *manifest_dir, const char *data_dir,
                           am_weights_ref *out) {
  am_err err = AM_OK;
  am_weights_ref ref = {0};
  char *folder = NULL, *path = NULL;
  if (am_str_ends(name, ".safetensors")) {
    AM_GO(done, am_mem_strdup(name, &ref.path));
    AM_GO(done, am_mem_strdup("", &ref.about));
  } else {
    AM_GO(done, am_path_join(manifest_dir, "weights", &folder));
    AM_GO(done, am_str_format(&path, "%s/%s.yaml", folder, name));
    AM_GO(done,
          am_path_exists(path) ? read_manifest(path, name, data_dir, &ref) : fail_unknown(name, folder));
  }
  *out = ref;
  ref = (am_weights_ref){0};
done:
  am_weights_ref_fini(&ref);
  free(folder);
  free(path);
  return err;
}

void am_weights_ref_fini(am_weights_ref *ref) {
  free(ref->path);
  free(ref->about);
  *ref = (am_weights_ref){0};
}

// ---- hashing ----

// A cache that cannot be written is only slow.
static void remember(const am_hash_cache *cache, const char *cache_dir, const char *file, am_hash_row *row) {
  am_err err = am_path_mkdirs(cache_dir);
  if (!err) err = am_hash_cache_save(cache, file, row, 1);
  if (err) AM_WARN("hashes of weights are not remembered: %s", am_err_last()->message);
}

static am_err hash_through_cache(const char *path, const char *cache_dir, char hex[AM_SHA256_HEX]) {
  am_err err = AM_OK;
  am_hash_cache *cache = NULL;
  am_hash_row row;
  char *file = NULL;
  if (!cache_dir) return am_sha256_file(path, hex);
  AM_GO(done, am_path_join(cache_dir, "weights.hashes", &file));
  AM_GO(done, am_hash_cache_load(file, &cache));
  AM_GO(done, am_hash_row_look(path, path, &row));
  if (am_hash_cache_find(cache, &row)) {
    am_sha256_to_hex(row.sha256, hex);
    goto done;
  }
  AM_GO(done, am_sha256_file(path, hex));
  am_sha256_from_hex(hex, row.sha256);
  remember(cache, cache_dir, file, &row);
done:
  am_hash_cache_free(cache);
  free(file);
  return err;
}

am_err am_weights_ref_hash(const am_weights_ref *ref, const char *cache_dir, char hex[AM_SHA256_HEX]) {
  am_err err = AM_OK;
  char *whole = realpath(ref->path, NULL);  // without links, so that a cache holds for any spelling
  AM_CHECK(whole, AM_ERR_DATA, "there is no file %s%s%s%s%s", ref->path, *ref->sha256 ? " (SHA-256 " : "",
           ref->sha256, *ref->sha256 ? ")" : "", ref->about);
  AM_GO(done, hash_through_cache(whole, cache_dir, hex));
  AM_CHECK_GO(done, !*ref->sha256 || strcmp(ref->sha256, hex) == 0, AM_ERR_DATA,
              "%s has SHA-256 %s, expected %s%s", ref->path, hex, ref->sha256, ref->about);
done:
  free(whole);
  return err;
}
