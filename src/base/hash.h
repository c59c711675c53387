// SHA-256 (libcrypto) for identity and CRC-32C (Castagnoli) for integrity.
#ifndef AM_BASE_HASH_H
#define AM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { AM_SHA256_BYTES = 32, AM_SHA256_HEX = 65 };  // hex form with its terminating zero

typedef struct am_sha256 am_sha256;
AM_MUST_USE am_err am_sha256_new(am_sha256 **out);
AM_MUST_USE am_err am_sha256_update(am_sha256 *h, const void *data, size_t bytes);
AM_MUST_USE am_err am_sha256_finish(am_sha256 *h, char hex[AM_SHA256_HEX]);  // then only free it
void am_sha256_free(am_sha256 *h);

AM_MUST_USE am_err am_sha256_bytes(const void *data, size_t bytes, char hex[AM_SHA256_HEX]);
AM_MUST_USE am_err am_sha256_file(const char *path, char hex[AM_SHA256_HEX]);

void am_sha256_to_hex(const uint8_t digest[AM_SHA256_BYTES], char hex[AM_SHA256_HEX]);
void am_sha256_from_hex(const char hex[AM_SHA256_HEX], uint8_t digest[AM_SHA256_BYTES]);  // as made here

// Digests that others publish: kind is "md5" or "sha256".
AM_MUST_USE am_err am_digest_file(const char *kind, const char *path, char hex[AM_SHA256_HEX]);
// Of the bytes that `next` hands out, up to `room` at a time, until it gives none.
AM_MUST_USE am_err am_digest_stream(const char *kind,
                                    am_err (*next)(void *user, void *chunk, size_t room, size_t *got),
                                    void *user, char hex[AM_SHA256_HEX]);

// CRC-32C of data, continuing from crc (0 to start). Check value of "123456789": 0xE3069283.
uint32_t am_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
