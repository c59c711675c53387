// Convolutions as im2col + sgemm on plain memory, for any shape.
//
// The columns of the product are places of the output: all places of several small images at once,
// so that weights are read once for them, or a strip of rows of a large one, so that the columns
// stay in cache. On the way from image to columns lies a stage of planes: the padded image, split by
// the remainders of its coordinates modulo the stride. In a plane every tap of the kernel reads
// neighbouring places, so that columns are made, and added back, in contiguous rows.
#include <string.h>

#include "backend/cpu/cpu_thin.h"

// ---- planes ----

// Planes of one image and one group: (channel, remainder y, remainder x, rows, cols).
typedef struct {
  const am_cpu_conv *c;
  int64_t ci, co;        // channels of a group
  int64_t rows, cols;    // of a plane
  int64_t channel;       // elements of all planes of a channel
} plane_set;

static plane_set planes_of(const am_cpu_conv *c) {
  plane_set p = {.c = c, .ci = c->ci / c->groups, .co = c->co / c->groups};
  p.rows = c->ho + (c->kh - 1) * c->dilation_h / c->stride_h;
  p.cols = c->wo + (c->kw - 1) * c->dilation_w / c->stride_w;
  p.channel = c->stride_h * c->stride_w * p.rows * p.cols;
  return p;
}

// The columns of a plane, remainder rx, that lie inside the image: column j is its place
// start + j*stride_w, for j from..stop.
typedef struct { int64_t start, from, stop; } inside;
static inside columns_inside(const plane_set *p, int64_t rx) {
  const am_cpu_conv *c = p->c;
  const int64_t start = rx - c->pad_w;
  inside r = {.start = start, .from = start >= 0 ? 0 : am_ceil_div(-start, c->stride_w)};
  r.from = am_min_i64(r.from, p->cols);
  r.stop = start >= c->w ? r.from : am_clamp_i64((c->w - start - 1) / c->stride_w + 1, r.from, p->cols);
  return r;
}

typedef struct {
  const plane_set *p;
  float *image, *planes;  // one image's channels of a group; its planes
} plane_args;

// to[j] = from[j * stride], with the strides of nearly every network unrolled.
static inline void take_every(float *restrict to, const float *restrict from, int64_t n, int64_t stride) {
  if (stride == 1) {
    for (int64_t j = 0; j < n; j++) to[j] = from[j];
  } else if (stride == 2) {
    for (int64_t j = 0; j < n; j++) to[j] = from[2 * j];
  } else {
    for (int64_t j = 0; j < n; j++) to[j] = from[j * stride];
  }
}
static inline void put_every(float *restrict to, const float *restrict from, int64_t n, int64_t stride) {
  if (stride == 1) {
    for (int64_t j = 0; j < n; j++) to[j] = from[j];
  } else if (stride == 2) {
    for (int64_t j = 0; j < n; j++) to[2 * j] = from[j];
  } else {
    for (int64_t j = 0; j < n; j++) to[j * stride] = from[j];
  }
}

// A row of the image into a row of a plane, zeros outside.
static inline void split_row(float *to, const float *row, inside r, int64_t cols, int64_t stride) {
  for (int64_t j = 0; j < r.from; j++) to[j] = 0;
  if (r.from < r.stop) take_every(to + r.from, row + r.start + r.from * stride, r.stop - r.from, stride);
  for (int64_t j = r.stop; j < cols; j++) to[j] = 0;
}

AM_CPU_KERNEL static void split_channels(const void *arg, int64_t begin, int64_t end) {
  const plane_args *k = arg;
  const plane_set *p = k->p;
  const am_cpu_conv *c = p->c;
  for (int64_t rx = 0; rx < c->stride_w; rx++) {
    const inside columns = columns_inside(p, rx);
    for (int64_t ch = begin; ch < end; ch++) {
      for (int64_t ry = 0; ry < c->stride_h; ry++) {
        float *to = k->planes + ch * p->channel + (ry * c->stride_w + rx) * p->rows * p->cols;
        for (int64_t i = 0; i < p->rows; i++, to += p->cols) {
          const int64_t y = i * c->stride_h + ry - c->pad_h;
          if (y < 0 || y >= c->h) memset(to, 0, (size_t)p->cols * sizeof *to);
          else split_row(to, k->image + (ch * c->h + y) * c->w, columns, p->cols, c->stride_w);
        }
      }
    }
  }
}

