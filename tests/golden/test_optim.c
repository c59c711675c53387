// Update rules, clipping and schedules against PyTorch; those of cuda by its kernels as loops on the host.
#include "golden_nn.h"

#include "base/num.h"
#include "nn/optim.h"

enum { ELEMENTS = 17, STEPS = 10, RATES = 40 };

static am_params *one_vector(golden *t) {
  am_params *ps = NULL;
  am_param *p = NULL;
  am_ok(am_params_new(&ps));
  am_ok(am_params_add(ps, "p", AM_SHAPE(ELEMENTS), AM_PARAM_TRAINABLE, (am_init){.kind = AM_INIT_CONSTANT},
                      &p));
  am_ok(am_params_commit(ps, t->device, t->dtype, 1));
  double *start = golden_values(t, "optim/start");
  golden_store(t, p->value, start);
  free(start);
  return ps;
}

static void set_grads(golden *t, am_params *ps, int64_t step) {
  double *grad = golden_part(t, "optim/grads", step * ELEMENTS, ELEMENTS);
  golden_store(t, am_params_grads(ps), grad);
  free(grad);
}

static void follow(golden *t, const char *name, am_optim_cfg cfg) {
  am_params *ps = one_vector(t);
  am_optim *o = NULL;
  am_ok(am_optim_new(cfg, ps, &o));
  for (int64_t step = 0; step < STEPS; step++) {
    set_grads(t, ps, step);
    am_ok(am_optim_step(o, cfg.lr));
    double *want = golden_part(t, name, step * ELEMENTS, ELEMENTS);
    golden_expect(t, am_params_values(ps), name, want, 1);
    free(want);
  }
  assert_int_equal(am_optim_steps(o), STEPS);
  am_optim_free(o);
  am_params_free(ps);
}

static void rules_on(golden *t) {
  am_optim_cfg sgd = am_optim_cfg_default(AM_OPTIM_SGD), adam = am_optim_cfg_default(AM_OPTIM_ADAM),
               adamw = am_optim_cfg_default(AM_OPTIM_ADAMW), c;
  sgd.lr = 0.1;
  adam.lr = adamw.lr = 0.02;
  follow(t, "optim/sgd", sgd);
  c = sgd, c.weight_decay = 0.05;
  follow(t, "optim/sgd_decay", c);
  c = sgd, c.momentum = 0.9, c.weight_decay = 0.01;
  follow(t, "optim/sgd_momentum", c);
  c = sgd, c.momentum = 0.8, c.dampening = 0.3;
  follow(t, "optim/sgd_dampening", c);
  c = sgd, c.momentum = 0.9, c.nesterov = true, c.weight_decay = 0.01;
  follow(t, "optim/sgd_nesterov", c);
  follow(t, "optim/adam", adam);
  c = adam, c.beta1 = 0.5, c.beta2 = 0.99, c.eps = 1e-6, c.weight_decay = 0.1;
  follow(t, "optim/adam_decay", c);
  follow(t, "optim/adamw", adamw);
  c = adamw, c.beta1 = 0.8, c.beta2 = 0.95, c.weight_decay = 0.2;
  follow(t, "optim/adamw_decay", c);
}

static void clip_on(golden *t) {
  am_params *ps = one_vector(t);
  const double norm = golden_number(t, "clip/norm");
  double *grad = golden_part(t, "optim/grads", 0, ELEMENTS);
  set_grads(t, ps, 0);
  for (int i = 0; i < ELEMENTS && t->dtype == AM_F32; i++) grad[i] = (float)grad[i];
  // A norm within the bound changes nothing.
  am_ok(am_clip_grad_norm(ps, norm * (1 + 1e-5)));
  golden_expect(t, am_params_grads(ps), "optim/grads", grad, 0);
  am_ok(am_clip_grad_norm(ps, 1.5));
  golden_check(t, am_params_grads(ps), "clip/grad", 1);
  am_ok(am_clip_grad_norm(ps, 2));
  golden_check(t, am_params_grads(ps), "clip/grad", 1);
  set_grads(t, ps, 0);
  am_ok(am_clip_grad_norm(ps, norm * (1 - 1e-5)));
  for (int i = 0; i < ELEMENTS; i++) grad[i] *= norm * (1 - 1e-5) / (norm + 1e-6);
  golden_expect(t, am_params_grads(ps), "clipped a little", grad, 1);
  free(grad);
  am_params_free(ps);
}

// Gradients of which one is not finite, as clip_grad_norm_ leaves them: what it multiplies by is 0, or NaN.
static void clip_spoilt_on(golden *t) {
  const double spoilt[] = {INFINITY, -INFINITY, NAN};
  am_params *ps = one_vector(t);
  double grad[ELEMENTS], item = 0;
  for (int k = 0; k < AM_COUNT_OF(spoilt); k++) {
    for (int i = 0; i < ELEMENTS; i++) grad[i] = i == 3 ? spoilt[k] : i - 5;
    golden_store(t, am_params_grads(ps), grad);
    am_ok(am_clip_grad_norm(ps, 1.5));
    for (int i = 0; i < ELEMENTS; i++) {
      am_tensor *one = NULL;
      am_ok(am_tensor_view(am_params_grads(ps), i, AM_SHAPE(1), &one));
      am_ok(am_tensor_item(one, &item));
      am_tensor_release(one);
      assert_true(i == 3 || isnan(spoilt[k]) ? isnan(item) : item == 0);
    }
  }
  am_params_free(ps);
}

