// Batch norm and its gradient, and bias with an activation: sums of a channel by teams, in pieces and in a fixed order, then one
// pass over the elements.
#include "backend/cuda/kernels/launch.h"

// Where element e, counted over n and the inner axes, of channel c lies.
AM_ON_CARD int64_t element(const am_cuda_norm *k, int64_t c, int64_t e) {
  return k->channels_last ? e * k->c + c : (e / k->inner * k->c + c) * k->inner + e % k->inner;
}
AM_ON_CARD am_cuda_channels channels_of(const am_cuda_norm *k) {
  am_cuda_channels channels;
  channels.c = k->c;
  channels.step = k->channels_last ? 1 : k->inner;
  return channels;
}
AM_ON_CARD float activate(float v, float slope) { return v > 0 ? v : slope * v; }

// Elements that lie together and are of one channel, which a thread takes at a time: a pack, or one.
AM_ON_CARD int run_of(const am_cuda_norm *k, am_dtype t, bool wide) {
  return wide && !k->channels_last && k->inner % AM_PACK_WIDTH(t) == 0 ? AM_PACK_WIDTH(t) : 1;
}

// ---- sums of a channel ----

// The share of one thread: channel c (or none), runs [begin, end), every so many-th.
typedef struct {
  int64_t c, part, begin, end;
  bool works, leads;  // has a channel; writes its team's result
} share;
AM_ON_CARD share share_of(const am_cuda_norm *k, int64_t g, int run, int m) {
  const int64_t runs = k->n * k->inner / run;
  share s;
  s.part = g % k->parts;
  s.c = am_team_output(&k->team, g / k->parts, m);
  s.works = s.c < k->c;
  s.leads = s.works && am_team_lane(&k->team, m) == 0;
  s.begin = runs * s.part / k->parts + am_team_lane(&k->team, m);
  s.end = s.works ? runs * (s.part + 1) / k->parts : 0;
  return s;
}
AM_ON_BOTH int64_t pieces(const am_cuda_norm *k) { return am_team_groups(&k->team, k->c) * k->parts; }

// Adds up the members' pairs and leaves them in `piece`.
AM_ON_CARD void put_pieces(const am_cuda_norm *k, int64_t g, double *sum, double *other, double *piece) {
  am_team_sum(&k->team, sum);
  am_team_sum(&k->team, other);
  AM_MEMBER_FOR(m) {
    const share s = share_of(k, g, 1, m);
    if (!s.leads) continue;
    piece[(s.c * k->parts + s.part) * 2] = sum[m];
    piece[(s.c * k->parts + s.part) * 2 + 1] = other[m];
  }
}
// The whole sums of the channels that team g has in hand, each at its lane 0.
AM_ON_CARD void gather_pieces(const am_cuda_norm *k, int64_t g, const double *piece, double *sum, double *other) {
  AM_MEMBER_FOR(m) {
    const int64_t c = am_team_output(&k->last, g, m);
    double a = 0, b = 0;
    for (int64_t p = am_team_lane(&k->last, m); c < k->c && p < k->parts; p += k->last.lanes) {
      a += piece[(c * k->parts + p) * 2];
      b += piece[(c * k->parts + p) * 2 + 1];
    }
    sum[m] = a;
    other[m] = b;
  }
  am_team_sum(&k->last, sum);
  am_team_sum(&k->last, other);
}

// ---- forward ----

typedef struct {
  am_cuda_norm k;
  const void *x, *residual;
  const float *gamma, *beta;
  am_cuda_norm_temp temp;
  void *y;
  float *mean, *inv_std;
  bool wide;
} norm_args;

