// Batch norm and its gradient, and bias with an activation: sums of a channel by teams, in pieces and in a fixed order, then one
// pass over the elements.
#include "backend/cuda/kernels/launch.h"

// Where element e, counted over n and the inner axes, of channel c lies. last: with channels last.
AM_ON_CARD int64_t element(const am_cuda_norm *k, bool last, int64_t c, int64_t e) {
  return last ? e * k->c + c : (e / k->inner * k->c + c) * k->inner + e % k->inner;
}
AM_ON_CARD am_cuda_channels channels_of(const am_cuda_norm *k) {
  am_cuda_channels channels;
  channels.c = k->c;
  channels.step = k->channels_last ? 1 : k->inner;
  return channels;
}
AM_ON_CARD float activate(float v, float slope) { return v > 0 ? v : slope * v; }

// ---- sums of a channel ----

// How many elements that lie together a thread takes at a time: of as many channels as it has in hand, or of one.
typedef struct {
  int run, width;  // of a channel; of all of them
  bool wide;       // 16 aligned bytes
} grain;
AM_ON_CARD grain grain_of(const am_cuda_norm *k, am_dtype t, bool aligned) {
  grain of;
  of.run = aligned && !k->channels_last && k->inner % AM_PACK_WIDTH(t) == 0 ? AM_PACK_WIDTH(t) : 1;
  of.width = of.run * k->pack;
  of.wide = aligned && of.width == AM_PACK_WIDTH(t);
  return of;
}

// The share of one thread: channels from c on (or none), and of their runs begin, begin + lanes, .. , `count` of them: a loop
// whose end is known before it begins has several loads under way.
typedef struct {
  int64_t c, part, begin, count;
  bool works, leads;  // has channels; writes its team's result
} share;
AM_ON_CARD share share_of(const am_cuda_norm *k, int64_t g, int run, int m) {
  const int64_t runs = k->n * k->inner / run;
  share s;
  s.part = g % k->parts;
  s.c = am_team_output(&k->team, g / k->parts, m) * k->pack;
  s.works = s.c < k->c;
  s.leads = s.works && am_team_lane(&k->team, m) == 0;
  s.begin = runs * s.part / k->parts + am_team_lane(&k->team, m);
  s.count = (runs * (s.part + 1) / k->parts - s.begin + k->team.lanes - 1) / k->team.lanes;
  if (!s.works) s.count = 0;
  return s;
}
AM_ON_BOTH int64_t pieces(const am_cuda_norm *k) { return am_team_groups(&k->team, k->c / k->pack) * k->parts; }

// A number of each of the channels that a thread has in hand.
AM_ON_CARD am_pack in_hand(const float *of, const am_cuda_norm *k, am_dtype t, share s) {
  am_pack p = {{0}};
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = s.works ? of[s.c + (l < k->pack ? l : 0)] : 0;
  return p;
}

// What a thread adds up: of each channel of a pack, or of one channel, wherever in a pack its elements lie.
typedef struct {
  double sum[AM_PACK_MOST], other[AM_PACK_MOST];
} totals;
// Members leave what they added up in rows of `value`: the sums of each channel in hand, then the others.
enum { TEAM_VALUES = 2 * AM_PACK_MOST * AM_CUDA_THREADS };
AM_ON_CARD void put_totals(const am_cuda_norm *k, am_dtype t, int m, const totals *mine, double *value) {
  double sum = 0, other = 0;
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
    sum += mine->sum[l];
    other += mine->other[l];
    if (k->pack == 1) continue;
    value[l * AM_CUDA_THREADS + m] = mine->sum[l];
    value[(AM_PACK_WIDTH(t) + l) * AM_CUDA_THREADS + m] = mine->other[l];
  }
  if (k->pack > 1) return;
  value[m] = sum;
  value[AM_CUDA_THREADS + m] = other;
}

