// The cpu backend behind memory that the host cannot touch, as a plug-in in place of backends/cuda.so: what it gives out are
// addresses without access, and only ops and copies know where the bytes are. So a program that reads or writes a card's
// memory in place dies here, too, and everything else must give the bits of the cpu device.
//
// Steps are recorded as a list of calls, which are not carried out before the list is launched: as with CUDA graphs, whatever a
// step takes from the host while it is recorded, and whatever another step does to the memory that it named, shows in its bits.
//
// Its cards sum through a shared file, in the order of ranks. A sum that was joined is waited for by the next op or copy, as a
// stream would. AUGMINT_SEALED="fail R N" lets the N-th sum (from 0) of rank R be refused; "mute R N" lets it never arrive.
// They augment with the cuda backend's own kernel, as loops.
#define _DEFAULT_SOURCE  // mkstemp, MAP_ANONYMOUS
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/cpu/cpu.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/plugin.h"
#include "base/mem.h"

static const size_t SPAN = (size_t)4 << 30;  // of addresses; memory comes as it is touched
enum { BLOCKS_MAX = 1 << 16, SLOT = 1 << 21, RANKS_MAX = 8, SUMS_MAX = 64 };

// Of the whole process, for tests.
int64_t sealed_sums;       // that came from other ranks
int64_t sealed_augmented;  // images
int64_t sealed_launches;   // of recordings

typedef struct group group;
typedef struct recording recording;

typedef struct {
  void *cpu;         // owned: the cpu backend's context
  char *base;        // owned: SPAN bytes without access, then their SPAN bytes of memory
  size_t used;
  struct {
    size_t bytes, at;
  } idle[BLOCKS_MAX];  // released
  int64_t idle_count, live, host_live, recordings;
  recording *noting;  // borrowed by whoever records; NULL: calls are carried out
  int card;
  group *open;  // owned by their openers: a list
} sealed;

static am_err settle(sealed *s);

// ---- memory ----

static void sealed_close(void *ctx) {
  sealed *s = ctx;
  if (!s) return;
  if (s->live || s->host_live || s->open || s->recordings) abort();
  if (s->cpu) am_backend_cpu.close(s->cpu);
  if (s->base) munmap(s->base, 2 * SPAN);
  free(s);
}

static am_err sealed_open(const am_device_cfg *cfg, void **ctx) {
  am_err err = AM_OK;
  sealed *s = NULL;
  AM_TRY(AM_NEW(&s));
  s->card = cfg->index;
  void *base = mmap(NULL, 2 * SPAN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  AM_CHECK_GO(failed, base != MAP_FAILED, AM_ERR_NOMEM, "no addresses for a sealed device");
  s->base = base;
  AM_CHECK_GO(failed, mprotect(s->base + SPAN, SPAN, PROT_READ | PROT_WRITE) == 0, AM_ERR_NOMEM,
              "no memory for a sealed device");
  am_device_cfg inner = {.kind = "cpu", .threads = cfg->threads};
  AM_GO(failed, am_backend_cpu.open(&inner, &s->cpu));
  *ctx = s;
  return AM_OK;
failed:
  sealed_close(s);
  return err;
}

static am_err sealed_describe(void *ctx, char *text, size_t bytes) {
  snprintf(text, bytes, "cuda (the cpu behind memory that the host cannot read, for tests)");
  return AM_OK;
}

static am_err sealed_alloc(void *ctx, size_t bytes, void **out) {
  sealed *s = ctx;
  AM_CHECK(!s->noting, AM_ERR_INTERNAL, "memory is asked for while a step is recorded");
  bytes = (bytes + 63) / 64 * 64;
  size_t at = s->used;
  int64_t i = 0;
  while (i < s->idle_count && s->idle[i].bytes != bytes) i++;
  if (i < s->idle_count) {
    at = s->idle[i].at;
    s->idle[i] = s->idle[--s->idle_count];
  } else {
    AM_CHECK(bytes <= SPAN - s->used, AM_ERR_NOMEM, "a sealed device is full");
    s->used += bytes;
  }
  s->live++;
  memset(s->base + SPAN + at, 0xff, bytes);
  *out = s->base + at;
  return AM_OK;
}

static void sealed_release(void *ctx, void *memory, size_t bytes) {
  sealed *s = ctx;
  if (s->noting) abort();
  bytes = (bytes + 63) / 64 * 64;
  s->live--;
  if (s->idle_count == BLOCKS_MAX) abort();
  s->idle[s->idle_count].bytes = bytes;
  s->idle[s->idle_count++].at = (size_t)((char *)memory - s->base);
}

// Where the bytes of a device address are.
static void *inside(const void *address) { return (char *)address + SPAN; }

static am_err sealed_to_host(void *ctx, void *host, const void *device, size_t bytes) {
  AM_TRY(settle(ctx));
  memcpy(host, inside(device), bytes);
  return AM_OK;
}

static am_err sealed_from_host(void *ctx, void *device, const void *host, size_t bytes) {
  AM_TRY(settle(ctx));
  memcpy(inside(device), host, bytes);
  return AM_OK;
}

static am_err sealed_alloc_host(void *ctx, size_t bytes, void **out) {
  sealed *s = ctx;
  AM_TRY(am_mem_alloc_aligned(out, (int64_t)bytes, 1));
  s->host_live++;
  return AM_OK;
}

static void sealed_release_host(void *ctx, void *memory) {
  ((sealed *)ctx)->host_live--;
  free(memory);
}

static am_err sealed_sync(void *ctx) { return settle(ctx); }

// A clock of its own, on which every op takes a quarter of a second.
static am_err sealed_time_begin(void *ctx) { return AM_OK; }
static am_err sealed_time_end(void *ctx, double *sec) {
  *sec = 0.25;
  return settle(ctx);
}

// ---- ops ----

static const char *sealed_lacks(void *ctx, am_op op, am_dtype dtype) {
  return am_backend_cpu.lacks(((sealed *)ctx)->cpu, op, dtype);
}

static void sealed_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out) {
  am_backend_cpu.choose_layout(((sealed *)ctx)->cpu, op, desc, in, out);
}