// Sums of x - pivot and of its square; the pivot, a channel's first element, keeps them small.
AM_ON_CARD void moment_pieces(const norm_args *a, am_dtype t) {
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  AM_TEAM_SHARED double squares[AM_CUDA_THREADS];
  const am_cuda_norm *k = &a->k;
  const int run = run_of(k, t, a->wide);
  AM_TEAM_FOR(g, pieces(k)) {
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, run, m);
      const double pivot = s.works ? am_get(a->x, t, element(k, s.c, 0)) : 0;
      double total = 0, square = 0;
      for (int64_t e = s.begin; e < s.end; e += k->team.lanes) {
        const am_pack p = am_pack_load(a->x, t, element(k, s.c, e * run), run, a->wide);
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
          if (l >= run) continue;
          const double d = p.v[l] - pivot;
          total += d;
          square += d * d;
        }
      }
      sum[m] = total;
      squares[m] = square;
    }
    put_pieces(k, g, sum, squares, a->temp.piece);
  }
}
AM_TYPED_KERNEL(moment_pieces, norm_args)

AM_ON_CARD void statistics(const norm_args *a, am_dtype t) {
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  AM_TEAM_SHARED double squares[AM_CUDA_THREADS];
  const am_cuda_norm *k = &a->k;
  AM_TEAM_FOR(g, am_team_groups(&k->last, k->c)) {
    gather_pieces(k, g, a->temp.piece, sum, squares);
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      if (am_team_lane(&k->last, m) != 0 || c >= k->c) continue;
      const double count = (double)(k->n * k->inner), away = sum[m] / count;
      const double variance = squares[m] / count - away * away;
      a->mean[c] = (float)(am_get(a->x, t, element(k, c, 0)) + away);
      a->inv_std[c] = (float)(1 / sqrt((variance > 0 ? variance : 0) + k->eps));
    }
  }
}
AM_TYPED_KERNEL(statistics, norm_args)

// The argument of the activation, but for a residual: one formula, whose sign the gradient finds again.
AM_ON_CARD float normalised(float x, float mean, float inv_std, float gamma, float beta) {
  return (x - mean) * (inv_std * gamma) + beta;
}

AM_ON_CARD void normalise(const norm_args *a, am_dtype t) {
  const am_cuda_norm *k = &a->k;
  const am_cuda_channels channels = channels_of(k);
  const int64_t count = k->n * k->c * k->inner;
  AM_CUDA_FOR(j, AM_PACKS(t, count)) {
    const int n = am_pack_left(t, j, count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    const am_channel_pack c = am_channels_of(channels, t, first);
    am_pack p = am_pack_load(a->x, t, first, n, a->wide), extra = p;
    if (a->residual) extra = am_pack_load(a->residual, t, first, n, a->wide);
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      const int64_t at = am_channel_at(channels, c, first, l);
      const float v = normalised(p.v[l], a->mean[at], a->inv_std[at], a->gamma[at], a->beta[at]);
      p.v[l] = activate(a->residual ? v + extra.v[l] : v, k->slope);
    }
    am_pack_store(a->y, t, first, n, a->wide, p);
  }
}
AM_TYPED_KERNEL(normalise, norm_args)

// ---- gradient ----
// With xhat = (x - mean) * inv_std and m elements of a channel (Ioffe and Szegedy 2015, section 3):
//   dbeta = sum dy, dgamma = sum dy * xhat, dx = gamma * inv_std * (dy - dbeta/m - xhat * dgamma/m)

typedef struct {
  am_cuda_norm k;
  am_cuda_norm_grad g;
  am_cuda_norm_temp temp;
  bool wide;
} grad_args;

// What the gradient reads of elements that lie together.
typedef struct {
  am_pack dy, x, y;
} grad_pack;
AM_ON_CARD grad_pack load_grad(const grad_args *a, am_dtype t, int64_t first, int n) {
  grad_pack p;
  p.dy = am_pack_load(a->g.dy, t, first, n, a->wide);
  p.x = am_pack_load(a->g.x, t, first, n, a->wide);
  p.y = p.x;
  if (a->g.y) p.y = am_pack_load(a->g.y, t, first, n, a->wide);
  return p;
}
// dy before the activation, whose argument has the sign of y, where there is a y, else of the normalised x.
AM_ON_CARD float passed(const grad_args *a, const grad_pack *p, int l, int64_t c) {
  const float sign =
      a->g.y ? p->y.v[l] : normalised(p->x.v[l], a->g.mean[c], a->g.inv_std[c], a->g.gamma[c], a->g.beta[c]);
  return p->dy.v[l] * (sign > 0 ? 1 : a->k.slope);
}