// Planes back into the image. Places that no window touches lie in no plane and are 0.
AM_CPU_KERNEL static void join_channels(const void *arg, int64_t begin, int64_t end) {
  const plane_args *k = arg;
  const plane_set *p = k->p;
  const am_cpu_conv *c = p->c;
  const bool covered = p->rows * c->stride_h >= c->pad_h + c->h && p->cols * c->stride_w >= c->pad_w + c->w;
  if (!covered)
    memset(k->image + begin * c->h * c->w, 0, (size_t)((end - begin) * c->h * c->w) * sizeof(float));
  for (int64_t rx = 0; rx < c->stride_w; rx++) {
    const inside r = columns_inside(p, rx);
    if (r.from >= r.stop) continue;
    for (int64_t ch = begin; ch < end; ch++) {
      for (int64_t ry = 0; ry < c->stride_h; ry++) {
        const float *from = k->planes + ch * p->channel + (ry * c->stride_w + rx) * p->rows * p->cols;
        for (int64_t i = 0; i < p->rows; i++, from += p->cols) {
          const int64_t y = i * c->stride_h + ry - c->pad_h;
          if (y < 0 || y >= c->h) continue;
          float *row = k->image + (ch * c->h + y) * c->w;
          put_every(row + r.start + r.from * c->stride_w, from + r.from, r.stop - r.from, c->stride_w);
        }
      }
    }
  }
}

// ---- columns ----

// Rows first..first+rows of the output, of `images` images: the columns of one product.
typedef struct {
  int64_t image, images, row, rows, places;
} piece;

typedef struct {
  const plane_set *p;
  piece at;
  const int64_t *tap;  // where each tap of the kernel starts in the planes of a channel
  float *planes, *col;
  int64_t col_stride;  // columns of the whole matrix
} col_args;

static inline void copy_row(float *restrict to, const float *restrict from, int64_t n) {
  switch (n) {  // the widths of small images, without a call
    case 2: memcpy(to, from, 2 * sizeof *to); break;
    case 4: memcpy(to, from, 4 * sizeof *to); break;
    case 8: memcpy(to, from, 8 * sizeof *to); break;
    case 16: memcpy(to, from, 16 * sizeof *to); break;
    case 32: memcpy(to, from, 32 * sizeof *to); break;
    default: memcpy(to, from, (size_t)n * sizeof *to); break;
  }
}
static inline void add_row(float *restrict to, const float *restrict from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

// Calls use(plane row, column row, length) for every row of a range of channels of the group.
#define FOR_EACH_ROW(k, begin, end, use)                                                                   \
  do {                                                                                                     \
    const plane_set *p_ = (k)->p;                                                                          \
    const int64_t taps_ = p_->c->kh * p_->c->kw, width_ = p_->c->wo, rows_ = (k)->at.rows;                 \
    for (int64_t i_ = 0; i_ < (k)->at.images; i_++) {                                                      \
      for (int64_t ch_ = (begin); ch_ < (end); ch_++) {                                                    \
        float *from_ = (k)->planes + (i_ * p_->ci + ch_) * p_->channel + (k)->at.row * p_->cols;           \
        float *to_ = (k)->col + ch_ * taps_ * (k)->col_stride + i_ * rows_ * width_;                       \
        for (int64_t t_ = 0; t_ < taps_; t_++, to_ += (k)->col_stride) {                                   \
          for (int64_t y_ = 0; y_ < rows_; y_++) {                                                         \
            use(from_ + (k)->tap[t_] + y_ * p_->cols, to_ + y_ * width_, width_);                          \
          }                                                                                                \
        }                                                                                                  \
      }                                                                                                    \
    }                                                                                                      \
  } while (0)

#define TO_COLUMNS(plane, column, n) copy_row((column), (plane), (n))
#define FROM_COLUMNS(plane, column, n) add_row((plane), (column), (n))
AM_CPU_KERNEL static void columns_of_channels(const void *arg, int64_t begin, int64_t end) {
  const col_args *k = arg;
  FOR_EACH_ROW(k, begin, end, TO_COLUMNS);
}
AM_CPU_KERNEL static void add_columns_of_channels(const void *arg, int64_t begin, int64_t end) {
  const col_args *k = arg;
  FOR_EACH_ROW(k, begin, end, FROM_COLUMNS);
}

// ---- pieces ----

// Columns of one product: enough to read weights rarely, few enough to stay in the second-level cache.
static int64_t wanted_columns(int64_t depth) { return am_clamp_i64((1 << 17) / depth, 64, 1024); }

typedef struct {
  plane_set p;
  int64_t places, depth;         // of an image; rows of the columns' matrix
  int64_t images, rows;          // of a piece, at most
  bool direct;                   // a 1x1 kernel on single images: the image is its own columns
  int64_t *tap;
  float *planes, *col, *gathered;
} work;

static void find_taps(const am_cpu_conv *c, const plane_set *p, int64_t *tap) {
  for (int64_t t = 0; t < c->kh * c->kw; t++) {
    const int64_t y = t / c->kw * c->dilation_h, x = t % c->kw * c->dilation_w;
    const int64_t plane = y % c->stride_h * c->stride_w + x % c->stride_w;
    tap[t] = (plane * p->rows + y / c->stride_h) * p->cols + x / c->stride_w;
  }
}

static am_err work_start(am_cpu *cpu, const am_cpu_conv *c, work *k) {
  *k = (work){.p = planes_of(c), .places = c->ho * c->wo};
  k->depth = k->p.ci * c->kh * c->kw;
  const int64_t columns = wanted_columns(k->depth);
  k->images = am_clamp_i64(columns / k->places, 1, c->n);
  k->rows = k->images > 1 ? c->ho : am_clamp_i64(am_ceil_div(columns, c->wo), 1, c->ho);
  k->direct = c->kh == 1 && c->kw == 1 && c->stride_h == 1 && c->stride_w == 1 && c->pad_h == 0 &&
              c->pad_w == 0 && k->images == 1;
  if (k->direct) {
    k->rows = c->ho;
    return AM_OK;
  }
  const int64_t columns_max = k->images * k->rows * c->wo;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_TAPS, c->kh * c->kw, sizeof *k->tap, &k->tap));
  find_taps(c, &k->p, k->tap);
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_PLANES, k->images * k->p.ci * k->p.channel, sizeof(float),
                        &k->planes));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_COLUMNS, k->depth * columns_max, sizeof(float), &k->col));
  if (k->images > 1) {
    AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_OUTPUT, k->p.co * columns_max, sizeof(float), &k->gathered));
  }
  return AM_OK;
}