// ---- recordings ----

// A call that waits to be carried out.
typedef struct {
  am_op op;
  union {
#define DESC_MEMBER(op, desc_type, inputs, outputs, in_place) desc_type op;
    AM_OP_LIST(DESC_MEMBER)
#undef DESC_MEMBER
  } desc;
  am_view in[AM_OP_MAX_INPUTS], out[AM_OP_MAX_OUTPUTS];
} noted_call;

struct recording {
  noted_call *call;  // owned
  int64_t count, capacity;
};

// What a memory holds when the call is carried out is not known now: views lose their stamps.
static am_err note_call(recording *r, am_op op, const void *desc, const am_view *in, const am_view *out) {
  AM_TRY(AM_GROW(&r->call, &r->capacity, r->count + 1));
  noted_call *c = &r->call[r->count++];
  c->op = op;
  memcpy(&c->desc, desc, am_op_desc_size(op));
  for (int i = 0; i < am_op_inputs(op); i++) c->in[i] = in[i], c->in[i].stamp = 0;
  for (int i = 0; i < am_op_outputs(op); i++) c->out[i] = out[i], c->out[i].stamp = 0;
  return AM_OK;
}

static am_err recording_begin(void *ctx) {
  sealed *s = ctx;
  AM_TRY(AM_NEW(&s->noting));
  s->recordings++;
  return AM_OK;
}

static am_err recording_end(void *ctx, void **out) {
  sealed *s = ctx;
  *out = s->noting;
  s->noting = NULL;
  return AM_OK;
}

static void recording_free(void *ctx, void *recorded) {
  recording *r = recorded;
  ((sealed *)ctx)->recordings--;
  free(r->call);
  free(r);
}

static am_err run(void *ctx, am_op op, const void *desc, const am_view *in, am_view *out) {
  am_view from[AM_OP_MAX_INPUTS], to[AM_OP_MAX_OUTPUTS];
  if (((sealed *)ctx)->noting) return note_call(((sealed *)ctx)->noting, op, desc, in, out);
  AM_TRY(settle(ctx));
  for (int i = 0; i < am_op_inputs(op); i++) from[i] = in[i], from[i].data = inside(in[i].data);
  for (int i = 0; i < am_op_outputs(op); i++) to[i] = out[i], to[i].data = inside(out[i].data);
  return am_backend_call(&am_backend_cpu, ((sealed *)ctx)->cpu, op, desc, from, to);
}

static am_err recording_launch(void *ctx, void *recorded, uint64_t moved) {
  const recording *r = recorded;
  for (int64_t i = 0; i < r->count; i++) {
    noted_call c = r->call[i];
    if (c.op == AM_OP_random) c.desc.random.index += moved;
    if (c.op == AM_OP_dropout) c.desc.dropout.index += moved;
    AM_TRY(run(ctx, c.op, &c.desc, c.in, c.out));
  }
  sealed_launches++;
  return AM_OK;
}

