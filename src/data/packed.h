// Packed image sets: all images of a split in one file, or in a few. They are read where they lie.
//
//   idx      MNIST and its kin, plain or gzip. A file is: two zero bytes, type 8 (unsigned byte), the
//            number of dimensions, each dimension as a big-endian u32, then the bytes. Images are
//            (n, height, width), grey; labels are (n) in a file of their own.
//            (Y. LeCun, C. Cortes, C. Burges: the MNIST database, "file formats".)
//   records  bytes without a header, one record after the other: label_bytes bytes of labels, of which
//            one is used, then an image as planes (channels, height, width). CIFAR-10 has one label byte,
//            CIFAR-100 two (coarse, fine), STL-10 none but a file with one byte for each image.
//            (A. Krizhevsky, "binary version"; A. Coates, "STL-10 binary files".)
//
// Foreign bytes: magic, sizes, products and the length of every file are checked before anything is
// allocated for them, labels when a file is opened.
#ifndef AM_DATA_PACKED_H
#define AM_DATA_PACKED_H

#include <stdbool.h>

#include "data/image.h"

typedef enum { AM_PACKED_IDX, AM_PACKED_RECORDS } am_packed_kind;
typedef struct {
  am_packed_kind kind;
  int64_t height, width, channels;  // records: px, px, 1 or 3
  int64_t label_bytes, label_at;    // records: bytes before an image, and which of them is its label
  bool transposed;                  // planes are stored column after column (EMNIST, STL-10)
  int64_t first_label;              // what the first class is called in the file
  int64_t class_count;              // labels are first_label .. first_label + class_count - 1
} am_packed_desc;

// One file of images. Thread-safe once open.
typedef struct am_packed am_packed;
// labels NULL: they are in the records, or (label_bytes 0, idx) there are none. Errors: AM_ERR_DATA with
// file, value and expectation; AM_ERR_IO; AM_ERR_NOMEM.
AM_MUST_USE am_err am_packed_open(const am_packed_desc *desc, const char *images, const char *labels,
                                  am_packed **out);
// The same from memory; `labels` may be NULL. The fuzz targets enter here.
AM_MUST_USE am_err am_packed_parse(const am_packed_desc *desc, const void *images, size_t image_bytes,
                                   const void *labels, size_t label_bytes, am_packed **out);
void am_packed_close(am_packed *p);
int64_t am_packed_count(const am_packed *p);
// 0 .. class_count - 1, or -1 in a file without labels.
int32_t am_packed_label(const am_packed *p, int64_t i);
// Image i as RGB, grey repeated.
AM_MUST_USE am_err am_packed_image(const am_packed *p, int64_t i, am_image *out);
// SHA-256 of what image i shows: its size and its RGB pixels, however they are stored.
AM_MUST_USE am_err am_packed_hash(const am_packed *p, int64_t i, char hex[65]);

#endif