static float *image_at(const work *k, float *x, int64_t image, int64_t group) {
  const am_cpu_conv *c = k->p.c;
  return x + (image * c->ci + group * k->p.ci) * c->h * c->w;
}
static float *output_at(const work *k, float *y, int64_t image, int64_t group) {
  return y + (image * k->p.c->co + group * k->p.co) * k->places;
}

static void split_images(const am_cpu *cpu, const work *k, float *x, piece at, int64_t group) {
  for (int64_t i = 0; i < at.images; i++) {
    const plane_args args = {&k->p, image_at(k, x, at.image + i, group),
                             k->planes + i * k->p.ci * k->p.channel};
    am_cpu_for(cpu, k->p.ci, am_cpu_grain(k->p.channel), split_channels, &args);
  }
}
static void join_images(const am_cpu *cpu, const work *k, float *x, piece at, int64_t group) {
  for (int64_t i = 0; i < at.images; i++) {
    const plane_args args = {&k->p, image_at(k, x, at.image + i, group),
                             k->planes + i * k->p.ci * k->p.channel};
    am_cpu_for(cpu, k->p.ci, am_cpu_grain(k->p.channel), join_channels, &args);
  }
}

static void over_columns(const am_cpu *cpu, const work *k, piece at, am_cpu_range_fn fn) {
  const col_args args = {&k->p, at, k->tap, k->planes, k->col, at.images * at.places};
  am_cpu_for(cpu, k->p.ci, am_cpu_grain(k->depth / k->p.ci * args.col_stride), fn, &args);
}

// The output of several images as one matrix (co, images * places), and back.
static void gather_output(const work *k, const float *y, piece at, int64_t group) {
  const size_t bytes = (size_t)k->places * sizeof(float);
  for (int64_t i = 0; i < at.images; i++) {
    const float *from = output_at(k, (float *)y, at.image + i, group);
    for (int64_t o = 0; o < k->p.co; o++) {
      memcpy(k->gathered + (o * at.images + i) * k->places, from + o * k->places, bytes);
    }
  }
}
static void scatter_output(const work *k, float *y, piece at, int64_t group) {
  const size_t bytes = (size_t)k->places * sizeof(float);
  for (int64_t i = 0; i < at.images; i++) {
    float *to = output_at(k, y, at.image + i, group);
    for (int64_t o = 0; o < k->p.co; o++) {
      memcpy(to + o * k->places, k->gathered + (o * at.images + i) * k->places, bytes);
    }
  }
}

// A matrix of columns and the matching part of the output, ready for a product.
typedef struct {
  float *col, *out;
  int64_t col_stride, out_stride, columns;
} operands;

