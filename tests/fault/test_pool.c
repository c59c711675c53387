// The memory pool when the backend has no more: idle blocks are given back and it is asked again.
// (The n-th allocation of whole programs fails in test_autograd_alloc.c.)
#include "am_test.h"
#include "base/fault.h"
#include "tensor/tensor.h"

// Counted from the first arming: a new tensor takes its block's record, its memory, itself.
enum { RECORD = 1, MEMORY, AGAIN, TENSOR };

static void gives_idle_memory_back_when_short(void **state) {
  am_device *dev = NULL;
  am_tensor *t = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "ref"}, &dev));
  am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(1000), &t));
  am_tensor_release(t);
  assert_true(am_device_memory_now(dev).cached_bytes > 0);

  am_ok(am_fault_init("alloc:2", 0));  // MEMORY fails, AGAIN succeeds
  am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(3000), &t));
  assert_int_equal(am_device_memory_now(dev).cached_bytes, 0);

  am_tensor *none = NULL;
  char spec[32];
  snprintf(spec, sizeof spec, "alloc:%d", TENSOR + MEMORY);  // nothing idle this time
  am_ok(am_fault_init(spec, 0));
  am_fails(am_tensor_new(dev, AM_F32, AM_SHAPE(5000), &none), AM_ERR_NOMEM, "out of memory");
  assert_null(none);
  am_tensor_release(t);
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
  am_device_close(dev);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gives_idle_memory_back_when_short)};
  return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
