#include "data/checksum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "data/manifest_internal.h"
#include "data/packed_file.h"

// ---- what the manifest says ----

static am_err read_checksum(const am_node *node, const char *file, am_checksum_def *out) {
  static const struct {
    const char *kind;
    size_t digits;
  } kinds[] = {{"md5", 32}, {"sha256", 64}};
  const char *text = NULL;
  AM_TRY(am_node_str(node, &text));
  for (int k = 0; k < AM_COUNT_OF(kinds); k++) {
    size_t n = strlen(kinds[k].kind);
    if (strncmp(text, kinds[k].kind, n) != 0 || text[n] != ':') continue;
    *out = (am_checksum_def){.file = file, .kind = kinds[k].kind, .hex = text + n + 1};
    if (strspn(out->hex, "0123456789abcdef") == kinds[k].digits && strlen(out->hex) == kinds[k].digits)
      return AM_OK;
    return am_node_fail(node, "expected %zu lower-case hexadecimal digits after %s:", kinds[k].digits,
                        kinds[k].kind);
  }
  return am_node_fail(node, "expected md5:DIGITS or sha256:DIGITS");
}

am_err am_manifest_read_checksums(am_manifest *m) {
  const am_node *map = am_node_get(m->tree, "checksums");
  if (!map) return AM_OK;
  if (map->kind != AM_NODE_MAP) return am_node_fail(map, "expected a map like {train.bin: md5:DIGITS}");
  AM_TRY(AM_NEW_ARRAY(&m->checksum, map->count));
  m->checksum_count = map->count;
  for (int64_t k = 0; k < map->count; k++) {
    AM_TRY(am_manifest_check_inside(map->item[k], map->key[k]));
    AM_TRY(read_checksum(map->item[k], map->key[k], &m->checksum[k]));
  }
  return AM_OK;
}

int64_t am_checksum_count(const am_manifest *m) { return m->checksum_count; }

// ---- what is there ----

// *found = heap path of a file of that name, with .gz where only that is there; NULL: none.
static am_err find_file(const am_manifest *m, const char *data_dir, const char *file, char **found) {
  am_err err = AM_OK;
  char *folder = NULL, *root = NULL, *path = NULL;
  *found = NULL;
  AM_GO(done, am_path_join(data_dir, m->name, &folder));
  AM_GO(done, am_path_join(folder, m->cfg.archive_folder, &root));
  for (int k = 0; k < 2 && !*found; k++) {
    AM_GO(done, am_path_join(k ? folder : root, file, &path));
    AM_GO(done, am_packed_file_find(path, found));
    free(path);
    path = NULL;
  }
done:
  free(folder);
  free(root);
  free(path);
  return err;
}

typedef struct {
  gzFile file;
  const char *path;
  int64_t total;
} unpacking;

static am_err next_chunk(void *user, void *chunk, size_t room, size_t *got) {
  static const int64_t LIMIT = (int64_t)1 << 36;
  unpacking *u = user;
  int code = 0, n = gzread(u->file, chunk, (unsigned)room);
  AM_CHECK(n >= 0, AM_ERR_DATA, "cannot unpack %s: %s", u->path, gzerror(u->file, &code));
  u->total += n;
  AM_CHECK(u->total <= LIMIT, AM_ERR_DATA, "%s unpacks to more than %lld bytes", u->path, (long long)LIMIT);
  *got = (size_t)n;
  return AM_OK;
}

static am_err digest_unpacked(const char *kind, const char *path, char hex[AM_SHA256_HEX]) {
  unpacking u = {.file = gzopen(path, "rb"), .path = path};
  AM_CHECK(u.file, AM_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  am_err err = am_digest_stream(kind, next_chunk, &u, hex);
  int rc = gzclose(u.file);
  if (!err && rc == Z_BUF_ERROR) err = AM_FAIL(AM_ERR_DATA, "cannot unpack %s: it ends early", path);
  return err;
}

am_err am_checksum_look(const am_manifest *m, const char *data_dir, int64_t k, am_checksum *out) {
  am_err err = AM_OK;
  const am_checksum_def *def = &m->checksum[k];
  am_checksum sum = {.file = def->file, .kind = def->kind, .hex = def->hex};
  char *path = NULL;
  AM_TRY(find_file(m, data_dir, def->file, &path));
  sum.there = path != NULL;
  if (sum.there) {
    bool packed = am_str_ends(path, ".gz") && !am_str_ends(def->file, ".gz");
    AM_GO(done,
          packed ? digest_unpacked(def->kind, path, sum.found) : am_digest_file(def->kind, path, sum.found));
    sum.agrees = strcmp(sum.found, def->hex) == 0;
  }
  *out = sum;
done:
  free(path);
  return err;
}
