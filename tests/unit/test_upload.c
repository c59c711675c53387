// Uploads to a card that the test plays: what is queued on its streams happens late and in whatever order streams and events
// leave open. So a copy that is not waited for, or memory that is used again too early, is seen here, without a card.
#include "am_test.h"
#include "backend/cuda/upload.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"

// ---- the card ----

enum { TASKS = 1 << 12 };

typedef enum { COPY, RECORD, WAIT, LOOK, FILL } task_kind;
typedef struct {
  int64_t recorded, came;  // times, so far
} event;
typedef struct {
  task_kind kind;
  char *to;
  const char *from;
  size_t bytes;
  event *event;
  int64_t time;   // of the event
  uint64_t seed;  // of what shall be found, or be written
} task;
typedef struct {
  task task[TASKS];
  int64_t queued, done;
} stream;

static struct {
  stream ops, copies;
  bool open;  // the stream of the copies
  am_rng dice;
  double pace;              // how often something happens while the host goes on
  int64_t calls, fails_at;  // the call that fails, counted from 1; 0: none
  int64_t live;             // of everything that is created
} card;

static void card_begin(uint64_t seed, double pace) {
  memset(&card, 0, sizeof card);
  card.dice = am_rng_at(seed, AM_RNG_TEST, 1);
  card.pace = pace;
}

static char byte_of(uint64_t seed, size_t i) { return (char)(seed * 31 + i * 7 + (i >> 8) * 13); }
static void write_bytes(char *to, size_t bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes; i++) to[i] = byte_of(seed, i);
}
static void expect_bytes(const char *at, size_t bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes; i++) {
    if (at[i] != byte_of(seed, i))
      fail_msg("byte %zu of %zu of upload %llu", i, bytes, (unsigned long long)seed);
  }
}

// False: the stream is empty, or waits for an event of another.
static bool advance(stream *s) {
  if (s->done == s->queued) return false;
  const task *t = &s->task[s->done % TASKS];
  switch (t->kind) {
    case WAIT:
      if (t->event->came < t->time) return false;
      break;
    case RECORD:
      t->event->came = t->time;
      break;
    case COPY:
      memcpy(t->to, t->from, t->bytes);
      break;
    case LOOK:
      expect_bytes(t->to, t->bytes, t->seed);
      break;
    case FILL:
      write_bytes(t->to, t->bytes, t->seed);
      break;
  }
  s->done++;
  return true;
}

// Something, on the one stream or the other.
static void happen(void) {
  stream *first = am_rng_below(&card.dice, 2) ? &card.ops : &card.copies;
  if (!advance(first) && !advance(first == &card.ops ? &card.copies : &card.ops))
    fail_msg("the card waits for ever");
}

static void some_happens(void) {
  while (am_rng_uniform(&card.dice) < card.pace)
    (void)advance(am_rng_below(&card.dice, 2) ? &card.ops : &card.copies);
}

static void queue(stream *s, task t) {
  while (s->queued - s->done == TASKS) happen();
  s->task[s->queued++ % TASKS] = t;
  some_happens();
}

static bool call_fails(void) { return ++card.calls == card.fails_at; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
  if (call_fails()) return cudaErrorUnknown;
  assert_false(card.open);
  card.open = true;
  card.live++;
  *out = &card.copies;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  assert_ptr_equal(s, &card.copies);
  card.open = false;
  card.live--;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  const stream *wanted = s;
  while (wanted->done < wanted->queued) happen();
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
  event *e = NULL;
  if (call_fails()) return cudaErrorUnknown;
  am_ok(AM_NEW(&e));
  card.live++;
  *out = e;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  free(e);
  card.live--;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  if (call_fails()) return cudaErrorUnknown;
  queue(s, (task){.kind = RECORD, .event = e, .time = ++((event *)e)->recorded});
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags) {
  if (call_fails()) return cudaErrorUnknown;
  queue(s, (task){.kind = WAIT, .event = e, .time = ((event *)e)->recorded});
  return cudaSuccess;
}
cudaError_t cudaMalloc(void **out, size_t bytes) {
  if (call_fails()) return cudaErrorUnknown;
  char *memory = NULL;
  am_ok(am_mem_alloc(&memory, (int64_t)bytes, 1));
  card.live++;
  *out = memory;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags) { return cudaMalloc(out, bytes); }