// Adds up the members' pairs and leaves them in `piece`.
AM_ON_CARD void put_pieces(const am_cuda_norm *k, int64_t g, double *value, double *piece) {
  am_team_sums(&k->team, 2 * k->pack, value);
  AM_MEMBER_FOR(m) {
    const share s = share_of(k, g, 1, m);
    for (int l = 0; s.leads && l < k->pack; l++) {
      double *pair = piece + ((s.c + l) * k->parts + s.part) * 2;
      pair[0] = value[l * AM_CUDA_THREADS + m];
      pair[1] = value[(k->pack + l) * AM_CUDA_THREADS + m];
    }
  }
}
// The whole sums of the channels that team g has in hand, each at its lane 0: the sums, then the others.
AM_ON_CARD void gather_pieces(const am_cuda_norm *k, int64_t g, const double *piece, double *value) {
  AM_MEMBER_FOR(m) {
    const int64_t c = am_team_output(&k->last, g, m);
    double a = 0, b = 0;
    for (int64_t p = am_team_lane(&k->last, m); c < k->c && p < k->parts; p += k->last.lanes) {
      a += piece[(c * k->parts + p) * 2];
      b += piece[(c * k->parts + p) * 2 + 1];
    }
    value[m] = a;
    value[AM_CUDA_THREADS + m] = b;
  }
  am_team_sums(&k->last, 2, value);
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
AM_ON_CARD void add_moments(const norm_args *a, am_dtype t, share s, bool last, grain by, am_pack pivot, totals *mine) {
  AM_UNROLL(4)
  for (int64_t i = 0; i < s.count; i++) {
    const int64_t at = element(&a->k, last, s.c, (s.begin + i * a->k.team.lanes) * by.run);
    const am_pack p = am_pack_load(a->x, t, at, by.width, by.wide);
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      if (l >= by.width) continue;
      const double d = p.v[l] - pivot.v[l];
      mine->sum[l] += d;
      mine->other[l] += d * d;
    }
  }
}
AM_ON_CARD void moment_pieces(const norm_args *a, am_dtype t) {
  AM_TEAM_SHARED double value[TEAM_VALUES];
  const am_cuda_norm *k = &a->k;
  const grain by = grain_of(k, t, a->wide), whole = {by.run, AM_PACK_WIDTH(t), true};
  AM_TEAM_FOR(g, pieces(k)) {
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, by.run, m);
      totals mine = {{0}, {0}};
      am_pack pivot = {{0}};
      for (int l = 0; l < AM_PACK_WIDTH(t); l++)
        pivot.v[l] = s.works ? am_get(a->x, t, element(k, k->channels_last, s.c + (l < k->pack ? l : 0), 0)) : 0;
      if (by.wide && k->channels_last) add_moments(a, t, s, true, whole, pivot, &mine);
      else if (by.wide) add_moments(a, t, s, false, whole, pivot, &mine);
      else add_moments(a, t, s, k->channels_last, by, pivot, &mine);
      put_totals(k, t, m, &mine, value);
    }
    put_pieces(k, g, value, a->temp.piece);
  }
}
AM_TYPED_KERNEL(moment_pieces, norm_args)

AM_ON_CARD void statistics(const norm_args *a, am_dtype t) {
  AM_TEAM_SHARED double value[2 * AM_CUDA_THREADS];
  const am_cuda_norm *k = &a->k;
  AM_TEAM_FOR(g, am_team_groups(&k->last, k->c)) {
    gather_pieces(k, g, a->temp.piece, value);
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      if (am_team_lane(&k->last, m) != 0 || c >= k->c) continue;
      const double count = (double)(k->n * k->inner), away = value[m] / count;
      const double variance = value[AM_CUDA_THREADS + m] / count - away * away;
      a->mean[c] = (float)(am_get(a->x, t, element(k, k->channels_last, c, 0)) + away);
      a->inv_std[c] = (float)(1 / sqrt((variance > 0 ? variance : 0) + k->eps));
    }
  }
}
AM_TYPED_KERNEL(statistics, norm_args)