static const am_backend_recorder recorder = {.begin = recording_begin,
                                             .end = recording_end,
                                             .launch = recording_launch,
                                             .free = recording_free};

static am_err sealed_augment(void *ctx, const am_augment_program *p, const uint8_t *bytes, const float *params, int64_t count,
                             float *out) {
  float *room = NULL;
  AM_TRY(settle(ctx));
  AM_TRY(am_mem_alloc_aligned(&room, (int64_t)am_cuda_augment_room(p, count), 1));
  const cudaError_t status =
      am_cuda_launch_augment(NULL, p, inside(bytes), params ? inside(params) : NULL, count, room, inside(out));
  free(room);
  AM_CHECK(status == cudaSuccess, AM_ERR_DEVICE, "the kernel did not run");
  sealed_augmented += count;
  return AM_OK;
}

#define SEALED_OP(op, desc_type, inputs, outputs, in_place)                                      \
  static am_err sealed_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out) { \
    return run(ctx, AM_OP_##op, desc, in, out);                                                  \
  }
AM_OP_LIST(SEALED_OP)
#undef SEALED_OP

// ---- sums over ranks ----

// What the ranks share. Sum n uses the slots once every rank has taken sum n-1 out of them.
typedef struct {
  atomic_int joined, closed;
  atomic_llong given[RANKS_MAX], taken[RANKS_MAX];
  float slot[RANKS_MAX][SLOT];
} meeting;

struct group {
  group *next;
  sealed *device;
  am_device_waiter waiter;
  meeting *shared;  // owned: mapped
  char path[AM_GROUP_ID_BYTES];
  int rank, size;
  struct {
    float *data;
    int64_t count;
  } sum[SUMS_MAX];
  int64_t begun, done;
  bool pending, aborted, busy;
};

static am_err sealed_card(void *ctx, char text[AM_CARD_TEXT]) {
  snprintf(text, AM_CARD_TEXT, "sealed %d", ((sealed *)ctx)->card);
  return AM_OK;
}

static am_err sealed_make_id(void *ctx, unsigned char id[AM_GROUP_ID_BYTES]) {
  char *path = (char *)id;
  const char *dir = getenv("AM_TEST_TMP");
  snprintf(path, AM_GROUP_ID_BYTES, "%s/sealed-XXXXXX", dir && strlen(dir) < AM_GROUP_ID_BYTES - 16 ? dir : "/tmp");
  int fd = mkstemp(path);
  AM_CHECK(fd >= 0 && ftruncate(fd, sizeof(meeting)) == 0, AM_ERR_IO, "cannot make %s", path);
  close(fd);
  return AM_OK;
}

static am_err group_open(void *ctx, const unsigned char id[AM_GROUP_ID_BYTES], int rank, int size,
                         const am_device_waiter *waiter, void **out) {
  group *g = NULL;
  FILE *f = fopen((const char *)id, "r+");
  AM_CHECK(f && size <= RANKS_MAX, AM_ERR_IO, "cannot open %s", (const char *)id);
  void *shared = mmap(NULL, sizeof(meeting), PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
  fclose(f);
  AM_CHECK(shared != MAP_FAILED, AM_ERR_IO, "cannot map %s", (const char *)id);
  AM_TRY(AM_NEW(&g));
  *g = (group){.device = ctx, .waiter = *waiter, .shared = shared, .rank = rank, .size = size};
  memcpy(g->path, id, sizeof g->path);
  g->next = g->device->open;
  g->device->open = g;
  atomic_fetch_add(&g->shared->joined, 1);
  *out = g;
  return AM_OK;
}

static int64_t least(group *g, atomic_llong *of) {
  int64_t n = INT64_MAX;
  for (int r = 0; r < g->size; r++) {
    int64_t theirs = atomic_load(&of[r]);
    n = theirs < n ? theirs : n;
  }
  return n;
}

// Whether AUGMINT_SEALED says this of the sum that is begun next.
static bool told_to(const group *g, const char *what, int64_t sum) {
  char said[64];
  snprintf(said, sizeof said, "%s %d %lld", what, g->rank, (long long)sum);
  const char *order = getenv("AUGMINT_SEALED");
  return order && strcmp(order, said) == 0;
}

// Goes on with the sums as far as the other ranks have come.
static void advance(group *g) {
  meeting *m = g->shared;
  while (g->done < g->begun && !told_to(g, "mute", g->done)) {
    int64_t n = g->done, count = g->sum[n % SUMS_MAX].count;
    float *data = inside(g->sum[n % SUMS_MAX].data);
    if (atomic_load(&m->given[g->rank]) == n) {
      if (least(g, m->taken) < n) return;
      memcpy(m->slot[g->rank], data, (size_t)count * sizeof *data);
      atomic_store(&m->given[g->rank], n + 1);
    }
    if (least(g, m->given) < n + 1) return;
    memcpy(data, m->slot[0], (size_t)count * sizeof *data);
    for (int r = 1; r < g->size; r++) {
      for (int64_t i = 0; i < count; i++) data[i] += m->slot[r][i];
    }
    atomic_store(&m->taken[g->rank], n + 1);
    g->done++;
    sealed_sums++;
  }
}

// What was begun last is taken at the second look.
static am_err group_poll(void *self, bool *done) {
  group *g = self;
  AM_CHECK(!g->aborted, AM_ERR_DEVICE, "the sealed group was aborted");
  advance(g);
  const bool together = atomic_load(&g->shared->joined) == g->size;
  if (together && g->rank == 0 && !g->done) unlink(g->path);  // nobody needs the name any more
  *done = together && !g->busy;
  g->busy = false;
  return AM_OK;
}

static am_err group_all_reduce(void *self, float *data, int64_t count) {
  group *g = self;
  AM_CHECK(!told_to(g, "fail", g->begun), AM_ERR_DEVICE, "sum %lld is refused", (long long)g->begun);
  AM_CHECK(!g->busy && !g->aborted && count <= SLOT && g->begun - g->done < SUMS_MAX, AM_ERR_INTERNAL, "a sum out of turn");
  g->sum[g->begun % SUMS_MAX].data = data;
  g->sum[g->begun++ % SUMS_MAX].count = count;
  g->busy = true;
  return AM_OK;
}

static am_err group_join(void *self) {
  group *g = self;
  g->pending = true;
  return AM_OK;
}

static void group_abort(void *self) {
  group *g = self;
  g->aborted = true;
  g->pending = false;
}

static am_err all_came(void *self, bool *done) {
  group *g = self;
  advance(g);
  *done = g->done == g->begun;
  return AM_OK;
}

static am_err settle(sealed *s) {
  for (group *g = s->open; g; g = g->next) {
    if (!g->pending) continue;
    g->pending = false;
    am_err err = g->waiter.until(g->waiter.user, all_came, g);
    if (err) group_abort(g);
    AM_TRY(err);
  }
  return AM_OK;
}

static am_err all_closed(void *self, bool *done) {
  const group *g = self;
  *done = atomic_load(&g->shared->closed) == g->size;
  return AM_OK;
}

static void group_close(void *self) {
  group *g = self;
  am_err err = g->aborted ? AM_ERR_DEVICE : settle(g->device);
  atomic_fetch_add(&g->shared->closed, 1);
  if (!err) err = g->waiter.until(g->waiter.user, all_closed, g);
  if (g->rank == 0) unlink(g->path);  // where they never came together
  munmap(g->shared, sizeof *g->shared);
  group **at = &g->device->open;
  while (*at != g) at = &(*at)->next;
  *at = g->next;
  free(g);
}

static const am_backend_collective collective = {.card = sealed_card,
                                                 .make_id = sealed_make_id,
                                                 .open = group_open,
                                                 .poll = group_poll,
                                                 .all_reduce = group_all_reduce,
                                                 .join = group_join,
                                                 .abort = group_abort,
                                                 .close = group_close};

// ---- the table ----

static const am_backend backend_sealed = {
    .name = "cuda",
    .collective = &collective,
    .recorder = &recorder,
    .open = sealed_open,
    .close = sealed_close,
    .describe = sealed_describe,
    .alloc = sealed_alloc,
    .release = sealed_release,
    .to_host = sealed_to_host,
    .from_host = sealed_from_host,
    .alloc_host = sealed_alloc_host,
    .release_host = sealed_release_host,
    .sync = sealed_sync,
    .time_begin = sealed_time_begin,
    .time_end = sealed_time_end,
    .augment = sealed_augment,
    .lacks = sealed_lacks,
    .choose_layout = sealed_choose_layout,
#define SEALED_SLOT(op, desc_type, inputs, outputs, in_place) .op = sealed_##op,
    AM_OP_LIST(SEALED_SLOT)
#undef SEALED_SLOT
};

const am_plugin am_plugin_entry = {.abi = AM_PLUGIN_ABI, .backend = &backend_sealed};
