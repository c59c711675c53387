#include "data/packed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

static const int64_t STORED_LIMIT = (int64_t)1 << 30, UNPACKED_LIMIT = (int64_t)1 << 31;
enum { MOST_TO_ONE = 1032, GZIP_HEADER = 15 + 16 };  // zlib: a window of 2^15 bytes, gzip framing

static bool is_gzip(const uint8_t *p, int64_t bytes) { return bytes >= 2 && p[0] == 0x1f && p[1] == 0x8b; }

// ---- opening ----

am_err am_packed_file_find(const char *path, char **found) {
  char *packed = NULL;
  AM_TRY(am_str_format(&packed, "%s.gz", path));
  const char *there = am_path_exists(path) ? path : am_path_exists(packed) ? packed : NULL;
  am_err err = am_mem_strdup(there, found);
  free(packed);
  return err;
}

static am_err read_at(int fd, const char *name, int64_t at, size_t count, uint8_t *out) {
  while (count > 0) {
    ssize_t got = pread(fd, out, count, at);
    if (got < 0 && errno == EINTR) continue;
    AM_CHECK(got >= 0, AM_ERR_IO, "cannot read %s: %s", name, strerror(errno));
    AM_CHECK(got > 0, AM_ERR_DATA, "%s: the file ends at byte %lld: it was cut while it was read", name,
             (long long)at);
    out += got;
    at += got;
    count -= (size_t)got;
  }
  return AM_OK;
}

// A compressed file is read whole, as stored.
static am_err look_inside(am_packed_file *f) {
  uint8_t first[2];
  size_t bytes = 0;
  if (f->bytes < (int64_t)sizeof first) return AM_OK;
  AM_TRY(read_at(f->fd, f->name, 0, sizeof first, first));
  if (!is_gzip(first, sizeof first)) return AM_OK;
  AM_TRY(am_file_read(f->name, (size_t)STORED_LIMIT, (char **)&f->held, &bytes));
  f->bytes = (int64_t)bytes;
  f->gzip = true;
  close(f->fd);
  f->fd = -1;
  return AM_OK;
}