// The argument of the activation, but for a residual: one formula, whose sign the gradient finds again.
typedef struct {
  am_pack mean, gain, beta;
} line;
AM_ON_CARD float on_line(const line *n, int l, float x) { return (x - n->mean.v[l]) * n->gain.v[l] + n->beta.v[l]; }
AM_ON_CARD void times_gamma(am_pack *inv_std, am_pack gamma, am_dtype t) {
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) inv_std->v[l] *= gamma.v[l];
}

AM_ON_CARD void normalise(const norm_args *a, am_dtype t) {
  const am_cuda_norm *k = &a->k;
  const am_cuda_channels channels = channels_of(k);
  const int64_t count = k->n * k->c * k->inner;
  const bool stay = am_channels_stay(channels, t);
  line on = {{{0}}, {{0}}, {{0}}};
  bool known = false;
  AM_CUDA_FOR(j, AM_PACKS(t, count)) {
    const int n = am_pack_left(t, j, count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    am_pack p = am_pack_load(a->x, t, first, n, a->wide), extra = p;
    if (a->residual) extra = am_pack_load(a->residual, t, first, n, a->wide);
    if (!known) {
      on.mean = am_channel_pack(a->mean, channels, t, first);
      on.gain = am_channel_pack(a->inv_std, channels, t, first);
      times_gamma(&on.gain, am_channel_pack(a->gamma, channels, t, first), t);
      on.beta = am_channel_pack(a->beta, channels, t, first);
      known = stay;
    }
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      const float v = on_line(&on, l, p.v[l]);
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
AM_ON_CARD grad_pack load_grad(const grad_args *a, am_dtype t, int64_t first, int n, bool wide) {
  grad_pack p;
  p.dy = am_pack_load(a->g.dy, t, first, n, wide);
  p.x = am_pack_load(a->g.x, t, first, n, wide);
  p.y = am_pack_load(a->g.y ? a->g.y : a->g.x, t, first, n, wide);  // one way: loads of several turns go together
  return p;
}
// dy before the activation, whose argument has the sign of y, where there is a y, else of the normalised x.
AM_ON_CARD float passed(const grad_args *a, const grad_pack *p, int l, const line *on) {
  const float sign = a->g.y ? p->y.v[l] : on_line(on, l, p->x.v[l]);
  return p->dy.v[l] * (sign > 0 ? 1 : a->k.slope);
}

// Sums of dy and of dy * (x - mean).
AM_ON_CARD void add_gradients(const grad_args *a, am_dtype t, share s, bool last, grain by, const line *on, totals *mine) {
  AM_UNROLL(2)
  for (int64_t i = 0; i < s.count; i++) {
    const int64_t at = element(&a->k, last, s.c, (s.begin + i * a->k.team.lanes) * by.run);
    const grad_pack p = load_grad(a, t, at, by.width, by.wide);
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      if (l >= by.width) continue;
      const double d = passed(a, &p, l, on);
      mine->sum[l] += d;
      mine->other[l] += d * (double)(p.x.v[l] - on->mean.v[l]);
    }
  }
}
AM_ON_CARD void grad_pieces(const grad_args *a, am_dtype t) {
  AM_TEAM_SHARED double value[TEAM_VALUES];
  const am_cuda_norm *k = &a->k;
  const grain by = grain_of(k, t, a->wide), whole = {by.run, AM_PACK_WIDTH(t), true};
  AM_TEAM_FOR(g, pieces(k)) {
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, by.run, m);
      totals mine = {{0}, {0}};
      line on;
      on.mean = in_hand(a->g.mean, k, t, s);
      on.gain = in_hand(a->g.inv_std, k, t, s);
      times_gamma(&on.gain, in_hand(a->g.gamma, k, t, s), t);
      on.beta = a->g.y ? on.mean : in_hand(a->g.beta, k, t, s);  // with y nobody asks for it
      if (by.wide && k->channels_last) add_gradients(a, t, s, true, whole, &on, &mine);
      else if (by.wide) add_gradients(a, t, s, false, whole, &on, &mine);
      else add_gradients(a, t, s, k->channels_last, by, &on, &mine);
      put_totals(k, t, m, &mine, value);
    }
    put_pieces(k, g, value, a->temp.piece);
  }
}
AM_TYPED_KERNEL(grad_pieces, grad_args)