AM_ON_CARD void grad_pieces(const grad_args *a, am_dtype t) {
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  AM_TEAM_SHARED double along[AM_CUDA_THREADS];
  const am_cuda_norm *k = &a->k;
  const int run = run_of(k, t, a->wide);
  AM_TEAM_FOR(g, pieces(k)) {
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, run, m);
      double total = 0, product = 0;
      for (int64_t e = s.begin; e < s.end; e += k->team.lanes) {
        const grad_pack p = load_grad(a, t, element(k, s.c, e * run), run);
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
          if (l >= run) continue;
          const double d = passed(a, &p, l, s.c);
          total += d;
          product += d * ((double)(p.x.v[l] - a->g.mean[s.c]) * a->g.inv_std[s.c]);
        }
      }
      sum[m] = total;
      along[m] = product;
    }
    put_pieces(k, g, sum, along, a->temp.piece);
  }
}
AM_TYPED_KERNEL(grad_pieces, grad_args)

AM_KERNEL grad_sums(grad_args a) {
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  AM_TEAM_SHARED double along[AM_CUDA_THREADS];
  const am_cuda_norm *k = &a.k;
  AM_TEAM_FOR(g, am_team_groups(&k->last, k->c)) {
    gather_pieces(k, g, a.temp.piece, sum, along);
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      if (am_team_lane(&k->last, m) != 0 || c >= k->c) continue;
      const double count = (double)(k->n * k->inner);
      a.g.dbeta[c] = (float)sum[m];
      a.g.dgamma[c] = (float)along[m];
      a.temp.coefficient[2 * c] = (float)(sum[m] / count);
      a.temp.coefficient[2 * c + 1] = (float)(along[m] / count);
    }
  }
}

AM_ON_CARD void grad_elements(const grad_args *a, am_dtype t) {
  const am_cuda_norm *k = &a->k;
  const am_cuda_channels channels = channels_of(k);
  const int64_t count = k->n * k->c * k->inner;
  AM_CUDA_FOR(j, AM_PACKS(t, count)) {
    const int n = am_pack_left(t, j, count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    const am_channel_pack pack = am_channels_of(channels, t, first);
    const grad_pack p = load_grad(a, t, first, n);
    am_pack dx = {{0}}, d = {{0}};
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      const int64_t c = am_channel_at(channels, pack, first, l);
      const float xhat = (p.x.v[l] - a->g.mean[c]) * a->g.inv_std[c];
      d.v[l] = passed(a, &p, l, c);
      dx.v[l] = a->g.gamma[c] * a->g.inv_std[c] *
                (d.v[l] - (a->temp.coefficient[2 * c] + xhat * a->temp.coefficient[2 * c + 1]));
    }
    if (a->g.dresidual) am_pack_store(a->g.dresidual, t, first, n, a->wide, d);
    am_pack_store(a->g.dx, t, first, n, a->wide, dx);
  }
}
AM_TYPED_KERNEL(grad_elements, grad_args)

// ---- bias and activation ----

typedef struct {
  am_cuda_norm k;
  const void *dy, *y;
  am_cuda_norm_temp temp;
  void *dx;
  float *dbias;
  bool wide;
} bias_args;