am_err am_packed_file_open(const char *path, bool may_be_gzip, am_packed_file *out) {
  am_err err = AM_OK;
  am_packed_file f = {.fd = -1};
  AM_GO(failed, am_mem_strdup(path, &f.name));
  f.fd = open(path, O_RDONLY | O_CLOEXEC);
  AM_CHECK_GO(failed, f.fd >= 0, AM_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  AM_CHECK_GO(failed, !am_path_is_dir(path), AM_ERR_IO, "%s is a folder, expected a file", path);
  AM_GO(failed, am_file_size(path, &f.bytes));
  if (may_be_gzip) AM_GO(failed, look_inside(&f));
  *out = f;
  return AM_OK;
failed:
  am_packed_file_fini(&f);
  return err;
}

am_err am_packed_file_copy(const char *name, const void *bytes, size_t count, bool may_be_gzip,
                           am_packed_file *out) {
  am_err err = AM_OK;
  am_packed_file f = {.fd = -1, .bytes = (int64_t)count};
  AM_GO(failed, am_mem_strdup(name, &f.name));
  AM_GO(failed, AM_NEW_ARRAY(&f.held, f.bytes));
  if (count) memcpy(f.held, bytes, count);
  f.gzip = may_be_gzip && is_gzip(f.held, f.bytes);
  *out = f;
  return AM_OK;
failed:
  am_packed_file_fini(&f);
  return err;
}

void am_packed_file_fini(am_packed_file *f) {
  if (f->fd >= 0) close(f->fd);
  free(f->held);
  free(f->name);
  *f = (am_packed_file){.fd = -1};
}

// ---- unpacking ----

static am_err inflate_failed(const am_packed_file *f, const z_stream *z, int rc) {
  if (rc == Z_MEM_ERROR) return AM_FAIL(AM_ERR_NOMEM, "%s: no memory to unpack it", f->name);
  if (rc == Z_BUF_ERROR) return AM_FAIL(AM_ERR_DATA, "%s: the compressed data end early", f->name);
  return AM_FAIL(AM_ERR_DATA, "%s: the compressed data are damaged: %s", f->name,
                 z->msg ? z->msg : "no reason");
}

// Fills `out` as far as the data go; *got bytes. Members of a gzip file follow each other. Errors: what
// is damaged, cut off, or not gzip behind the end, as far as `room` lets it be seen.
static am_err unpack(const am_packed_file *f, uint8_t *out, size_t room, size_t *got) {
  am_err err = AM_OK;
  z_stream z = {.next_in = f->held, .avail_in = (uInt)f->bytes, .next_out = out, .avail_out = (uInt)room};
  int rc = inflateInit2(&z, GZIP_HEADER);
  if (rc != Z_OK) return inflate_failed(f, &z, rc);
  for (;;) {
    rc = inflate(&z, Z_NO_FLUSH);
    if (rc == Z_OK) continue;
    if (rc == Z_BUF_ERROR && z.avail_out == 0) break;
    if (rc != Z_STREAM_END) AM_GO(done, inflate_failed(f, &z, rc));
    if (z.avail_in == 0) break;
    AM_CHECK_GO(done, is_gzip(z.next_in, z.avail_in), AM_ERR_DATA,
                "%s: %u bytes follow the end of the compressed data", f->name, z.avail_in);
    AM_CHECK_GO(done, inflateReset(&z) == Z_OK, AM_ERR_INTERNAL, "%s: cannot go on unpacking", f->name);
  }
  *got = room - z.avail_out;
done:
  inflateEnd(&z);
  return err;
}

am_err am_packed_file_head(const am_packed_file *f, size_t count, void *out) {
  size_t got = 0;
  if (f->gzip) {
    AM_TRY(unpack(f, out, count, &got));
    AM_CHECK(got == count, AM_ERR_DATA, "%s: it unpacks to %zu bytes, expected at least %zu", f->name, got,
             count);
    return AM_OK;
  }
  AM_CHECK(f->bytes >= (int64_t)count, AM_ERR_DATA, "%s: the file has %lld bytes, expected at least %zu",
           f->name, (long long)f->bytes, count);
  return am_packed_file_read(f, 0, count, out);
}

// One byte more than is expected, so that too much can be told from enough.
static am_err unpack_all(am_packed_file *f, int64_t bytes, const char *why) {
  am_err err = AM_OK;
  uint8_t *content = NULL;
  size_t got = 0;
  AM_CHECK(bytes < UNPACKED_LIMIT, AM_ERR_DATA,
           "%s: %s, which is %lld bytes: unpack files of more than %lld with gunzip", f->name, why,
           (long long)bytes, (long long)UNPACKED_LIMIT);
  AM_CHECK(bytes / MOST_TO_ONE <= f->bytes, AM_ERR_DATA,
           "%s: %s, which is %lld bytes: the file's %lld cannot unpack to so many", f->name, why,
           (long long)bytes, (long long)f->bytes);
  AM_TRY(AM_NEW_ARRAY(&content, bytes + 1));
  AM_GO(done, unpack(f, content, (size_t)bytes + 1, &got));
  AM_CHECK_GO(done, got == (size_t)bytes, AM_ERR_DATA, "%s: %s, which is %lld bytes, but it unpacks to %s%zu",
              f->name, why, (long long)bytes, got > (size_t)bytes ? "at least " : "", got);
  free(f->held);
  f->held = content;
  f->bytes = bytes;
  f->gzip = false;
  content = NULL;
done:
  free(content);
  return err;
}

am_err am_packed_file_expect(am_packed_file *f, int64_t bytes, const char *why) {
  if (f->gzip) return unpack_all(f, bytes, why);
  AM_CHECK(f->bytes == bytes, AM_ERR_DATA, "%s: %s, which is %lld bytes, but the file has %lld", f->name, why,
           (long long)bytes, (long long)f->bytes);
  return AM_OK;
}

am_err am_packed_file_read(const am_packed_file *f, int64_t at, size_t count, void *out) {
  AM_CHECK(!f->gzip && at >= 0 && at <= f->bytes && (int64_t)count <= f->bytes - at, AM_ERR_ARG,
           "%s: bytes %lld to %lld of %lld", f->name, (long long)at, (long long)(at + (int64_t)count),
           (long long)f->bytes);
  if (f->fd >= 0) return read_at(f->fd, f->name, at, count, out);
  if (count) memcpy(out, f->held + at, count);
  return AM_OK;
}
