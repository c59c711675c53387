// The writer gives the bytes of the Python package, the reader understands them, converts floats as
// PyTorch does, and takes and refuses what the package takes and refuses (make_safetensors.py).
#include "am_test.h"

#include "base/path.h"
#include "nn/params.h"
#include "weights/safetensors.h"

#define GOLDEN "tests/golden/safetensors.safetensors"

static void reads_every_type(void **state) {
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(GOLDEN, &st));
  assert_int_equal(am_safetensors_count(st), 22);
  assert_string_equal(am_safetensors_meta(st, "format"), "pt");
  assert_null(am_safetensors_meta(st, "absent"));

  const am_st_entry *b = am_safetensors_find(st, "b.weight");
  assert_non_null(b);
  assert_int_equal(b->dtype, AM_ST_F32);
  assert_true(am_shape_equal(b->shape, AM_SHAPE(2, 3)));
  float value[6];
  assert_int_equal(b->bytes, sizeof value);
  memcpy(value, b->data, sizeof value);
  for (int i = 0; i < 6; i++) assert_true(value[i] == (float)i / 4);

  const am_st_entry *counter = am_safetensors_find(st, "counter");
  int64_t count = 0;
  assert_int_equal(counter->shape.ndim, 0);
  memcpy(&count, counter->data, sizeof count);
  assert_true(count == 12345678901);

  const am_st_entry *empty = am_safetensors_find(st, "empty");
  assert_true(am_shape_equal(empty->shape, AM_SHAPE(0, 3)));
  assert_int_equal(empty->bytes, 0);
  assert_non_null(am_safetensors_find(st, "quoted \"name\" \\ \xc3\xbc"));
  assert_null(am_safetensors_find(st, "weight"));
  am_safetensors_close(st);
}

static void writes_the_same_bytes(void **state) {
  enum { ENTRIES = 32 };
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(GOLDEN, &st));
  am_st_entry entry[ENTRIES];
  int64_t count = am_safetensors_count(st);
  assert_true(count <= ENTRIES);
  for (int64_t i = 0; i < count; i++) entry[count - 1 - i] = *am_safetensors_at(st, i);

  char path[300];
  snprintf(path, sizeof path, "%s/copy.safetensors", am_test_dir());
  const char *const meta[] = {"format", "pt", NULL};
  am_ok(am_safetensors_write(path, entry, count, meta));
  am_safetensors_close(st);

  char *want = NULL, *got = NULL;
  size_t want_bytes = 0, got_bytes = 0;
  am_ok(am_file_read(GOLDEN, 1 << 20, &want, &want_bytes));
  am_ok(am_file_read(path, 1 << 20, &got, &got_bytes));
  assert_int_equal(got_bytes, want_bytes);
  assert_memory_equal(got, want, want_bytes);
  free(want);
  free(got);
}

// Loads the tensor `name` of floats.safetensors into a network of that one tensor.
static void load_floats(am_device *dev, const am_safetensors *st, const char *name, float *out) {
  am_st_entry entry = *am_safetensors_find(st, name);
  char path[300];
  am_params *ps = NULL;
  am_param *p = NULL;
  snprintf(path, sizeof path, "%s/floats.safetensors", am_test_dir());
  am_ok(am_safetensors_write(path, &entry, 1, NULL));
  am_ok(am_params_new(&ps));
  am_ok(am_params_add(ps, name, entry.shape, AM_PARAM_TRAINABLE, (am_init){0}, &p));
  am_ok(am_params_commit(ps, dev, AM_F32, 1));
  am_ok(am_params_load(ps, path));
  am_ok(am_tensor_to_host(p->value, out));
  am_params_free(ps);
}

static void converts_narrow_floats(void **state) {
  static const char *const types[] = {"float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"};
  am_device *dev = NULL;
  am_safetensors *st = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  am_ok(am_safetensors_open("tests/golden/floats.safetensors", &st));
  for (int t = 0; t < 4; t++) {
    char name[64];
    snprintf(name, sizeof name, "%s.f32", types[t]);
    const am_st_entry *entry = am_safetensors_find(st, name);
    assert_non_null(entry);
    int64_t count = am_shape_count(entry->shape), nans = 0;
    float *want = malloc(entry->bytes), *got = malloc(entry->bytes);
    assert_true(want && got && count >= 256);
    memcpy(want, entry->data, entry->bytes);
    load_floats(dev, st, types[t], got);
    for (int64_t i = 0; i < count; i++) {
      bool same = isnan(want[i]) ? isnan(got[i]) : memcmp(&want[i], &got[i], sizeof *want) == 0;
      if (!same) fail_msg("%s, pattern %lld: %g, PyTorch reads %g", types[t], (long long)i, got[i], want[i]);
      nans += isnan(want[i]) != 0;
    }
    assert_true(nans > 0 && nans < count / 8);
    free(want);
    free(got);
  }
  am_safetensors_close(st);
  am_device_close(dev);
}

// Where we are stricter than the package, as the format's description is.
static bool is_stricter(const char *name) {
  static const char *const names[] = {"twice-same",  "metadata-key-twice", "space-first",
                                      "nul-in-name", "seven-dimensions",   "four-bit-type"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

static void takes_and_refuses_what_the_package_does(void **state) {
  FILE *file = fopen("tests/golden/crafted.txt", "r");
  char name[64], verdict[16], hex[4096];
  unsigned char bytes[2048];
  int taken = 0, refused = 0;
  assert_non_null(file);
  while (fscanf(file, "%63s %15s %4095s", name, verdict, hex) == 3) {
    size_t count = strcmp(hex, "-") ? strlen(hex) / 2 : 0;
    for (size_t i = 0; i < count; i++) assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &bytes[i]), 1);
    am_safetensors *st = NULL;
    am_err err = am_safetensors_parse(name, bytes, count, &st);
    bool want = strcmp(verdict, "taken") == 0 && !is_stricter(name);
    if ((err == AM_OK) != want) fail_msg("%s: error %d, the package says %s", name, (int)err, verdict);
    if (err) assert_true(err == AM_ERR_DATA && strstr(am_err_last()->message, name));
    taken += err == AM_OK;
    refused += err != AM_OK;
    am_safetensors_close(st);
  }
  fclose(file);
  assert_true(taken >= 10 && refused >= 30);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_every_type), cmocka_unit_test(writes_the_same_bytes),
      cmocka_unit_test(converts_narrow_floats), cmocka_unit_test(takes_and_refuses_what_the_package_does)};
  return cmocka_run_group_tests_name("golden safetensors", tests, NULL, NULL);
}
