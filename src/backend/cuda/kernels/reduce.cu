// Sums and maxima over axes, and log softmax: by teams, each output's elements in pieces, then the pieces. Every order is fixed
// by shapes alone.
#include "backend/cuda/kernels/walk.h"

typedef struct {
  am_cuda_reduction r;
  const void *x;
  double *partial;
  am_cuda_best *best;
  void *y;
  int32_t *place;
} reduce_args;

// What team g does of its outputs: elements [begin, end) of each one's window.
typedef struct {
  int64_t group, part, begin, end;
} piece;
AM_ON_CARD piece piece_of(const am_cuda_reduction *r, int64_t g) {
  piece p;
  p.group = g / r->parts;
  p.part = g % r->parts;
  p.begin = r->length * p.part / r->parts;
  p.end = r->length * (p.part + 1) / r->parts;
  return p;
}

// ---- sums ----

AM_ON_CARD void partial_sums(const reduce_args *a, am_dtype t) {
  AM_TEAM_SHARED double value[AM_CUDA_THREADS];
  const am_cuda_reduction *r = &a->r;
  AM_TEAM_FOR(g, am_team_groups(&r->team, r->outputs) * r->parts) {
    const piece p = piece_of(r, g);
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->team, p.group, m), base = o < r->outputs ? am_cuda_place(&r->base, o) : 0;
      double sum = 0;
      for (int64_t s = p.begin + am_team_lane(&r->team, m); o < r->outputs && s < p.end; s += r->team.lanes)
        sum += am_get(a->x, t, base + am_cuda_place(&r->window, s));
      value[m] = sum;
    }
    am_team_sum(&r->team, value);
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->team, p.group, m);
      if (am_team_lane(&r->team, m) == 0 && o < r->outputs) a->partial[o * r->parts + p.part] = value[m];
    }
  }
}
AM_TYPED_KERNEL(partial_sums, reduce_args)

AM_ON_CARD void whole_sums(const reduce_args *a, am_dtype t) {
  AM_TEAM_SHARED double value[AM_CUDA_THREADS];
  const am_cuda_reduction *r = &a->r;
  AM_TEAM_FOR(g, am_team_groups(&r->last, r->outputs)) {
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->last, g, m);
      double sum = 0;
      for (int64_t p = am_team_lane(&r->last, m); o < r->outputs && p < r->parts; p += r->last.lanes)
        sum += a->partial[o * r->parts + p];
      value[m] = sum;
    }
    am_team_sum(&r->last, value);
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->last, g, m);
      if (am_team_lane(&r->last, m) == 0 && o < r->outputs) am_put(a->y, t, o, (float)value[m]);
    }
  }
}
AM_TYPED_KERNEL(whole_sums, reduce_args)

// ---- maxima ----

// The larger, of equals the first; a NaN counts as larger than everything, as in PyTorch. A place of -1: nothing.
AM_ON_CARD am_cuda_best better(am_cuda_best a, am_cuda_best b) {
  if (a.place < 0) return b;
  if (b.place < 0) return a;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan ? a : b;
  if (!a_nan && a.value != b.value) return a.value > b.value ? a : b;
  return a.place < b.place ? a : b;
}
AM_ON_CARD am_cuda_best nothing_yet(void) {
  am_cuda_best b;
  b.value = 0;
  b.place = -1;
  return b;
}
AM_ON_CARD void team_best(const am_cuda_team *m, am_cuda_best *value) {
  for (int half = m->lanes / 2; half > 0; half /= 2) {
    AM_TEAM_WAIT();
    AM_MEMBER_FOR(t) {
      if (am_team_lane(m, t) < half) value[t] = better(value[t], value[t + half * m->lane_stride]);
    }
  }
  AM_TEAM_WAIT();
}

AM_ON_CARD void partial_maxima(const reduce_args *a, am_dtype t) {
  AM_TEAM_SHARED am_cuda_best value[AM_CUDA_THREADS];
  const am_cuda_reduction *r = &a->r;
  AM_TEAM_FOR(g, am_team_groups(&r->team, r->outputs) * r->parts) {
    const piece p = piece_of(r, g);
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->team, p.group, m), base = o < r->outputs ? am_cuda_place(&r->base, o) : 0;
      am_cuda_best best = nothing_yet();
      for (int64_t s = p.begin + am_team_lane(&r->team, m); o < r->outputs && s < p.end; s += r->team.lanes) {
        am_cuda_best one;
        one.value = am_get(a->x, t, base + am_cuda_place(&r->window, s));
        one.place = s;
        best = better(best, one);
      }
      value[m] = best;
    }
    team_best(&r->team, value);
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->team, p.group, m);
      if (am_team_lane(&r->team, m) == 0 && o < r->outputs) a->best[o * r->parts + p.part] = value[m];
    }
  }
}
AM_TYPED_KERNEL(partial_maxima, reduce_args)

