// Dropout: what the streams say of a batch as bits, in their own order; then the elements, as they lie.
#include "backend/cpu/cpu_bf16.h"
#include "base/philox.h"
#include "tensor/dropout_rule.h"

// A word of bits is what sixteen blocks of Philox say, one in each lane.
enum { BITS = 32, BLOCKS = BITS / 2 };

typedef struct {
  const am_dropout_desc *desc;
  am_dropout_rule rule;
  uint32_t *bits;     // bit e of row r: element e is kept
  int64_t words;      // of a row
  int64_t c, places;  // a row in plain order: (c, places); c is 1 where memory lies like that
  int64_t lanes;      // channels that lie side by side
  const void *x;
  void *y;
} drop;

AM_CPU_KERNEL static void draw_words(const void *arg, int64_t begin, int64_t end) {
  const drop *k = arg;
  const uint32_t key[2] = {(uint32_t)k->desc->seed, (uint32_t)(k->desc->seed >> 32)};
  const uint32_t purpose = (uint32_t)k->desc->purpose;
  const uint64_t least = k->rule.least;
  for (int64_t w = begin; w < end; w++) {
    const uint64_t row = k->desc->index + (uint64_t)(w / k->words);
    const uint32_t low = (uint32_t)row, high = (uint32_t)(row >> 32);
    const uint32_t block = (uint32_t)(w % k->words * BLOCKS);
    uint32_t bits = 0;
    for (uint32_t b = 0; b < BLOCKS; b++) {
      const uint32_t counter[4] = {block + b, purpose, low, high};
      uint32_t word[4];
      am_philox_block(key, counter, word);
      const uint32_t first = (word[0] | (uint64_t)word[1] << 32) >> 11 >= least;
      const uint32_t second = (word[2] | (uint64_t)word[3] << 32) >> 11 >= least;
      bits |= first << 2 * b | second << (2 * b + 1);
    }
    k->bits[w] = bits;
  }
}

// 32 bits of a row from any one on. There is a word behind the last row.
static inline uint32_t bits_from(const drop *k, int64_t row, int64_t e) {
  const uint32_t *word = k->bits + row * k->words + e / BITS;
  return (uint32_t)((word[0] | (uint64_t)word[1] << 32) >> e % BITS);
}

static inline uint32_t scale_bits(const drop *k) {
  uint32_t bits;
  memcpy(&bits, &k->rule.scale, sizeof bits);
  return bits;
}

// Up to 16 channels that lie side by side, and up to 32 places of them.
typedef struct {
  int64_t row, channel, channels, place, places;
  int64_t at;  // in memory
} tile;

static int64_t groups_of_row(const drop *k) { return am_ceil_div(k->c, AM_CPU_LANES); }
static int64_t runs_of_group(const drop *k) { return am_ceil_div(k->places, BITS); }

static tile tile_number(const drop *k, int64_t i) {
  const int64_t runs = runs_of_group(k), groups = groups_of_row(k);
  tile t = {.row = i / runs / groups, .channel = i / runs % groups * AM_CPU_LANES, .place = i % runs * BITS};
  t.channels = am_min_i64(AM_CPU_LANES, k->c - t.channel);
  t.places = am_min_i64(BITS, k->places - t.place);
  const int64_t block = t.row * (k->c / k->lanes) + t.channel / k->lanes;
  t.at = (block * k->places + t.place) * k->lanes + t.channel % k->lanes;
  return t;
}

#define SAME(word) ((am_cpu_words){0} + (word))
#define COUNTED ((am_cpu_words){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
// What sixteen neighbours are multiplied by, as the lowest bits say: 1 gives all bits of the scale, 0 gives 0.
#define FACTORS(said, scale) ((am_cpu_lanes)(-(1 & (said)) & (scale)))

// y = x * factors for the first `count` of sixteen neighbours.
#define TIMES_F32(x, y, factors, count)                     \
  do {                                                      \
    if ((count) >= AM_CPU_LANES) {                          \
      *(am_cpu_lanes *)(y) = AM_CPU_LOAD(x) * (factors);    \
    } else {                                                \
      am_cpu_lanes part_ = {0};                             \
      memcpy(&part_, (x), (size_t)(count) * sizeof(float)); \
      part_ *= (factors);                                   \
      memcpy((y), &part_, (size_t)(count) * sizeof(float)); \
    }                                                       \
  } while (0)
