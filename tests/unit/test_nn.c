// Parameters in flat storage, initial values, layers' refusals, dropout, targets, moving averages.
#include "am_test.h"
#include "base/num.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "nn/optim.h"

static am_device *dev;

static int open_device(void **state) {
  return am_device_open(&(am_device_cfg){.kind = "ref"}, &dev) ? -1 : 0;
}
static int close_device(void **state) {
  bool leaked = am_device_memory_now(dev).live_bytes != 0;
  am_device_close(dev);
  return leaked ? -1 : 0;
}

static float *host_of(am_tensor *t) {
  float *host = malloc(sizeof *host * (size_t)am_tensor_count(t));
  assert_non_null(host);
  am_ok(am_tensor_to_host(t, host));
  return host;
}

static void expect(am_tensor *t, const float *want, double tolerance) {
  float *host = host_of(t);
  am_close_f32(host, want, am_tensor_count(t), tolerance, tolerance);
  free(host);
}
#define EXPECT(t, tolerance, ...) expect((t), (float[]){__VA_ARGS__}, (tolerance))

static am_tensor *on_graph(am_graph *g, am_shape shape, const float *value) {
  am_tensor *t = NULL;
  am_ok(am_tensor_from_host(dev, AM_F32, shape, value, &t));
  am_ok(am_graph_own(g, t));
  return t;
}

// ---- parameters ----

typedef struct {
  am_params *params;
  am_conv conv;
  am_batch_norm_layer bn;
  am_linear fc;
} small_net;

static void small_net_new(small_net *m, uint64_t seed) {
  am_ok(am_params_new(&m->params));
  am_ok(
      am_conv_init(&m->conv, m->params, "conv", (am_conv_cfg){.in = 3, .out = 2, .kernel = 3, .bias = true}));
  am_ok(am_batch_norm_init(&m->bn, m->params, "bn", (am_batch_norm_cfg){.channels = 2}));
  am_ok(am_linear_init(&m->fc, m->params, "fc", (am_linear_cfg){.in = 2, .out = 5}));
  am_ok(am_params_commit(m->params, dev, AM_F32, seed));
}

static void storage_is_flat_and_named(void **state) {
  static const char *names[] = {"conv.weight",
                                "conv.bias",
                                "bn.weight",
                                "bn.bias",
                                "bn.running_mean",
                                "bn.running_var",
                                "bn.num_batches_tracked",
                                "fc.weight",
                                "fc.bias"};
  small_net m;
  int count = 0;
  small_net_new(&m, 1);
  assert_int_equal(am_params_count(m.params), AM_COUNT_OF(names));
  int64_t end = 0;
  for (int i = 0; i < AM_COUNT_OF(names); i++) {
    am_param *p = am_params_at(m.params, i);
    assert_string_equal(p->name, names[i]);
    assert_ptr_equal(am_params_find(m.params, names[i]), p);
    if (p->kind == AM_PARAM_TRAINABLE) {
      assert_int_equal(p->offset, end);
      assert_ptr_equal(p->value->buffer, am_params_values(m.params)->buffer);
      assert_ptr_equal(p->grad->buffer, am_params_grads(m.params)->buffer);
      end += am_shape_count(p->shape);
    }
  }
  assert_int_equal(am_params_trainable_elements(m.params), 54 + 2 + 2 + 2 + 10 + 5);
  assert_int_equal(end, am_tensor_count(am_params_values(m.params)));
  assert_int_equal(am_tensor_count(am_params_buffers(m.params)), 4);
  am_tensor *const *leaf = am_params_leaves(m.params, &count);
  assert_int_equal(count, 6);
  for (int i = 0; i < count; i++) assert_true(leaf[i]->requires_grad);
  assert_null(am_params_find(m.params, "conv"));
  am_params_free(m.params);
}

static void refuses_wrong_declarations(void **state) {
  am_params *ps = NULL;
  am_param *p = NULL;
  am_init zero = {0};
  am_ok(am_params_new(&ps));
  am_fails(am_params_commit(ps, dev, AM_F32, 1), AM_ERR_ARG, "no trainable parameter");
  am_ok(am_params_add(ps, "w", AM_SHAPE(2), AM_PARAM_TRAINABLE, zero, &p));
  am_fails(am_params_add(ps, "w", AM_SHAPE(2), AM_PARAM_TRAINABLE, zero, &p), AM_ERR_ARG,
           "already a parameter w");
  am_fails(am_params_commit(ps, dev, AM_I32, 1), AM_ERR_UNSUPPORTED, "f32 or f64");
  am_ok(am_params_commit(ps, dev, AM_F32, 1));
  am_fails(am_params_add(ps, "v", AM_SHAPE(2), AM_PARAM_TRAINABLE, zero, &p), AM_ERR_ARG, "declared after");
  am_fails(am_params_commit(ps, dev, AM_F32, 1), AM_ERR_ARG, "already allocated");
  am_params_free(ps);
}

