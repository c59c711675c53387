// Names of the parts of a shard (described in shard.h), shared by writer and reader.
#ifndef AM_DATA_SHARD_FORMAT_H
#define AM_DATA_SHARD_FORMAT_H

#define AM_SHARD_FORMAT "augmint-shard-1"

#define AM_SHARD_IMAGE_BYTES "image_bytes"
#define AM_SHARD_OFFSET      "offset"
#define AM_SHARD_LABEL       "label"
#define AM_SHARD_INDEX       "index"
#define AM_SHARD_CRC         "crc32c"

#define AM_SHARD_ATTR_FORMAT      "format"
#define AM_SHARD_ATTR_ENCODING    "encoding"
#define AM_SHARD_ATTR_HEIGHT      "height"
#define AM_SHARD_ATTR_WIDTH       "width"
#define AM_SHARD_ATTR_CHANNELS    "channels"
#define AM_SHARD_ATTR_CLASSES     "classes"
#define AM_SHARD_ATTR_CLASS_NAMES "class_names"

// By am_encoding.
#define AM_SHARD_ENCODING_NAMES \
  { "raw", "png", "jpeg", "files" }

#endif