static operands operands_at(const work *k, float *x, float *y, piece at, int64_t group) {
  operands m = {.col = k->col, .out = k->gathered, .columns = at.images * at.places};
  m.col_stride = m.out_stride = m.columns;
  if (k->direct) {
    m.col = image_at(k, x, at.image, group);
    m.col_stride = k->places;
  }
  if (!k->gathered) {
    m.out = output_at(k, y, at.image, group) + at.row * k->p.c->wo;
    m.out_stride = k->places;
  }
  return m;
}

// The next piece of this group's work; false at the end. Starts from a zero piece.
static bool next_piece(const work *k, piece *at) {
  const am_cpu_conv *c = k->p.c;
  const bool same_image = at->images == 1 && at->row + at->rows < c->ho;
  const int64_t image = same_image ? at->image : at->image + at->images;
  const int64_t row = same_image ? at->row + at->rows : 0;
  if (image >= c->n) return false;
  *at = (piece){.image = image, .images = am_min_i64(k->images, c->n - image), .row = row};
  at->rows = k->images > 1 ? c->ho : am_min_i64(k->rows, c->ho - row);
  at->places = at->rows * c->wo;
  return true;
}

// ---- a kernel as large as the image ----

// Then an image is one column, a batch is a matrix (n, depth), and nothing needs to be arranged.
static bool is_whole_image(const am_cpu_conv *c) {
  return c->ho * c->wo == 1 && c->kh == c->h && c->kw == c->w && c->pad_h == 0 && c->pad_w == 0 &&
         c->dilation_h == 1 && c->dilation_w == 1 && c->groups == 1;
}

// c (m, n) = op(a) op(b), row-major without gaps.
static am_err product(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, const float *a,
                      const float *b, float *c) {
  AM_TRY_DNNL(dnnl_sgemm(trans_a, trans_b, m, n, k, 1.0f, a, trans_a == 'N' ? k : m, b,
                         trans_b == 'N' ? n : k, 0.0f, c, n));
  return AM_OK;
}

// ---- products with columns ----

// Few columns: as matrices with their columns along the rows, whose products are faster. Reading and
// writing w once is most of the work then, and the transpositions cost a tenth.
enum { FEW_COLUMNS = 32 };

// out (co, columns) = w col
static am_err output_from_columns(am_cpu *cpu, const work *k, const float *w, const operands *m) {
  if (m->col_stride == m->columns && am_cpu_thin_forward_fits(cpu, k->p.co, k->depth, m->columns)) {
    am_cpu_thin_forward(cpu, k->p.co, k->depth, m->columns, w, m->col, m->out, m->out_stride);
    return AM_OK;
  }
  AM_TRY_DNNL(dnnl_sgemm('N', 'N', k->p.co, m->columns, k->depth, 1.0f, w, k->depth, m->col, m->col_stride,
                         0.0f, m->out, m->out_stride));
  return AM_OK;
}

static am_err columns_as_rows(am_cpu *cpu, const operands *m, int64_t rows, const float *from, int64_t stride,
                              am_cpu_scratch_slot slot, float **out) {
  AM_TRY(am_cpu_scratch(cpu, slot, m->columns * rows, sizeof(float), out));
  if (from) am_cpu_transpose_all(cpu, rows, m->columns, from, stride, *out, rows);
  return AM_OK;
}

// col (depth, columns) = w^T out
static am_err columns_from_output(am_cpu *cpu, const work *k, const float *w, const operands *m) {
  const int64_t co = k->p.co, columns = m->columns;
  float *out_rows = NULL, *col_rows = NULL;
  if (columns > FEW_COLUMNS) {
    AM_TRY_DNNL(dnnl_sgemm('T', 'N', k->depth, columns, co, 1.0f, w, k->depth, m->out, m->out_stride, 0.0f,
                           m->col, m->col_stride));
    return AM_OK;
  }
  AM_TRY(columns_as_rows(cpu, m, k->depth, NULL, 0, AM_CPU_SCRATCH_COLUMN_ROWS, &col_rows));
  if (am_cpu_thin_backward_fits(cpu, co, k->depth, columns)) {
    am_cpu_thin_backward(cpu, co, k->depth, columns, w, m->out, m->out_stride, col_rows);
  } else {
    AM_TRY(columns_as_rows(cpu, m, co, m->out, m->out_stride, AM_CPU_SCRATCH_OUTPUT_ROWS, &out_rows));
    AM_TRY(product('N', 'N', columns, k->depth, co, out_rows, w, col_rows));
  }
  am_cpu_transpose_all(cpu, columns, k->depth, col_rows, k->depth, m->col, m->col_stride);
  return AM_OK;
}

