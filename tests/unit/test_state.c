// State dicts: what is saved comes back; what does not fit changes nothing.
#include "am_test.h"

#include "models/registry.h"
#include "weights/safetensors.h"

static am_device *dev;

static int open_device(void **state) {
  return am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev) != AM_OK;
}
static int close_device(void **state) {
  am_device_close(dev);
  return 0;
}

static am_model *small_model(uint64_t seed) {
  am_model *m = NULL;
  am_ok(am_model_new("resnet18_cifar", &(am_model_cfg){.classes = 3, .width = 4}, dev, seed, &m));
  return m;
}

static const char *temp_path(const char *name) {
  static char path[300];
  snprintf(path, sizeof path, "%s/%s", am_test_dir(), name);
  return path;
}

static void saved_weights_come_back(void **state) {
  am_model *a = small_model(1), *b = small_model(2);
  am_params_find(a->params, "bn1.num_batches_tracked")->counter = 12345678901;
  char before[65], after[65], copy[65];
  am_ok(am_params_hash(a->params, before));
  am_ok(am_params_hash(b->params, copy));
  assert_string_not_equal(before, copy);
  const char *const meta[] = {"model", "resnet18_cifar", NULL};
  am_ok(am_params_save(a->params, temp_path("w"), meta));
  am_ok(am_params_load(b->params, temp_path("w")));
  am_ok(am_params_hash(b->params, copy));
  am_ok(am_params_hash(a->params, after));
  assert_string_equal(before, copy);
  assert_string_equal(before, after);

  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(temp_path("w"), &st));
  assert_string_equal(am_safetensors_meta(st, "model"), "resnet18_cifar");
  assert_int_equal(am_safetensors_find(st, "bn1.num_batches_tracked")->dtype, AM_ST_I64);
  assert_int_equal(am_safetensors_count(st), am_params_count(a->params));
  am_safetensors_close(st);
  am_model_free(a);
  am_model_free(b);
}

// Writes model a's state with one entry changed by `change`, loads it into b, expects the message and
// an unchanged b.
typedef void (*change)(am_st_entry *entry, int64_t *count);

static void load_changed(change edit, const char *message) {
  am_model *a = small_model(1), *b = small_model(2);
  am_ok(am_params_save(a->params, temp_path("a"), NULL));
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(temp_path("a"), &st));
  int64_t count = am_safetensors_count(st);
  am_st_entry *entry = calloc((size_t)count + 1, sizeof *entry);
  assert_non_null(entry);
  for (int64_t i = 0; i < count; i++) entry[i] = *am_safetensors_at(st, i);
  edit(entry, &count);
  am_ok(am_safetensors_write(temp_path("changed"), entry, count, NULL));

  char before[65], after[65];
  am_ok(am_params_hash(b->params, before));
  if (message) {
    am_fails(am_params_load(b->params, temp_path("changed")), AM_ERR_DATA, message);
    am_ok(am_params_hash(b->params, after));
    assert_string_equal(before, after);
  } else {
    am_ok(am_params_load(b->params, temp_path("changed")));
  }
  free(entry);
  am_safetensors_close(st);
  am_model_free(a);
  am_model_free(b);
}

static am_st_entry *find(am_st_entry *entry, const char *name) {
  while (strcmp(entry->name, name) != 0) entry++;
  return entry;
}

static void other_shape(am_st_entry *e, int64_t *count) {
  am_st_entry *fc = find(e, "fc.weight");
  fc->shape = AM_SHAPE(fc->shape.dim[1], fc->shape.dim[0]);
}
static void missing(am_st_entry *e, int64_t *count) { *find(e, "layer4.1.bn2.bias") = e[--*count]; }
static void extra(am_st_entry *e, int64_t *count) {
  e[*count] = *find(e, "fc.bias");
  e[(*count)++].name = "fc2.bias";
}
static void data_parallel(am_st_entry *e, int64_t *count) {
  find(e, "conv1.weight")->name = "module.conv1.weight";
}
static void integer_weights(am_st_entry *e, int64_t *count) { find(e, "fc.bias")->dtype = AM_ST_I32; }
static void without_counter(am_st_entry *e, int64_t *count) {
  *find(e, "bn1.num_batches_tracked") = e[--*count];
}