#define TIMES_BF16(x, y, factors, count) \
  am_cpu_narrow_part(am_cpu_widen_part((x), (count)) * (factors), (y), (count))

// in_order: for elements that lie as the streams go, word by word. by_channel: for the others, tile by tile.
#define APPLY(in_order, by_channel, attribute, element, TIMES)                                       \
  attribute static void in_order(const void *arg, int64_t begin, int64_t end) {                      \
    const drop *k = arg;                                                                             \
    const am_cpu_words scale = SAME(scale_bits(k)), lane = COUNTED;                                  \
    for (int64_t w = begin; w < end; w++) {                                                          \
      const int64_t e = w % k->words * BITS, at = w / k->words * k->places + e;                      \
      for (int64_t i = 0; i < am_min_i64(BITS, k->places - e); i += AM_CPU_LANES) {                  \
        const am_cpu_lanes factors = FACTORS(SAME(k->bits[w] >> i) >> lane, scale);                  \
        TIMES((const element *)k->x + at + i, (element *)k->y + at + i, factors, k->places - e - i); \
      }                                                                                              \
    }                                                                                                \
  }                                                                                                  \
  attribute static void by_channel(const void *arg, int64_t begin, int64_t end) {                    \
    const drop *k = arg;                                                                             \
    const am_cpu_words scale = SAME(scale_bits(k));                                                  \
    for (int64_t i = begin; i < end; i++) {                                                          \
      const tile t = tile_number(k, i);                                                              \
      am_cpu_words said = {0};                                                                       \
      for (int64_t l = 0; l < t.channels; l++)                                                       \
        said[l] = bits_from(k, t.row, (t.channel + l) * k->places + t.place);                        \
      for (int64_t s = 0; s < t.places; s++) {                                                       \
        const int64_t at = t.at + s * k->lanes;                                                      \
        const am_cpu_lanes factors = FACTORS(said >> SAME((uint32_t)s), scale);                      \
        TIMES((const element *)k->x + at, (element *)k->y + at, factors, t.channels);                \
      }                                                                                              \
    }                                                                                                \
  }

APPLY(in_order_f32, by_channel_f32, AM_CPU_KERNEL, float, TIMES_F32)
APPLY(in_order_bf16, by_channel_bf16, AM_CPU_BF16_TARGET, am_bf16, TIMES_BF16)

am_err am_cpu_dropout(void *ctx, const am_dropout_desc *desc, const am_view *in, am_view *out) {
  const bool half = in->dtype == AM_BF16, plain = in->layout == AM_LAYOUT_PLAIN;
  const int64_t rows = in->shape.ndim > 0 ? in->shape.dim[0] : 1, width = am_cpu_count(in) / rows;
  drop k = {.desc = desc, .rule = am_dropout_rule_of(desc->p, in->dtype), .words = am_ceil_div(width, BITS)};
  k.c = plain ? 1 : in->shape.dim[1];
  k.places = width / k.c;
  k.lanes = am_cpu_is_c16(in) ? AM_CPU_LANES : k.c;
  k.x = in->data;
  k.y = out->data;
  AM_TRY(am_cpu_scratch(ctx, AM_CPU_SCRATCH_BITS, rows * k.words + 1, sizeof *k.bits, &k.bits));
  k.bits[rows * k.words] = 0;
  am_cpu_for(ctx, rows * k.words, am_cpu_grain(BITS * 16), draw_words, &k);
  if (plain) {
    am_cpu_for(ctx, rows * k.words, am_cpu_grain(BITS), half ? in_order_bf16 : in_order_f32, &k);
    return AM_OK;
  }
  const int64_t tiles = rows * groups_of_row(&k) * runs_of_group(&k);
  am_cpu_for(ctx, tiles, am_cpu_grain(BITS * AM_CPU_LANES), half ? by_channel_bf16 : by_channel_f32, &k);
  return AM_OK;
}