AM_ON_CARD void bias_pieces(const bias_args *a, am_dtype t) {
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  const am_cuda_norm *k = &a->k;
  const int run = run_of(k, t, a->wide);
  AM_TEAM_FOR(g, pieces(k)) {
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, run, m);
      double total = 0;
      for (int64_t e = s.begin; e < s.end; e += k->team.lanes) {
        const int64_t at = element(k, s.c, e * run);
        const am_pack y = am_pack_load(a->y, t, at, run, a->wide);
        am_pack d = am_pack_load(a->dy, t, at, run, a->wide);
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
          d.v[l] *= y.v[l] > 0 ? 1 : k->slope;
          if (l < run) total += d.v[l];
        }
        am_pack_store(a->dx, t, at, run, a->wide, d);
      }
      sum[m] = total;
    }
    am_team_sum(&k->team, sum);
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, 1, m);
      if (s.leads) a->temp.piece[s.c * k->parts + s.part] = sum[m];
    }
  }
}
AM_TYPED_KERNEL(bias_pieces, bias_args)

AM_KERNEL bias_sums(bias_args a) {
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  const am_cuda_norm *k = &a.k;
  AM_TEAM_FOR(g, am_team_groups(&k->last, k->c)) {
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      double total = 0;
      for (int64_t p = am_team_lane(&k->last, m); c < k->c && p < k->parts; p += k->last.lanes)
        total += a.temp.piece[c * k->parts + p];
      sum[m] = total;
    }
    am_team_sum(&k->last, sum);
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      if (am_team_lane(&k->last, m) == 0 && c < k->c) a.dbias[c] = (float)sum[m];
    }
  }
}

// ---- launches ----

static int64_t element_packs(const am_cuda_norm *k) { return AM_PACKS(k->type, k->n * k->c * k->inner); }

cudaError_t am_cuda_launch_batch_norm(cudaStream_t stream, am_cuda_norm k, const void *x, const float *gamma,
                                      const float *beta, const void *residual, am_cuda_norm_temp temp, void *y, float *mean,
                                      float *inv_std) {
  const bool wide = am_cuda_aligned(x) && am_cuda_aligned(residual) && am_cuda_aligned(y);
  const norm_args a = {k, x, residual, gamma, beta, temp, y, mean, inv_std, wide};
  cudaError_t status = AM_TYPED_TEAMS(moment_pieces, k.type, stream, pieces(&k), a);
  if (status == cudaSuccess) status = AM_TYPED_TEAMS(statistics, k.type, stream, am_team_groups(&k.last, k.c), a);
  if (status == cudaSuccess) status = AM_TYPED_LAUNCH(normalise, k.type, stream, element_packs(&k), a);
  return status;
}

cudaError_t am_cuda_launch_batch_norm_grad(cudaStream_t stream, am_cuda_norm k, am_cuda_norm_grad g, am_cuda_norm_temp temp) {
  const bool wide = am_cuda_aligned(g.dy) && am_cuda_aligned(g.x) && am_cuda_aligned(g.y) && am_cuda_aligned(g.dx) &&
                    am_cuda_aligned(g.dresidual);
  const grad_args a = {k, g, temp, wide};
  cudaError_t status = AM_TYPED_TEAMS(grad_pieces, k.type, stream, pieces(&k), a);
  if (status == cudaSuccess) status = AM_TEAM_LAUNCH(grad_sums, stream, am_team_groups(&k.last, k.c), a);
  if (status == cudaSuccess) status = AM_TYPED_LAUNCH(grad_elements, k.type, stream, element_packs(&k), a);
  return status;
}

cudaError_t am_cuda_launch_bias_act_grad(cudaStream_t stream, am_cuda_norm k, const void *dy, const void *y,
                                         am_cuda_norm_temp temp, void *dx, float *dbias) {
  const bool wide = am_cuda_aligned(dy) && am_cuda_aligned(y) && am_cuda_aligned(dx);
  const bias_args a = {k, dy, y, temp, dx, dbias, wide};
  const cudaError_t status = AM_TYPED_TEAMS(bias_pieces, k.type, stream, pieces(&k), a);
  return status != cudaSuccess ? status : AM_TEAM_LAUNCH(bias_sums, stream, am_team_groups(&k.last, k.c), a);
}