static void disagreement_is_named_and_changes_nothing(void **state) {
  load_changed(other_shape, "tensor \"fc.weight\" has shape (32, 3), the network's has (3, 32)");
  load_changed(missing, "no tensor \"layer4.1.bn2.bias\"");
  load_changed(extra, "holds a tensor \"fc2.bias\"");
  load_changed(data_parallel,
               "\"module.conv1.weight\", which the network does not have: the prefix is DataParallel's");
  load_changed(integer_weights, "tensor \"fc.bias\" has type I32");
  load_changed(without_counter, NULL);
}

// "fc" keeps what it had, whatever the file has of it; everything else must still match.
static void a_module_can_be_left_out(void **state) {
  am_model *a = small_model(1), *b = NULL;
  am_ok(am_model_new("resnet18_cifar", &(am_model_cfg){.classes = 7, .width = 4}, dev, 2, &b));
  am_ok(am_params_save(a->params, temp_path("a"), NULL));
  float before[7 * 32], after[7 * 32], want[4], got[4];
  am_ok(am_tensor_to_host(am_params_find(b->params, "fc.weight")->value, before));
  am_fails(am_params_load(b->params, temp_path("a")), AM_ERR_DATA, "\"fc.weight\" has shape (3, 32)");
  am_fails(am_params_load_without(b->params, temp_path("a"), "f"), AM_ERR_DATA, "\"fc.weight\"");
  am_ok(am_params_load_without(b->params, temp_path("a"), "fc"));
  am_ok(am_tensor_to_host(am_params_find(b->params, "fc.weight")->value, after));
  assert_memory_equal(before, after, sizeof before);
  am_ok(am_tensor_to_host(am_params_find(a->params, "bn1.bias")->value, want));
  am_ok(am_tensor_to_host(am_params_find(b->params, "bn1.bias")->value, got));
  assert_memory_equal(got, want, sizeof got);
  am_model_free(a);
  am_model_free(b);
}

// Every f16 and bf16 bit pattern's meaning, by a handful: normal, subnormal, infinite, signed zero.
static void narrow_types_are_widened(void **state) {
  static const uint16_t f16[] = {0x3c00, 0xc000, 0x0001, 0x8001, 0x03ff,
                                 0x0400, 0x7bff, 0x7c00, 0x8000, 0x3555};
  static const float f16_value[] = {1,        -2,    0x1p-24f, -0x1p-24f, 1023 * 0x1p-24f,
                                    0x1p-14f, 65504, INFINITY, -0.0f,     0x1.554p-2f};
  static const uint16_t bf16[] = {0x3f80, 0xc000, 0x0001, 0x8001, 0x7f80,
                                  0x4049, 0x0080, 0x7f7f, 0x8000, 0x3eab};
  static const float bf16_value[] = {1,         -2,        0x1p-133f,   -0x1p-133f, INFINITY,
                                     3.140625f, 0x1p-126f, 0x1.fep127f, -0.0f,      0.333984375f};
  double f64_value[10];
  for (int i = 0; i < 10; i++) f64_value[i] = f16_value[i];
  const struct {
    am_st_dtype dtype;
    const void *data;
    const float *want;
  } cases[] = {
      {AM_ST_F16, f16, f16_value}, {AM_ST_BF16, bf16, bf16_value}, {AM_ST_F64, f64_value, f16_value}};
  for (int k = 0; k < 3; k++) {
    am_params *ps = NULL;
    am_param *p = NULL;
    am_ok(am_params_new(&ps));
    am_ok(am_params_add(ps, "x", AM_SHAPE(10), AM_PARAM_TRAINABLE, (am_init){0}, &p));
    am_ok(am_params_commit(ps, dev, AM_F32, 1));
    am_st_entry e = {"x", cases[k].dtype, AM_SHAPE(10), cases[k].data, 10 * am_st_dtype_size(cases[k].dtype)};
    am_ok(am_safetensors_write(temp_path("narrow"), &e, 1, NULL));
    am_ok(am_params_load(ps, temp_path("narrow")));
    float got[10];
    am_ok(am_tensor_to_host(p->value, got));
    assert_memory_equal(got, cases[k].want, sizeof got);
    am_params_free(ps);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(saved_weights_come_back),
      cmocka_unit_test(disagreement_is_named_and_changes_nothing),
      cmocka_unit_test(a_module_can_be_left_out),
      cmocka_unit_test(narrow_types_are_widened),
  };
  return cmocka_run_group_tests_name("state", tests, open_device, close_device);
}