static void patterns_name_parameters_and_modules(void **state) {
  static const struct {
    const char *pattern, *name;
    bool matches;
  } cases[] = {
      {"conv1", "conv1.weight", true},
      {"conv1", "layer1.0.conv1.weight", false},
      {"layer1", "layer1.0.conv1.weight", true},
      {"layer1", "layer10.0.conv1.weight", false},
      {"layer1.0", "layer1.0.bn1.bias", true},
      {"layer1.0", "layer1.01.bn1.bias", false},
      {"layer1.0.bn1.bias", "layer1.0.bn1.bias", true},
      {"layer1.0.bn1.bias", "layer1.0.bn1.weight", false},
      {"*.bn1", "layer1.0.bn1.bias", true},
      {"*.bias", "layer1.0.bn1.bias", true},
      {"layer[12]", "layer2.0.conv1.weight", true},
      {"layer[12]", "layer3.0.conv1.weight", false},
      {"*", "fc.weight", true},
      {"", "fc.weight", false},
      {"fc.weight.x", "fc.weight", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (am_param_matches(cases[i].name, cases[i].pattern) != cases[i].matches)
      fail_msg("%s and %s", cases[i].pattern, cases[i].name);
}

// Frozen parameters are stored with the buffers: nothing that trains has a place for them.
static void frozen_parameters_have_no_gradient(void **state) {
  small_net m = {0};
  am_ok(am_params_new(&m.params));
  am_ok(am_conv_init(&m.conv, m.params, "conv", (am_conv_cfg){.in = 3, .out = 2, .kernel = 3, .bias = true}));
  am_ok(am_batch_norm_init(&m.bn, m.params, "bn", (am_batch_norm_cfg){.channels = 2}));
  am_ok(am_linear_init(&m.fc, m.params, "fc", (am_linear_cfg){.in = 2, .out = 5}));
  assert_int_equal(am_params_freeze(m.params, "conv", false), 2);
  assert_int_equal(am_params_freeze(m.params, "conv", false), 0);
  assert_int_equal(am_params_freeze(m.params, "bn", true), 2);
  assert_int_equal(am_params_scale_lr(m.params, "conv", 2), 0);
  assert_int_equal(am_params_scale_lr(m.params, "fc.bias", 2), 1);
  am_ok(am_params_commit(m.params, dev, AM_F32, 3));
  assert_int_equal(am_params_trainable_elements(m.params), 15);
  assert_int_equal(am_tensor_count(am_params_grads(m.params)), 15);
  assert_int_equal(am_tensor_count(am_params_buffers(m.params)), 54 + 2 + 4 * 2);
  assert_null(m.conv.weight->grad);
  assert_string_equal(am_params_at(m.params, 0)->name, "conv.weight");

  // The same values as without freezing, and a network in training that only moves its last layer.
  small_net whole = {0};
  small_net_new(&whole, 3);
  float *a = host_of(m.conv.weight->value), *b = host_of(whole.conv.weight->value);
  assert_memory_equal(a, b, 54 * sizeof *a);
  free(a);
  free(b);
  am_graph *g = NULL;
  am_tensor *x = NULL, *y = NULL, *before = NULL;
  am_ok(am_graph_new(dev, &g));
  am_pass pass = {.graph = g, .train = true, .update_stats = true};
  am_ok(am_random(g, (am_random_desc){AM_RAND_NORMAL, AM_F32, AM_SHAPE(4, 3, 5, 5), 5, 0, 12}, &x));
  am_ok(am_conv_forward(&m.conv, &pass, x, &y));
  am_ok(am_batch_norm_forward(&m.bn, &pass, y, &y));
  assert_false(y->requires_grad);  // nothing below is recorded
  EXPECT(m.bn.running_mean->value, 0, 0, 0);
  assert_int_equal(m.bn.num_batches_tracked->counter, 0);
  pass.train = false;
  am_ok(am_conv_forward(&m.conv, &pass, x, &before));
  am_ok(am_batch_norm_forward(&m.bn, &pass, before, &before));
  a = host_of(y);
  b = host_of(before);
  assert_memory_equal(a, b, (size_t)am_tensor_count(y) * sizeof *a);
  free(a);
  free(b);
  am_graph_free(g);
  am_params_free(m.params);
  am_params_free(whole.params);
}

static void hash_sees_every_part(void **state) {
  char first[65], other[65];
  small_net a, b, c;
  small_net_new(&a, 1);
  small_net_new(&b, 1);
  small_net_new(&c, 2);
  am_ok(am_params_hash(a.params, first));
  am_ok(am_params_hash(b.params, other));
  assert_string_equal(first, other);
  am_ok(am_params_hash(c.params, other));
  assert_string_not_equal(first, other);
  am_ok(am_params_copy(a.params, c.params));
  am_ok(am_params_hash(c.params, other));
  assert_string_equal(first, other);
  b.bn.num_batches_tracked->counter++;
  am_ok(am_params_hash(b.params, other));
  assert_string_not_equal(first, other);
  am_ok(am_tensor_copy_from_host(c.bn.running_mean->value, (float[]){0, 1}));
  am_ok(am_params_hash(c.params, other));
  assert_string_not_equal(first, other);
  am_params_free(a.params);
  am_params_free(b.params);
  am_params_free(c.params);
}

static void copies_only_between_likes(void **state) {
  small_net a;
  am_params *ps = NULL;
  am_linear fc;
  small_net_new(&a, 1);
  am_ok(am_params_new(&ps));
  am_ok(am_linear_init(&fc, ps, "fc", (am_linear_cfg){.in = 2, .out = 5}));
  am_ok(am_params_commit(ps, dev, AM_F32, 1));
  am_fails(am_params_copy(a.params, ps), AM_ERR_ARG, "9 and 2 parameters");
  am_params_free(ps);
  am_params_free(a.params);
}

// ---- initial values ----

typedef struct {
  double mean, sd, largest;
} spread;

static spread spread_of(am_tensor *t) {
  float *host = host_of(t);
  int64_t n = am_tensor_count(t);
  double sum = 0, squares = 0, largest = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += host[i];
    squares += (double)host[i] * host[i];
    largest = fmax(largest, fabs(host[i]));
  }
  free(host);
  return (spread){sum / (double)n, sqrt(squares / (double)n - sum * sum / (double)(n * n)), largest};
}

// U(-b, b) has a standard deviation of b / sqrt 3 and never leaves its bounds.
static void expect_uniform(am_tensor *t, double bound) {
  spread s = spread_of(t);
  double tolerance = 4 * bound / sqrt((double)am_tensor_count(t));
  assert_true(s.largest <= bound * (1 + 1e-6));
  assert_true(fabs(s.mean) < tolerance && fabs(s.sd - bound / sqrt(3)) < tolerance);
}

static void expect_normal(am_tensor *t, double mean, double sd) {
  spread s = spread_of(t);
  double tolerance = 4 * sd / sqrt((double)am_tensor_count(t));
  assert_true(fabs(s.mean - mean) < tolerance && fabs(s.sd - sd) < tolerance);
  assert_true(s.largest > mean + 2.5 * sd);
}

static void schemes(void **state) {
  am_params *ps = NULL;
  am_linear fc;
  am_conv conv, up, gan, he;
  am_batch_norm_layer bn, gan_bn;
  am_ok(am_params_new(&ps));
  am_ok(am_linear_init(&fc, ps, "fc", (am_linear_cfg){.in = 100, .out = 80}));
  am_ok(am_conv_init(&conv, ps, "conv", (am_conv_cfg){.in = 16, .out = 600, .kernel = 3, .bias = true}));
  am_ok(am_conv_init(&up, ps, "up",
                     (am_conv_cfg){.in = 16, .out = 400, .kernel = 2, .bias = true, .transposed = true}));
  am_ok(am_conv_init(&gan, ps, "gan",
                     (am_conv_cfg){.in = 8, .out = 32, .kernel = 4, .scheme = AM_SCHEME_DCGAN}));
  am_ok(am_conv_init(&he, ps, "he",
                     (am_conv_cfg){.in = 8, .out = 64, .kernel = 3, .scheme = AM_SCHEME_KAIMING_FAN_OUT}));
  am_ok(am_batch_norm_init(&bn, ps, "bn", (am_batch_norm_cfg){.channels = 2}));
  am_ok(am_batch_norm_init(&gan_bn, ps, "gan_bn",
                           (am_batch_norm_cfg){.channels = 4000, .scheme = AM_SCHEME_DCGAN}));
  am_ok(am_params_commit(ps, dev, AM_F32, 3));
  expect_uniform(fc.weight->value, 1 / sqrt(100));
  expect_uniform(fc.bias->value, 1 / sqrt(100));
  expect_uniform(conv.weight->value, 1 / sqrt(16 * 9));
  expect_uniform(conv.bias->value, 1 / sqrt(16 * 9));
  expect_uniform(up.weight->value, 1 / sqrt(400 * 4));  // PyTorch's fan_in of a transposed kernel
  expect_uniform(up.bias->value, 1 / sqrt(400 * 4));
  expect_normal(gan.weight->value, 0, 0.02);
  expect_normal(he.weight->value, 0, sqrt(2.0 / (64 * 9)));
  expect_normal(gan_bn.weight->value, 1, 0.02);
  assert_true(spread_of(gan_bn.bias->value).largest == 0);
  EXPECT(bn.weight->value, 0, 1, 1);
  EXPECT(bn.running_var->value, 0, 1, 1);
  EXPECT(bn.running_mean->value, 0, 0, 0);
  am_params_free(ps);
}

// ---- layers ----

static void batch_norm_needs_two_values(void **state) {
  small_net m;
  am_graph *g = NULL;
  am_tensor *y = NULL;
  float x[4] = {1, 2, 3, 5};
  small_net_new(&m, 1);
  am_ok(am_graph_new(dev, &g));
  am_pass pass = {.graph = g, .train = true, .update_stats = true};
  am_fails(am_batch_norm_forward(&m.bn, &pass, on_graph(g, AM_SHAPE(1, 2, 1, 1), x), &y), AM_ERR_ARG,
           "more than one value per channel");
  am_ok(am_batch_norm_forward(&m.bn, &pass, on_graph(g, AM_SHAPE(1, 2, 1, 2), x), &y));
  EXPECT(y, 1e-4, -1, 1, -1, 1);
  EXPECT(m.bn.running_mean->value, 1e-6, 0.15f, 0.4f);
  EXPECT(m.bn.running_var->value, 1e-6, 0.9f + 0.1f * 0.5f, 0.9f + 0.1f * 2);  // unbiased
  assert_int_equal(m.bn.num_batches_tracked->counter, 1);
  pass.update_stats = false;
  am_ok(am_batch_norm_forward(&m.bn, &pass, on_graph(g, AM_SHAPE(1, 2, 1, 2), x), &y));
  EXPECT(m.bn.running_mean->value, 1e-6, 0.15f, 0.4f);
  pass.train = false;
  am_ok(am_batch_norm_forward(&m.bn, &pass, on_graph(g, AM_SHAPE(1, 2, 1, 1), x), &y));
  EXPECT(y, 1e-5, (1 - 0.15f) / sqrtf(0.95f + 1e-5f), (2 - 0.4f) / sqrtf(1.1f + 1e-5f));
  am_graph_free(g);
  am_params_free(m.params);
}

static int64_t zeros_in(am_tensor *t, float *other) {
  float *host = host_of(t);
  int64_t zeros = 0;
  for (int64_t i = 0; i < am_tensor_count(t); i++) {
    if (host[i] == 0) {
      zeros++;
    } else {
      assert_true(*other == 0 || *other == host[i]);
      *other = host[i];
    }
  }
  free(host);
  return zeros;
}

// The last row of a batch drops what a batch that begins with it drops: its place alone counts.
static void dropout_depends_on_the_place_alone(void **state) {
  enum { ROWS = 4, WIDTH = 5000 };
  am_graph *g = NULL;
  am_tensor *x = NULL, *y = NULL, *again = NULL, *row = NULL;
  float kept = 0;
  am_ok(am_graph_new(dev, &g));
  am_ok(am_fill(g, AM_F32, AM_SHAPE(ROWS, WIDTH), 1, &x));
  am_pass pass = {.graph = g, .train = true, .seed = 9, .index = 100};
  am_ok(am_dropout(&pass, x, 0.3, &y));
  int64_t zeros = zeros_in(y, &kept);
  assert_true(fabs((double)zeros / (ROWS * WIDTH) - 0.3) < 0.02);
  assert_true(fabs(kept - 1 / 0.7) < 1e-6);
  am_ok(am_dropout(&pass, x, 0.3, &again));
  am_ok(am_sub(g, y, again, &again));
  assert_int_equal(pass.draws, 2);
  float *difference = host_of(again);
  int64_t differing = 0;
  for (int i = 0; i < ROWS * WIDTH; i++) differing += difference[i] != 0;
  assert_true(differing > ROWS * WIDTH / 4);  // the second layer of a pass draws anew
  free(difference);
  am_pass last = {.graph = g, .train = true, .seed = 9, .index = 100 + ROWS - 1};
  am_ok(am_slice(g, x, 0, ROWS - 1, ROWS, &row));
  am_ok(am_dropout(&last, row, 0.3, &row));
  am_ok(am_slice(g, y, 0, ROWS - 1, ROWS, &y));
  float *a = host_of(row), *b = host_of(y);
  assert_memory_equal(a, b, WIDTH * sizeof *a);
  free(a);
  free(b);
  pass.train = false;
  am_ok(am_dropout(&pass, x, 0.3, &y));
  assert_ptr_equal(y, x);
  am_fails(am_dropout(&pass, x, 1, &y), AM_ERR_ARG, "[0, 1)");
  am_graph_free(g);
}

// ---- targets and losses ----

static void targets(void **state) {
  const int32_t label[] = {2, 0}, wrong[] = {0, 3};
  const float sharp[] = {0, 0, 1, 1, 0, 0}, smooth[] = {0.1f, 0.1f, 0.8f, 0.8f, 0.1f, 0.1f};
  float rows[6];
  am_ok(am_one_hot(label, 2, 3, 0, rows));
  assert_memory_equal(rows, sharp, sizeof sharp);
  am_ok(am_one_hot(label, 2, 3, 0.3, rows));
  for (int i = 0; i < 6; i++) assert_float_equal(rows[i], smooth[i], 1e-6);
  am_fails(am_one_hot(wrong, 2, 3, 0, rows), AM_ERR_DATA, "label 3 of item 1");
}

// A saturated softmax fed to cross-entropy: ln(1 + 1/e) for a right answer, one more for a wrong one.
static void double_softmax_saturates(void **state) {
  am_graph *g = NULL;
  am_tensor *loss = NULL;
  am_ok(am_graph_new(dev, &g));
  am_tensor *x = on_graph(g, AM_SHAPE(1, 2), (float[]){60, -60});
  double want[] = {0.313261688, 1.313261688}, got = 0;
  for (int i = 0; i < 2; i++) {
    am_tensor *t = on_graph(g, AM_SHAPE(1, 2), i == 0 ? (float[]){1, 0} : (float[]){0, 1});
    am_ok(am_loss_double_softmax(g, x, t, &loss));
    am_ok(am_tensor_item(loss, &got));
    am_close(&got, &want[i], 1, 1e-6, 0);
  }
  am_fails(am_loss_mse(g, x, on_graph(g, AM_SHAPE(2), (float[]){1, 0}), &loss), AM_ERR_ARG,
           "mean squared error");
  am_graph_free(g);
}

// ---- optimiser state, moving average ----

static void set_all(am_params *ps, float value) {
  int64_t n = am_params_trainable_elements(ps);
  float *host = malloc(sizeof *host * (size_t)n);
  assert_non_null(host);
  for (int64_t i = 0; i < n; i++) host[i] = value;
  am_ok(am_tensor_copy_from_host(am_params_values(ps), host));
  free(host);
}

static float first_of(am_tensor *t) {
  float *host = host_of(t), value = host[0];
  free(host);
  return value;
}

static void moving_average(void **state) {
  small_net m;
  am_ema *e = NULL;
  small_net_new(&m, 1);
  set_all(m.params, 1);
  am_ok(am_ema_new(m.params, &e));
  set_all(m.params, 2);
  am_ok(am_tensor_copy_from_host(m.bn.running_mean->value, (float[]){7, 8}));
  m.bn.num_batches_tracked->counter = 5;
  am_ok(am_ema_update(e, m.params, 0.9));
  set_all(m.params, 3);
  m.bn.num_batches_tracked->counter = 6;
  am_ok(am_tensor_copy_from_host(m.bn.running_mean->value, (float[]){9, 9}));
  am_ok(am_ema_swap(e, m.params));
  assert_true(fabsf(first_of(am_params_values(m.params)) - 1.1f) < 1e-6f);
  EXPECT(m.bn.running_mean->value, 0, 7, 8);
  assert_int_equal(m.bn.num_batches_tracked->counter, 5);
  am_ok(am_ema_swap(e, m.params));
  assert_true(first_of(am_params_values(m.params)) == 3);
  EXPECT(m.bn.running_mean->value, 0, 9, 9);
  assert_int_equal(m.bn.num_batches_tracked->counter, 6);
  assert_true(fabsf(first_of(am_ema_values(e)) - 1.1f) < 1e-6f);
  am_ema_free(e);
  am_params_free(m.params);
}

// A checkpoint is values, state and step count: what continues from them takes the same path.
static void optimiser_state_is_complete(void **state) {
  small_net a, b;
  am_optim *oa = NULL, *ob = NULL;
  am_tensor *sa[2], *sb[2];
  char ha[65], hb[65];
  small_net_new(&a, 1);
  small_net_new(&b, 2);
  am_optim_cfg cfg = am_optim_cfg_default(AM_OPTIM_ADAMW);
  am_ok(am_optim_new(cfg, a.params, &oa));
  am_ok(am_optim_new(cfg, b.params, &ob));
  am_tensor *grads[] = {am_params_grads(a.params), am_params_grads(b.params)}, *ones = NULL;
  am_ok(am_dispatch(dev, AM_OP_fill, &(am_fill_desc){grads[0]->shape, AM_F32, 0.5}, NULL, &ones));
  for (int i = 0; i < 2; i++)
    am_ok(am_dispatch(dev, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &ones, &grads[i]));
  for (int i = 0; i < 3; i++) am_ok(am_optim_step(oa, 0.01));
  am_ok(am_params_copy(a.params, b.params));
  assert_int_equal(am_optim_state(oa, sa), 2);
  assert_int_equal(am_optim_state(ob, sb), 2);
  for (int i = 0; i < 2; i++) am_ok(am_dispatch(dev, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &sa[i], &sb[i]));
  am_optim_set_steps(ob, am_optim_steps(oa));
  am_ok(am_optim_step(oa, 0.01));
  am_ok(am_optim_step(ob, 0.01));
  am_ok(am_params_hash(a.params, ha));
  am_ok(am_params_hash(b.params, hb));
  assert_string_equal(ha, hb);
  am_tensor_release(ones);
  am_optim_free(oa);
  am_optim_free(ob);
  am_params_free(a.params);
  am_params_free(b.params);
}

// "tf32" is f32 on a device that has it; elsewhere it is refused rather than computed in f32.
static void precision_is_one_of_three_words(void **state) {
  am_device *ref = NULL;
  am_dtype type = AM_BF16;
  am_ok(am_device_open(&(am_device_cfg){.kind = "ref"}, &ref));
  am_ok(am_compute_use(ref, "fp32", &type));
  assert_int_equal(type, AM_F32);
  am_fails(am_compute_type(ref, "fp16", &type), AM_ERR_CONFIG, "precision is \"fp16\", expected fp32, bf16 or tf32");
  am_fails(am_compute_type(ref, "tf32", &type), AM_ERR_UNSUPPORTED, "precision tf32: device ref does not compute in tf32");
  am_fails(am_compute_use(ref, "tf32", &type), AM_ERR_UNSUPPORTED, "precision tf32");
  am_fails(am_device_set_tf32(ref, true), AM_ERR_UNSUPPORTED, "does not compute in tf32");
  am_ok(am_device_set_tf32(ref, false));
  am_device_close(ref);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(precision_is_one_of_three_words),
      cmocka_unit_test(storage_is_flat_and_named),
      cmocka_unit_test(refuses_wrong_declarations),
      cmocka_unit_test(patterns_name_parameters_and_modules),
      cmocka_unit_test(frozen_parameters_have_no_gradient),
      cmocka_unit_test(hash_sees_every_part),
      cmocka_unit_test(copies_only_between_likes),
      cmocka_unit_test(schemes),
      cmocka_unit_test(batch_norm_needs_two_values),
      cmocka_unit_test(dropout_depends_on_the_place_alone),
      cmocka_unit_test(targets),
      cmocka_unit_test(double_softmax_saturates),
      cmocka_unit_test(moving_average),
      cmocka_unit_test(optimiser_state_is_complete),
  };
  return cmocka_run_group_tests_name("nn", tests, open_device, close_device);
}