cudaError_t cudaFree(void *memory) {
  assert_int_equal(card.ops.done + card.copies.done, card.ops.queued + card.copies.queued);
  free(memory);
  card.live--;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void *memory) { return cudaFree(memory); }
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s) {
  if (call_fails()) return cudaErrorUnknown;
  queue(s, (task){.kind = COPY, .to = to, .from = from, .bytes = bytes});
  return cudaSuccess;
}

// ---- the rest of the context ----

am_err am_cuda_fail(const char *call, cudaError_t status) {
  return AM_FAIL(AM_ERR_DEVICE, "%s gave %d", call, (int)status);
}
cudaStream_t am_cuda_stream(const am_cuda *g) { return &card.ops; }
am_err am_cuda_wait_for(const am_cuda *g, cudaEvent_t event_) {
  const event *e = event_;
  while (e->came < e->recorded) happen();
  return AM_OK;
}

// ---- tests ----

enum { RING = 1 << 16, TARGETS = 6, MOST = 3 * RING / 2 };

static am_cuda_uploads up;
static char *target[TARGETS];
static char *host;

static void open_uploads(uint64_t seed, double pace) {
  card_begin(seed, pace);
  up = (am_cuda_uploads){0};
  am_ok(am_cuda_uploads_open(&up, RING, RING));
  for (int i = 0; i < TARGETS; i++) am_ok(am_mem_alloc(&target[i], MOST, 1));
  am_ok(am_mem_alloc(&host, MOST, 1));
}
static void close_uploads(void) {
  (void)cudaStreamSynchronize(&card.ops);
  am_cuda_uploads_close(&up);
  assert_int_equal(card.live, 0);
  for (int i = 0; i < TARGETS; i++) free(target[i]);
  free(host);
}

// Small ones, some of several pieces, some larger than the ring.
static size_t draw_bytes(void) {
  static const int64_t most[] = {100, 5000, 9000, RING / 2, MOST};
  return 1 + (size_t)am_rng_below(&card.dice, most[am_rng_below(&card.dice, AM_COUNT_OF(most))]);
}

// One upload as ops see it: the old bytes until it comes, the new ones behind it. The host's copy is gone at once.
static am_err upload_once(uint64_t number, uint64_t seed_of[TARGETS], size_t bytes_of[TARGETS]) {
  const int i = (int)am_rng_below(&card.dice, TARGETS);
  const size_t bytes = draw_bytes();
  if (bytes_of[i])
    queue(&card.ops, (task){.kind = LOOK, .to = target[i], .bytes = bytes_of[i], .seed = seed_of[i]});
  if (number % 3 == 0) queue(&card.ops, (task){.kind = FILL, .to = target[i], .bytes = MOST, .seed = 0});
  write_bytes(host, bytes, number);
  bytes_of[i] = 0;
  AM_TRY(am_cuda_upload(&up, NULL, target[i], host, bytes));
  memset(host, 0x55, bytes);
  seed_of[i] = number;
  bytes_of[i] = bytes;
  queue(&card.ops, (task){.kind = LOOK, .to = target[i], .bytes = bytes, .seed = number});
  return AM_OK;
}

static void every_upload_is_whole_and_in_order(void **state) {
  static const double pace[] = {0, 0.3, 0.7, 0.95};
  for (uint64_t seed = 0; seed < 24; seed++) {
    uint64_t seed_of[TARGETS] = {0};
    size_t bytes_of[TARGETS] = {0};
    open_uploads(seed, pace[seed % AM_COUNT_OF(pace)]);
    for (uint64_t n = 1; n <= 400; n++) am_ok(upload_once(n, seed_of, bytes_of));
    close_uploads();
  }
}

// A batch is on the card before the step that stands in front of it has begun.
static void the_bus_works_beside_the_ops(void **state) {
  open_uploads(1, 0);
  event step = {.recorded = 1};
  write_bytes(host, RING / 2, 5);
  queue(&card.ops, (task){.kind = WAIT, .event = &step, .time = 1});
  am_ok(am_cuda_upload(&up, NULL, target[0], host, RING / 2));
  while (advance(&card.copies)) {
  }
  assert_int_equal(card.ops.done, 0);
  assert_int_equal(card.copies.done, card.copies.queued);
  expect_bytes(up.landing, RING / 2, 5);
  queue(&card.ops, (task){.kind = LOOK, .to = target[0], .bytes = RING / 2, .seed = 5});
  step.came = 1;
  close_uploads();
}