// dw (co, depth) = out col^T, added to dw times `keep`
static am_err weights_from_columns(am_cpu *cpu, const work *k, const operands *m, float keep, float *dw) {
  float *out_rows = NULL, *col_rows = NULL;
  if (m->columns > FEW_COLUMNS) {
    AM_TRY_DNNL(dnnl_sgemm('N', 'T', k->p.co, k->depth, m->columns, 1.0f, m->out, m->out_stride, m->col,
                           m->col_stride, keep, dw, k->depth));
    return AM_OK;
  }
  AM_TRY(columns_as_rows(cpu, m, k->p.co, m->out, m->out_stride, AM_CPU_SCRATCH_OUTPUT_ROWS, &out_rows));
  AM_TRY(columns_as_rows(cpu, m, k->depth, m->col, m->col_stride, AM_CPU_SCRATCH_COLUMN_ROWS, &col_rows));
  AM_TRY_DNNL(dnnl_sgemm('T', 'N', k->p.co, k->depth, m->columns, 1.0f, out_rows, k->p.co, col_rows, k->depth,
                         keep, dw, k->depth));
  return AM_OK;
}

// ---- the three ops ----

am_err am_cpu_gemm_forward(am_cpu *cpu, const am_cpu_conv *c, const float *x, const float *w, float *y) {
  work k;
  am_cpu_use_threads(cpu);
  if (is_whole_image(c)) return product('N', 'T', c->n, c->co, c->ci * c->kh * c->kw, x, w, y);
  AM_TRY(work_start(cpu, c, &k));
  for (int64_t g = 0; g < c->groups; g++) {
    const float *wg = w + g * k.p.co * k.depth;
    for (piece at = {0}; next_piece(&k, &at);) {
      const operands m = operands_at(&k, (float *)x, y, at, g);
      if (!k.direct && at.row == 0) split_images(cpu, &k, (float *)x, at, g);
      if (!k.direct) over_columns(cpu, &k, at, columns_of_channels);
      AM_TRY(output_from_columns(cpu, &k, wg, &m));
      if (k.gathered) scatter_output(&k, y, at, g);
    }
  }
  return AM_OK;
}

am_err am_cpu_gemm_grad_input(am_cpu *cpu, const am_cpu_conv *c, const float *dy, const float *w, float *dx) {
  work k;
  am_cpu_use_threads(cpu);
  if (is_whole_image(c)) return product('N', 'N', c->n, c->ci * c->kh * c->kw, c->co, dy, w, dx);
  AM_TRY(work_start(cpu, c, &k));
  for (int64_t g = 0; g < c->groups; g++) {
    const float *wg = w + g * k.p.co * k.depth;
    for (piece at = {0}; next_piece(&k, &at);) {
      const operands m = operands_at(&k, dx, (float *)dy, at, g);
      if (k.gathered) gather_output(&k, dy, at, g);
      AM_TRY(columns_from_output(cpu, &k, wg, &m));
      if (k.direct) continue;
      const size_t planes = (size_t)(at.images * k.p.ci * k.p.channel);
      if (at.row == 0) memset(k.planes, 0, planes * sizeof(float));
      over_columns(cpu, &k, at, add_columns_of_channels);
      if (at.row + at.rows == c->ho) join_images(cpu, &k, dx, at, g);
    }
  }
  return AM_OK;
}

am_err am_cpu_gemm_grad_weight(am_cpu *cpu, const am_cpu_conv *c, const float *dy, const float *x,
                               float *dw) {
  work k;
  am_cpu_use_threads(cpu);
  if (is_whole_image(c)) return product('T', 'N', c->co, c->ci * c->kh * c->kw, c->n, dy, x, dw);
  AM_TRY(work_start(cpu, c, &k));
  for (int64_t g = 0; g < c->groups; g++) {
    float *dwg = dw + g * k.p.co * k.depth;
    float keep = 0.0f;
    for (piece at = {0}; next_piece(&k, &at); keep = 1.0f) {
      const operands m = operands_at(&k, (float *)x, (float *)dy, at, g);
      if (!k.direct && at.row == 0) split_images(cpu, &k, (float *)x, at, g);
      if (!k.direct) over_columns(cpu, &k, at, columns_of_channels);
      if (k.gathered) gather_output(&k, dy, at, g);
      AM_TRY(weights_from_columns(cpu, &k, &m, keep, dwg));
    }
  }
  return AM_OK;
}