static void on_every_target(void (*test)(golden *t)) {
  golden targets[] = {{.kind = "ref", .dtype = AM_F64, .tolerance = 1e-13},
                      {.kind = "ref", .dtype = AM_F32, .tolerance = 1e-6},
                      {.kind = "cpu", .dtype = AM_F32, .tolerance = 1e-6},
                      {.kind = "cuda", .dtype = AM_F32, .tolerance = 1e-6}};
  for (int i = 0; i < AM_COUNT_OF(targets); i++) {
    golden_open(&targets[i]);
    test(&targets[i]);
    golden_close(&targets[i]);
  }
}

static void update_rules(void **state) { on_every_target(rules_on); }
static void clipping(void **state) { on_every_target(clip_on); }
static void clipping_what_is_not_finite(void **state) { on_every_target(clip_spoilt_on); }

// More elements than a device clips at a time.
static void clipping_piece_by_piece(void **state) {
  enum { MANY = (1 << 23) + 3 };
  golden t = {.kind = "cuda", .dtype = AM_F32};
  am_params *ps = NULL;
  am_param *p = NULL;
  double sum = 0, *grad = malloc(MANY * sizeof *grad);
  float *single = malloc(MANY * sizeof *single);
  assert_true(grad && single);
  golden_open(&t);
  am_ok(am_params_new(&ps));
  am_ok(am_params_add(ps, "p", AM_SHAPE(MANY), AM_PARAM_TRAINABLE, (am_init){.kind = AM_INIT_CONSTANT}, &p));
  am_ok(am_params_commit(ps, t.device, t.dtype, 1));
  for (int64_t i = 0; i < MANY; i++) grad[i] = (float)((double)(i % 1009) * (i < MANY - 3 ? 1e-3 : 1) - 0.3);
  for (int64_t i = 0; i < MANY; i++) sum += grad[i] * grad[i];
  golden_store(&t, am_params_grads(ps), grad);
  am_ok(am_clip_grad_norm(ps, 7));
  am_ok(am_tensor_to_host(am_params_grads(ps), single));
  for (int64_t i = 0; i < MANY; i++) {
    const double want = grad[i] * 7 / (sqrt(sum) + 1e-6);
    if (!(fabs(single[i] - want) <= 1e-6 * fabs(want)))
      fail_msg("element %lld is %g, not %g", (long long)i, single[i], want);
  }
  am_params_free(ps);
  golden_close(&t);
  free(grad);
  free(single);
}

static void check_rates(golden *t, const char *name, const am_lr_cfg *cfg) {
  double *want = golden_values(t, name), got[RATES];
  for (int i = 0; i < RATES; i++) got[i] = am_lr_at(cfg, 0.1, i);
  am_close(got, want, RATES, 1e-12, 1e-15);
  free(want);
}

static void schedules(void **state) {
  golden t = {.kind = "ref", .dtype = AM_F64};
  golden_open(&t);
  check_rates(&t, "lr/step", &(am_lr_cfg){.kind = AM_LR_STEP, .step_size = 7, .gamma = 0.5});
  check_rates(
      &t, "lr/multistep",
      &(am_lr_cfg){.kind = AM_LR_MULTISTEP, .milestone = {5, 12, 30}, .milestone_count = 3, .gamma = 0.1});
  check_rates(&t, "lr/cosine", &(am_lr_cfg){.kind = AM_LR_COSINE, .total_steps = RATES, .min_lr = 0.003});
  check_rates(&t, "lr/cosine_warmup",
              &(am_lr_cfg){.kind = AM_LR_COSINE, .total_steps = RATES, .warmup_steps = 6});
  golden_close(&t);
}

// Values worked out by hand for a cosine of 4000 steps with 500 of warm-up, and for the decay of a moving average
// with power 3/4.
static void worked_values(void **state) {
  am_lr_cfg cfg = {.kind = AM_LR_COSINE, .total_steps = 4000, .warmup_steps = 500};
  int64_t step[] = {250, 500, 1000, 2000, 4000, 5000}, update[] = {1, 2, 10, 100, 1000, 10000};
  double rate[] = {5e-5, 1e-4, 9.50484e-5, 6.1126e-5, 0, 0}, got[6];
  for (int i = 0; i < 6; i++) got[i] = am_lr_at(&cfg, 1e-4, step[i]);
  am_close(got, rate, 6, 1e-5, 1e-15);
  double decay[] = {0, 0.405396, 0.822172, 0.968377, 0.994377, 0.999000};
  for (int i = 0; i < 6; i++) got[i] = am_ema_decay_at(update[i], 0.75, 0.9999);
  am_close(got, decay, 6, 0, 5e-7);
  assert_true(am_ema_decay_at(1000000, 0.75, 0.9999) == 0.9999);
}

int main(void) {
  char path[4096];
  am_test_plugins("on_host", path);  // the kernels of cuda, behind memory that counts as the card's
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(update_rules),
      cmocka_unit_test(clipping),
      cmocka_unit_test(clipping_what_is_not_finite),
      cmocka_unit_test(clipping_piece_by_piece),
      cmocka_unit_test(schedules),
      cmocka_unit_test(worked_values),
  };
  return cmocka_run_group_tests_name("golden_optim", tests, NULL, NULL);
}
