// Values that the host reads without waiting: on a device that has them at once, and on one whose copies take their time.
#include <string.h>

#include "am_test.h"
#include "base/mem.h"
#include "tensor/device_internal.h"
#include "tensor/later.h"

// ---- a device whose copies come when the test says so ----

typedef struct {
  int number;
  char bytes[];
} slow_copy;
static int begun, come, freed;  // copies, in their order; those below `come` have arrived
static int refused = -1;        // the copy that cannot be begun

static am_err slow_fetch(void *ctx, const void *device, size_t bytes, void **copy) {
  slow_copy *c = NULL;
  AM_CHECK(begun != refused, AM_ERR_DEVICE, "no copies today");
  AM_TRY(am_mem_alloc(&c, 1, sizeof *c + bytes));
  c->number = begun++;
  memcpy(c->bytes, device, bytes);
  *copy = c;
  return AM_OK;
}
static am_err slow_fetched(void *ctx, void *copy, bool wait, const void **host) {
  slow_copy *c = copy;
  if (wait && come <= c->number) come = c->number + 1;
  *host = c->number < come ? c->bytes : NULL;
  return AM_OK;
}
static void slow_fetch_end(void *ctx, void *copy) {
  freed++;
  free(copy);
}

static am_backend slow_backend;
static am_device *open_device(bool slow) {
  am_device *dev = NULL;
  begun = come = freed = 0;
  refused = -1;
  am_ok(am_device_open(&(am_device_cfg){.kind = "ref"}, &dev));
  if (!slow) return dev;
  slow_backend = *dev->backend;
  slow_backend.fetch = slow_fetch;
  slow_backend.fetched = slow_fetched;
  slow_backend.fetch_end = slow_fetch_end;
  dev->backend = &slow_backend;
  return dev;
}

// ---- what is delivered ----

enum { MOST = 64 };
static struct {
  int note;
  float first, second;
} seen[MOST];
static int seen_count, stop_at;

static am_err see(void *user, const void *note, const float *const *value) {
  int number;
  memcpy(&number, note, sizeof number);
  assert_ptr_equal(user, &seen_count);
  AM_CHECK(number != stop_at, AM_ERR_NUMERIC, "read %d is not wanted", number);
  seen[seen_count].note = number;
  seen[seen_count].first = value[0][0];
  seen[seen_count++].second = value[1][2];
  return AM_OK;
}

static am_err read_two(am_later *l, am_device *dev, int number) {
  const float one = (float)number, three[] = {1, 2, 10 * (float)number};
  am_tensor *t[2] = {NULL, NULL};
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(1), &one, &t[0]));
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(3), three, &t[1]));
  const am_err err = am_later_read(l, t, 2, &number, sizeof number);
  am_tensor_release(t[0]);
  am_tensor_release(t[1]);
  return err;
}

static am_later *begin(am_device *dev) {
  am_later *l = NULL;
  seen_count = 0;
  stop_at = -1;
  am_ok(am_later_new(dev, see, &seen_count, &l));
  return l;
}

static void check_seen(int count) {
  assert_int_equal(seen_count, count);
  for (int i = 0; i < count; i++)
    assert_true(seen[i].note == i && seen[i].first == (float)i && seen[i].second == 10 * (float)i);
}

static void values_of_the_host_come_at_once(void **state) {
  am_device *dev = open_device(false);
  am_later *l = begin(dev);
  for (int i = 0; i < 5; i++) {
    am_ok(read_two(l, dev, i));
    check_seen(i + 1);
  }
  am_ok(am_later_finish(l));
  check_seen(5);
  am_later_free(l);
  am_device_close(dev);
}

static void values_on_their_way_are_not_waited_for(void **state) {
  am_device *dev = open_device(true);
  am_later *l = begin(dev);
  for (int i = 0; i < AM_LATER_AHEAD; i++) am_ok(read_two(l, dev, i));
  check_seen(0);
  am_ok(read_two(l, dev, AM_LATER_AHEAD));  // one more than may be under way
  check_seen(1);
  come = 2 * 4 + 1;  // reads 1 to 3, and half of read 4
  am_ok(read_two(l, dev, AM_LATER_AHEAD + 1));
  check_seen(4);
  am_ok(am_later_finish(l));
  check_seen(AM_LATER_AHEAD + 2);
  am_ok(read_two(l, dev, AM_LATER_AHEAD + 2));
  am_later_free(l);  // with one under way
  assert_int_equal(begun, 2 * (AM_LATER_AHEAD + 3));
  assert_int_equal(freed, begun);
  am_device_close(dev);
}

static void an_error_reaches_who_delivers(void **state) {
  am_device *dev = open_device(true);
  am_later *l = begin(dev);
  for (int i = 0; i < 3; i++) am_ok(read_two(l, dev, i));
  stop_at = 1;
  assert_int_equal(am_later_finish(l), AM_ERR_NUMERIC);
  assert_string_equal(am_err_last()->message, "read 1 is not wanted");
  check_seen(1);
  refused = begun + 1;  // the second copy of a read
  assert_int_equal(read_two(l, dev, 3), AM_ERR_DEVICE);
  am_later_free(l);
  assert_int_equal(freed, begun);
  am_device_close(dev);
}

static void other_types_are_refused(void **state) {
  am_device *dev = open_device(false);
  am_later *l = begin(dev);
  am_tensor *t = NULL;
  am_ok(am_tensor_zeros(dev, AM_F64, AM_SHAPE(2), &t));
  assert_int_equal(am_later_read(l, &t, 1, NULL, 0), AM_ERR_UNSUPPORTED);
  assert_string_equal(am_err_last()->message, "values of type f64 are not read later");
  am_tensor_release(t);
  am_later_free(l);
  am_device_close(dev);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_of_the_host_come_at_once),
      cmocka_unit_test(values_on_their_way_are_not_waited_for),
      cmocka_unit_test(an_error_reaches_who_delivers),
      cmocka_unit_test(other_types_are_refused),
  };
  return cmocka_run_group_tests_name("later", tests, NULL, NULL);
}