static void what_is_small_stays_on_the_stream_of_the_ops(void **state) {
  open_uploads(2, 0);
  am_ok(am_cuda_upload(&up, NULL, target[0], host, 0));
  assert_int_equal(card.ops.queued, 0);
  am_ok(am_cuda_upload(&up, NULL, target[0], host, 4096));
  assert_int_equal(card.copies.queued, 0);
  assert_int_equal(card.ops.queued, 2);
  am_ok(am_cuda_upload(&up, NULL, target[0], host, 4097));
  assert_int_equal(card.copies.queued, 2);
  assert_int_equal(card.ops.queued, 5);
  close_uploads();
}

// A batch that is larger than the ring makes it grow, and is then on the card before the step in front of it has begun.
static void the_ring_grows_with_the_batch(void **state) {
  open_uploads(6, 0);
  event step = {.recorded = 1};
  up.most = 4 * RING;
  write_bytes(host, MOST, 5);
  am_ok(am_cuda_upload(&up, NULL, target[0], host, MOST));
  assert_int_equal(up.ring.bytes, 2 * MOST);
  queue(&card.ops, (task){.kind = LOOK, .to = target[0], .bytes = MOST, .seed = 5});
  (void)cudaStreamSynchronize(&card.ops);
  queue(&card.ops, (task){.kind = WAIT, .event = &step, .time = 1});
  write_bytes(host, MOST, 6);
  am_ok(am_cuda_upload(&up, NULL, target[1], host, MOST));
  while (advance(&card.copies)) {
  }
  assert_int_equal(card.copies.done, card.copies.queued);
  queue(&card.ops, (task){.kind = LOOK, .to = target[1], .bytes = MOST, .seed = 6});
  step.came = 1;
  close_uploads();
}

// It keeps what it has when there is no memory for more, and does not ask again.
static void the_ring_stays_without_memory(void **state) {
  for (int failing = 1; failing <= 2; failing++) {
    open_uploads(7, 0.5);
    up.most = 4 * RING;
    card.fails_at = card.calls + failing;
    for (uint64_t n = 1; n <= 2; n++) {
      write_bytes(host, MOST, n);
      am_ok(am_cuda_upload(&up, NULL, target[0], host, MOST));
      queue(&card.ops, (task){.kind = LOOK, .to = target[0], .bytes = MOST, .seed = n});
    }
    assert_int_equal(up.ring.bytes, RING);
    assert_int_equal(up.most, RING);
    close_uploads();
  }
}

// Whichever call fails is reported, once; uploads before and after it are whole, and all goes back.
static void a_failed_call_spoils_one_upload(void **state) {
  enum { OPENING = 3 + 2 * AM_RING_RANGES };
  for (int64_t at = 1; at <= OPENING; at++) {
    card_begin(3, 0.5);
    card.fails_at = at;
    up = (am_cuda_uploads){0};
    am_fails(am_cuda_uploads_open(&up, RING, RING), AM_ERR_DEVICE, "gave 999");
    am_cuda_uploads_close(&up);
    assert_int_equal(card.live, 0);
  }
  for (int64_t at = 1; at <= 300; at++) {
    uint64_t seed_of[TARGETS] = {0};
    size_t bytes_of[TARGETS] = {0};
    int failed = 0;
    open_uploads((uint64_t)at, at % 2 ? 0.2 : 0.7);
    card.fails_at = card.calls + at;
    for (uint64_t n = 1; n <= 150; n++) failed += upload_once(n, seed_of, bytes_of) != AM_OK;
    assert_int_equal(failed, 1);
    close_uploads();
  }
}

// Nobody else would wait for what a failed upload left on the bus.
static void closing_waits_for_the_bus(void **state) {
  open_uploads(4, 0);
  card.fails_at = card.calls + 2;
  am_fails(am_cuda_upload(&up, NULL, target[0], host, RING / 8), AM_ERR_DEVICE, "cudaEventRecord");
  assert_int_equal(card.copies.done + 1, card.copies.queued);
  close_uploads();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_upload_is_whole_and_in_order),
      cmocka_unit_test(the_bus_works_beside_the_ops),
      cmocka_unit_test(what_is_small_stays_on_the_stream_of_the_ops),
      cmocka_unit_test(the_ring_grows_with_the_batch),
      cmocka_unit_test(the_ring_stays_without_memory),
      cmocka_unit_test(a_failed_call_spoils_one_upload),
      cmocka_unit_test(closing_waits_for_the_bus),
  };
  return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