AM_ON_CARD void whole_maxima(const reduce_args *a, am_dtype t) {
  AM_TEAM_SHARED am_cuda_best value[AM_CUDA_THREADS];
  const am_cuda_reduction *r = &a->r;
  AM_TEAM_FOR(g, am_team_groups(&r->last, r->outputs)) {
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->last, g, m);
      am_cuda_best best = nothing_yet();
      for (int64_t p = am_team_lane(&r->last, m); o < r->outputs && p < r->parts; p += r->last.lanes)
        best = better(best, a->best[o * r->parts + p]);
      value[m] = best;
    }
    team_best(&r->last, value);
    AM_MEMBER_FOR(m) {
      const int64_t o = am_team_output(&r->last, g, m);
      if (am_team_lane(&r->last, m) != 0 || o >= r->outputs) continue;
      if (a->y) am_put(a->y, t, o, value[m].value);
      else a->place[o] = (int32_t)value[m].place;
    }
  }
}
AM_TYPED_KERNEL(whole_maxima, reduce_args)

// ---- log softmax ----

typedef struct {
  am_cuda_team team;
  const void *x;
  int64_t rows, width;
  void *y;
} softmax_args;

// x - max - log(sum exp(x - max)): no term overflows. The lanes of a row take every so many-th of its elements.
AM_ON_CARD void log_softmax_kernel(const softmax_args *a, am_dtype t) {
  AM_TEAM_SHARED float max[AM_CUDA_THREADS];
  AM_TEAM_SHARED double sum[AM_CUDA_THREADS];
  const am_cuda_team *team = &a->team;
  AM_TEAM_FOR(g, am_team_groups(team, a->rows)) {
    AM_MEMBER_FOR(m) {
      const int64_t r = am_team_output(team, g, m);
      float most = -INFINITY;
      for (int64_t j = am_team_lane(team, m); r < a->rows && j < a->width; j += team->lanes)
        most = fmaxf(most, am_get(a->x, t, r * a->width + j));
      max[m] = most;
    }
    for (int half = team->lanes / 2; half > 0; half /= 2) {
      AM_TEAM_WAIT();
      AM_MEMBER_FOR(m) {
        if (am_team_lane(team, m) < half) max[m] = fmaxf(max[m], max[m + half * team->lane_stride]);
      }
    }
    AM_TEAM_WAIT();
    AM_MEMBER_FOR(m) {
      const int64_t r = am_team_output(team, g, m);
      const float most = max[m - am_team_lane(team, m) * team->lane_stride];
      double exps = 0;
      for (int64_t j = am_team_lane(team, m); r < a->rows && j < a->width; j += team->lanes)
        exps += (double)expf(am_get(a->x, t, r * a->width + j) - most);
      sum[m] = exps;
    }
    am_team_sum(team, sum);
    AM_MEMBER_FOR(m) {
      const int64_t r = am_team_output(team, g, m);
      const int lane0 = m - am_team_lane(team, m) * team->lane_stride;
      const float most = max[lane0], all = (float)log(sum[lane0]);
      for (int64_t j = am_team_lane(team, m); r < a->rows && j < a->width; j += team->lanes)
        am_put(a->y, t, r * a->width + j, am_get(a->x, t, r * a->width + j) - most - all);
    }
    AM_TEAM_WAIT();
  }
}
AM_TYPED_KERNEL(log_softmax_kernel, softmax_args)

// ---- launches ----

cudaError_t am_cuda_launch_sum(cudaStream_t stream, am_cuda_reduction r, am_dtype type, const void *x, double *partial, void *y) {
  const reduce_args a = {r, x, partial, NULL, y, NULL};
  const cudaError_t status = AM_TYPED_TEAMS(partial_sums, type, stream, am_team_groups(&r.team, r.outputs) * r.parts, a);
  return status != cudaSuccess ? status : AM_TYPED_TEAMS(whole_sums, type, stream, am_team_groups(&r.last, r.outputs), a);
}

cudaError_t am_cuda_launch_max(cudaStream_t stream, am_cuda_reduction r, am_dtype type, const void *x, am_cuda_best *partial,
                               void *y, int32_t *place) {
  const reduce_args a = {r, x, NULL, partial, y, place};
  const cudaError_t status = AM_TYPED_TEAMS(partial_maxima, type, stream, am_team_groups(&r.team, r.outputs) * r.parts, a);
  return status != cudaSuccess ? status : AM_TYPED_TEAMS(whole_maxima, type, stream, am_team_groups(&r.last, r.outputs), a);
}

cudaError_t am_cuda_launch_log_softmax(cudaStream_t stream, am_cuda_team team, am_dtype type, const void *x, int64_t rows,
                                       int64_t width, void *y) {
  const softmax_args a = {team, x, rows, width, y};
  return AM_TYPED_TEAMS(log_softmax_kernel, type, stream, am_team_groups(&team, rows), a);
}
