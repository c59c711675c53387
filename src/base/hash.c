#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct am_sha256 {
  EVP_MD_CTX *ctx;  // owned
};

static am_err digest_new(const EVP_MD *kind, am_sha256 **out) {
  am_sha256 *h = NULL;
  AM_TRY(AM_NEW(&h));
  h->ctx = EVP_MD_CTX_new();
  if (!h->ctx || EVP_DigestInit_ex(h->ctx, kind, NULL) != 1) {
    am_sha256_free(h);
    return AM_FAIL(AM_ERR_NOMEM, "cannot start %s", EVP_MD_get0_name(kind));
  }
  *out = h;
  return AM_OK;
}

am_err am_sha256_new(am_sha256 **out) { return digest_new(EVP_sha256(), out); }

am_err am_sha256_update(am_sha256 *h, const void *data, size_t bytes) {
  AM_CHECK(EVP_DigestUpdate(h->ctx, data, bytes) == 1, AM_ERR_INTERNAL, "SHA-256 update failed");
  return AM_OK;
}

static void put_hex(const uint8_t *digest, size_t n, char *hex) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    hex[2 * i] = digit[digest[i] >> 4];
    hex[2 * i + 1] = digit[digest[i] & 15];
  }
  hex[2 * n] = '\0';
}

void am_sha256_to_hex(const uint8_t digest[AM_SHA256_BYTES], char hex[AM_SHA256_HEX]) {
  put_hex(digest, AM_SHA256_BYTES, hex);
}

void am_sha256_from_hex(const char hex[AM_SHA256_HEX], uint8_t digest[AM_SHA256_BYTES]) {
  for (int i = 0; i < 2 * AM_SHA256_BYTES; i++) {
    int value = hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10;
    digest[i / 2] = (uint8_t)(digest[i / 2] << 4 | value);
  }
}

am_err am_sha256_finish(am_sha256 *h, char hex[AM_SHA256_HEX]) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  AM_CHECK(EVP_DigestFinal_ex(h->ctx, digest, &n) == 1 && n <= AM_SHA256_BYTES, AM_ERR_INTERNAL,
           "a digest failed");
  put_hex(digest, n, hex);
  return AM_OK;
}

void am_sha256_free(am_sha256 *h) {
  if (!h) return;
  EVP_MD_CTX_free(h->ctx);
  free(h);
}

am_err am_sha256_bytes(const void *data, size_t bytes, char hex[AM_SHA256_HEX]) {
  am_sha256 *h = NULL;
  am_err err = AM_OK;
  AM_GO(done, am_sha256_new(&h));
  AM_GO(done, am_sha256_update(h, data, bytes));
  AM_GO(done, am_sha256_finish(h, hex));
done:
  am_sha256_free(h);
  return err;
}

am_err am_digest_stream(const char *kind, am_err (*next)(void *user, void *chunk, size_t room, size_t *got),
                        void *user, char hex[AM_SHA256_HEX]) {
  am_err err = AM_OK;
  am_sha256 *h = NULL;
  char chunk[1 << 16];
  size_t got = 0;
  const EVP_MD *md = strcmp(kind, "md5") == 0 ? EVP_md5() : strcmp(kind, "sha256") == 0 ? EVP_sha256() : NULL;
  AM_CHECK(md, AM_ERR_UNSUPPORTED, "digests of kind %s, expected md5 or sha256", kind);
  AM_GO(done, digest_new(md, &h));
  do {
    AM_GO(done, next(user, chunk, sizeof chunk, &got));
    AM_GO(done, am_sha256_update(h, chunk, got));
  } while (got > 0);
  AM_GO(done, am_sha256_finish(h, hex));
done:
  am_sha256_free(h);
  return err;
}

static am_err next_of_file(void *user, void *chunk, size_t room, size_t *got) {
  const int *fd = user;
  ssize_t n;
  do {
    n = read(*fd, chunk, room);
  } while (n < 0 && errno == EINTR);
  AM_CHECK(n >= 0, AM_ERR_IO, "it cannot be read: %s", strerror(errno));
  *got = (size_t)n;
  return AM_OK;
}

am_err am_digest_file(const char *kind, const char *path, char hex[AM_SHA256_HEX]) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return AM_FAIL(AM_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  am_err err = am_digest_stream(kind, next_of_file, &fd, hex);
  if (err) am_err_prefix("%s", path);
  close(fd);
  return err;
}

am_err am_sha256_file(const char *path, char hex[AM_SHA256_HEX]) {
  return am_digest_file("sha256", path, hex);
}

// CRC-32C: with the SSE4.2 instruction where the processor has it, by table elsewhere. The instruction
// takes three cycles but one can start every cycle, so three neighbouring lanes run side by side; their
// sums are joined by what LANE zero bytes make of a sum, which is linear in its bits.
enum { LANE = 256 };
static uint32_t crc_table[8][256];
static uint32_t crc_lane_table[4][256];  // by byte of the sum

static uint32_t crc_by_table(uint32_t crc, const unsigned char *p, size_t bytes) {
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    crc = crc_table[7][low & 0xff] ^ crc_table[6][low >> 8 & 0xff] ^ crc_table[5][low >> 16 & 0xff] ^
          crc_table[4][low >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^
          crc_table[0][p[7]];
  }
  for (; bytes > 0; bytes--, p++) crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 0xff];
  return crc;
}

__attribute__((constructor)) static void fill_crc_tables(void) {
  static const unsigned char zeros[LANE];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
    crc_table[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++) {
    for (int k = 1; k < 8; k++) {
      crc_table[k][i] = crc_table[k - 1][i] >> 8 ^ crc_table[0][crc_table[k - 1][i] & 0xff];
    }
  }
  for (int k = 0; k < 4; k++) {
    for (uint32_t i = 1; i < 256; i++) {
      uint32_t lowest = i & -i, rest = i ^ lowest;
      crc_lane_table[k][i] =
          rest ? crc_lane_table[k][lowest] ^ crc_lane_table[k][rest] : crc_by_table(i << 8 * k, zeros, LANE);
    }
  }
}

static uint32_t past_lane(uint32_t crc) {
  return crc_lane_table[0][crc & 0xff] ^ crc_lane_table[1][crc >> 8 & 0xff] ^
         crc_lane_table[2][crc >> 16 & 0xff] ^ crc_lane_table[3][crc >> 24];
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_by_sse42(uint32_t crc, const unsigned char *p,
                                                               size_t bytes) {
  uint64_t a = crc, b, c, word[3];
  for (; bytes >= 3 * LANE; bytes -= 3 * LANE, p += 3 * LANE) {
    b = c = 0;
    for (int i = 0; i < LANE; i += 8) {
      memcpy(&word[0], p + i, 8);
      memcpy(&word[1], p + i + LANE, 8);
      memcpy(&word[2], p + i + 2 * LANE, 8);
      a = __builtin_ia32_crc32di(a, word[0]);
      b = __builtin_ia32_crc32di(b, word[1]);
      c = __builtin_ia32_crc32di(c, word[2]);
    }
    a = past_lane(past_lane((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
  }
  for (; bytes >= 8; bytes -= 8, p += 8) {
    memcpy(&word[0], p, 8);
    a = __builtin_ia32_crc32di(a, word[0]);
  }
  uint32_t tail = (uint32_t)a;
  for (; bytes > 0; bytes--, p++) tail = __builtin_ia32_crc32qi(tail, *p);
  return tail;
}
#endif

uint32_t am_crc32c(uint32_t crc, const void *data, size_t bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~crc_by_sse42(~crc, data, bytes);
#endif
  return ~crc_by_table(~crc, data, bytes);
}