AM_KERNEL grad_sums(grad_args a) {
  AM_TEAM_SHARED double value[2 * AM_CUDA_THREADS];
  const am_cuda_norm *k = &a.k;
  AM_TEAM_FOR(g, am_team_groups(&k->last, k->c)) {
    gather_pieces(k, g, a.temp.piece, value);
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      if (am_team_lane(&k->last, m) != 0 || c >= k->c) continue;
      const double count = (double)(k->n * k->inner), scale = a.g.inv_std[c];
      const double dgamma = value[AM_CUDA_THREADS + m] * scale;
      a.g.dbeta[c] = (float)value[m];
      a.g.dgamma[c] = (float)dgamma;
      a.temp.coefficient[c] = (float)(value[m] / count);
      a.temp.coefficient[k->c + c] = (float)(dgamma * scale / count);
    }
  }
}

AM_ON_CARD void grad_elements(const grad_args *a, am_dtype t) {
  const am_cuda_norm *k = &a->k;
  const am_cuda_channels channels = channels_of(k);
  const int64_t count = k->n * k->c * k->inner;
  const bool stay = am_channels_stay(channels, t);
  line on = {{{0}}, {{0}}, {{0}}};
  am_pack level = {{0}}, along = {{0}};  // dbeta/m; dgamma/m * inv_std
  bool known = false;
  AM_CUDA_FOR(j, AM_PACKS(t, count)) {
    const int n = am_pack_left(t, j, count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    const grad_pack p = load_grad(a, t, first, n, a->wide);
    am_pack dx = {{0}}, d = {{0}};
    if (!known) {
      on.mean = am_channel_pack(a->g.mean, channels, t, first);
      on.gain = am_channel_pack(a->g.inv_std, channels, t, first);
      times_gamma(&on.gain, am_channel_pack(a->g.gamma, channels, t, first), t);
      if (!a->g.y) on.beta = am_channel_pack(a->g.beta, channels, t, first);
      level = am_channel_pack(a->temp.coefficient, channels, t, first);
      along = am_channel_pack(a->temp.coefficient + k->c, channels, t, first);
      known = stay;
    }
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      d.v[l] = passed(a, &p, l, &on);
      dx.v[l] = on.gain.v[l] * (d.v[l] - (level.v[l] + (p.x.v[l] - on.mean.v[l]) * along.v[l]));
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

// Turns dy into dx and adds it up.
AM_ON_CARD void pass_bias(const bias_args *a, am_dtype t, share s, bool last, grain by, totals *mine) {
  for (int64_t i = 0; i < s.count; i++) {
    const int64_t at = element(&a->k, last, s.c, (s.begin + i * a->k.team.lanes) * by.run);
    const am_pack y = am_pack_load(a->y, t, at, by.width, by.wide);
    am_pack d = am_pack_load(a->dy, t, at, by.width, by.wide);
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      d.v[l] *= y.v[l] > 0 ? 1 : a->k.slope;
      if (l < by.width) mine->sum[l] += d.v[l];
    }
    am_pack_store(a->dx, t, at, by.width, by.wide, d);
  }
}
AM_ON_CARD void bias_pieces(const bias_args *a, am_dtype t) {
  AM_TEAM_SHARED double value[TEAM_VALUES];
  const am_cuda_norm *k = &a->k;
  const grain by = grain_of(k, t, a->wide), whole = {by.run, AM_PACK_WIDTH(t), true};
  AM_TEAM_FOR(g, pieces(k)) {
    AM_MEMBER_FOR(m) {
      const share s = share_of(k, g, by.run, m);
      totals mine = {{0}, {0}};
      if (by.wide && k->channels_last) pass_bias(a, t, s, true, whole, &mine);
      else if (by.wide) pass_bias(a, t, s, false, whole, &mine);
      else pass_bias(a, t, s, k->channels_last, by, &mine);
      put_totals(k, t, m, &mine, value);
    }
    put_pieces(k, g, value, a->temp.piece);
  }
}
AM_TYPED_KERNEL(bias_pieces, bias_args)

AM_KERNEL bias_sums(bias_args a) {
  AM_TEAM_SHARED double value[2 * AM_CUDA_THREADS];
  const am_cuda_norm *k = &a.k;
  AM_TEAM_FOR(g, am_team_groups(&k->last, k->c)) {
    gather_pieces(k, g, a.temp.piece, value);
    AM_MEMBER_FOR(m) {
      const int64_t c = am_team_output(&k->last, g, m);
      if (am_team_lane(&k->last, m) == 0 && c < k->c) a.dbias[c] = (float)value[m];
    }
  }
}

// ---- launches ----

static int64_t element_threads(const am_cuda_norm *k) { return am_channel_threads(k->type, k->n * k->c * k->inner); }

cudaError_t am_cuda_launch_batch_norm(cudaStream_t stream, am_cuda_norm k, const void *x, const float *gamma,
                                      const float *beta, const void *residual, am_cuda_norm_temp temp, void *y, float *mean,
                                      float *inv_std) {
  const bool wide = am_cuda_aligned(x) && am_cuda_aligned(residual) && am_cuda_aligned(y);
  const norm_args a = {k, x, residual, gamma, beta, temp, y, mean, inv_std, wide};
  cudaError_t status = AM_TYPED_TEAMS(moment_pieces, k.type, stream, pieces(&k), a);
  if (status == cudaSuccess) status = AM_TYPED_TEAMS(statistics, k.type, stream, am_team_groups(&k.last, k.c), a);
  if (status == cudaSuccess) status = AM_TYPED_LAUNCH(normalise, k.type, stream, element_threads(&k), a);
  return status;
}

cudaError_t am_cuda_launch_batch_norm_grad(cudaStream_t stream, am_cuda_norm k, am_cuda_norm_grad g, am_cuda_norm_temp temp) {
  const bool wide = am_cuda_aligned(g.dy) && am_cuda_aligned(g.x) && am_cuda_aligned(g.y) && am_cuda_aligned(g.dx) &&
                    am_cuda_aligned(g.dresidual);
  const grad_args a = {k, g, temp, wide};
  cudaError_t status = AM_TYPED_TEAMS(grad_pieces, k.type, stream, pieces(&k), a);
  if (status == cudaSuccess) status = AM_TEAM_LAUNCH(grad_sums, stream, am_team_groups(&k.last, k.c), a);
  if (status == cudaSuccess) status = AM_TYPED_LAUNCH(grad_elements, k.type, stream, element_threads(&k), a);
  return status;
}

cudaError_t am_cuda_launch_bias_act_grad(cudaStream_t stream, am_cuda_norm k, const void *dy, const void *y,
                                         am_cuda_norm_temp temp, void *dx, float *dbias) {
  const bool wide = am_cuda_aligned(dy) && am_cuda_aligned(y) && am_cuda_aligned(dx);
  const bias_args a = {k, dy, y, temp, dx, dbias, wide};
  const cudaError_t status = AM_TYPED_TEAMS(bias_pieces, k.type, stream, pieces(&k), a);
  return status != cudaSuccess ? status : AM_TEAM_LAUNCH(bias_sums, stream, am_team_groups(&k.last, k.c), a);
}
