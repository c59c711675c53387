// Layers, losses, gradients and their gradients against PyTorch, on every device that is built:
// in f64 on "ref", where agreement must be to the last digits, and in f32.
#include "golden_nn.h"

#include "base/num.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "nn/optim.h"

static golden targets[] = {
    {.kind = "ref", .dtype = AM_F64, .tolerance = 1e-12},
    {.kind = "ref", .dtype = AM_F32, .tolerance = 3e-6},
    {.kind = "cpu", .dtype = AM_F32, .tolerance = 3e-6},
    {.kind = "guard", .dtype = AM_F32, .tolerance = 3e-6},
};

static void on_every_target(void (*test)(golden *t)) {
  for (int i = 0; i < AM_COUNT_OF(targets); i++) {
    golden t = targets[i];
    golden_open(&t);
    test(&t);
    golden_close(&t);
  }
}

// Gradients of a scalar by all parameters, into their sinks.
static void backward(golden *t, am_params *ps, am_tensor *y, bool accumulate) {
  int count = 0;
  am_tensor *const *x = am_params_leaves(ps, &count), *const *sink = am_params_grad_views(ps, &count);
  am_grad_desc d = {.y = &y, .y_count = 1, .x = x, .x_count = count, .sink = sink, .accumulate = accumulate};
  am_ok(am_grad(t->graph, &d, NULL));
}

static void check_number(golden *t, am_tensor *got, double want) {
  golden_expect(t, got, "a number", &want, 1);
}

// ---- a chain of every layer ----

typedef struct {
  am_conv conv1, up;
  am_batch_norm_layer bn1, bn2, bn3;
  am_linear fc1, fc2;
} chain;

static am_err chain_init(chain *m, am_params *ps) {
  AM_TRY(am_conv_init(&m->conv1, ps, "conv1",
                      (am_conv_cfg){.in = 3, .out = 4, .kernel = 3, .stride = 2, .pad = 1, .bias = true}));
  AM_TRY(am_batch_norm_init(&m->bn1, ps, "bn1", (am_batch_norm_cfg){.channels = 4}));
  AM_TRY(am_conv_init(
      &m->up, ps, "up",
      (am_conv_cfg){
          .in = 4, .out = 6, .kernel = 3, .stride = 2, .pad = 1, .output_pad = 1, .transposed = true}));
  AM_TRY(am_batch_norm_init(&m->bn2, ps, "bn2", (am_batch_norm_cfg){.channels = 6}));
  AM_TRY(am_linear_init(&m->fc1, ps, "fc1", (am_linear_cfg){.in = 6 * 4 * 4, .out = 7}));
  AM_TRY(am_batch_norm_init(&m->bn3, ps, "bn3", (am_batch_norm_cfg){.channels = 7}));
  return am_linear_init(&m->fc2, ps, "fc2", (am_linear_cfg){.in = 7, .out = 5, .no_bias = true});
}

static am_err chain_forward(chain *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  am_graph *g = pass->graph;
  AM_TRY(am_conv_forward(&m->conv1, pass, x, &x));
  AM_TRY(am_batch_norm_forward(&m->bn1, pass, x, &x));
  AM_TRY(am_leaky_relu(g, x, 0.2, &x));
  AM_TRY(am_conv_forward(&m->up, pass, x, &x));
  AM_TRY(am_batch_norm_forward(&m->bn2, pass, x, &x));
  AM_TRY(am_relu(g, x, &x));
  am_pool2d_desc pool = {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  AM_TRY(am_max_pool2d(g, x, pool, &x));
  AM_TRY(am_reshape(g, x, AM_SHAPE(x->shape.dim[0], -1), &x));
  AM_TRY(am_linear_forward(&m->fc1, pass, x, &x));
  AM_TRY(am_batch_norm_forward(&m->bn3, pass, x, &x));
  AM_TRY(am_tanh(g, x, &x));
  return am_linear_forward(&m->fc2, pass, x, y);
}

static void chain_on(golden *t) {
  chain m;
  am_params *ps = NULL;
  am_ok(am_params_new(&ps));
  am_ok(chain_init(&m, ps));
  am_ok(am_params_commit(ps, t->device, t->dtype, 1));
  golden_load(t, ps, "chain/start");
  am_pass pass = {.graph = t->graph, .train = true, .update_stats = true};
  am_tensor *logits = NULL, *loss = NULL;
  for (int step = 0; step < 2; step++) {
    const char *x[] = {"chain/x0", "chain/x1"}, *out[] = {"chain/logits0", "chain/logits1"};
    const char *value[] = {"chain/loss0", "chain/loss1"}, *grad[] = {"chain/grad0", "chain/grad1"};
    am_ok(chain_forward(&m, &pass, golden_tensor(t, x[step], -1), &logits));
    golden_check(t, logits, out[step], 1);
    am_ok(am_loss_cross_entropy(t->graph, logits, golden_tensor(t, "chain/target", -1), &loss));
    backward(t, ps, loss, false);
    golden_check(t, loss, value[step], 1);
    golden_check_grads(t, ps, grad[step], 3);
    am_graph_reset(t->graph);
  }
  golden_check_state(t, ps, "chain/end", 1);
  pass.train = false;
  am_ok(chain_forward(&m, &pass, golden_tensor(t, "chain/x0", -1), &logits));
  golden_check(t, logits, "chain/eval", 1);
  am_params_free(ps);
}

static void chain_of_layers(void **state) { on_every_target(chain_on); }

// ---- losses ----

static void losses_on(golden *t) {
  static const struct {
    const char *name, *grad;
    am_err (*f)(am_graph *g, am_tensor *x, am_tensor *target, am_tensor **loss);
  } list[] = {{"loss/cross_entropy", "loss/cross_entropy_grad", am_loss_cross_entropy},
              {"loss/double_softmax", "loss/double_softmax_grad", am_loss_double_softmax},
              {"loss/bce", "loss/bce_grad", am_loss_bce_logits},
              {"loss/mse", "loss/mse_grad", am_loss_mse}};
  am_tensor *x = golden_tensor(t, "loss/x", -1), *target = golden_tensor(t, "loss/target", -1);
  am_require_grad(x, true);
  for (int i = 0; i < AM_COUNT_OF(list); i++) {
    am_tensor *loss = NULL, *dx = NULL;
    am_ok(list[i].f(t->graph, x, target, &loss));
    am_ok(am_grad(t->graph, &(am_grad_desc){.y = &loss, .y_count = 1, .x = &x, .x_count = 1}, &dx));
    golden_check(t, loss, list[i].name, 1);
    golden_check(t, dx, list[i].grad, 1);
  }
}

static void losses(void **state) { on_every_target(losses_on); }

// ---- a gradient penalty: the weights' gradient of a function of the input's gradient ----

typedef struct {
  am_conv conv1, conv2;
  am_batch_norm_layer bn;
  am_linear fc;
} critic;

static am_err critic_init(critic *m, am_params *ps) {
  AM_TRY(am_conv_init(&m->conv1, ps, "conv1",
                      (am_conv_cfg){.in = 2, .out = 4, .kernel = 4, .stride = 2, .pad = 1, .bias = true}));
  AM_TRY(am_batch_norm_init(&m->bn, ps, "bn", (am_batch_norm_cfg){.channels = 4}));
  AM_TRY(am_conv_init(&m->conv2, ps, "conv2",
                      (am_conv_cfg){.in = 4, .out = 3, .kernel = 3, .pad = 1, .bias = true}));
  return am_linear_init(&m->fc, ps, "fc", (am_linear_cfg){.in = 27, .out = 1});
}

static am_err critic_forward(critic *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  AM_TRY(am_conv_forward(&m->conv1, pass, x, &x));
  AM_TRY(am_batch_norm_forward(&m->bn, pass, x, &x));
  AM_TRY(am_softplus(pass->graph, x, &x));
  AM_TRY(am_conv_forward(&m->conv2, pass, x, &x));
  AM_TRY(am_leaky_relu(pass->graph, x, 0.2, &x));
  AM_TRY(am_reshape(pass->graph, x, AM_SHAPE(x->shape.dim[0], -1), &x));
  return am_linear_forward(&m->fc, pass, x, y);
}

// mean over images of (|slope| - 1)^2
static am_err penalty_of(am_graph *g, am_tensor *slope, am_tensor **value) {
  am_tensor *t = NULL;
  AM_TRY(am_square(g, slope, &t));
  AM_TRY(am_sum(g, t, 14, &t));
  AM_TRY(am_sqrt(g, t, &t));
  AM_TRY(am_affine(g, t, 1, -1, &t));
  AM_TRY(am_square(g, t, &t));
  return am_mean(g, t, ~0u, value);
}

static void penalty_on(golden *t) {
  critic m;
  am_params *ps = NULL;
  am_ok(am_params_new(&ps));
  am_ok(critic_init(&m, ps));
  am_ok(am_params_commit(ps, t->device, t->dtype, 1));
  golden_load(t, ps, "penalty/start");
  am_pass pass = {.graph = t->graph, .train = true};
  am_tensor *x = golden_tensor(t, "penalty/x", -1), *y = NULL, *slope = NULL, *value = NULL;
  am_require_grad(x, true);
  am_ok(critic_forward(&m, &pass, x, &y));
  am_ok(am_sum(t->graph, y, ~0u, &y));
  am_ok(am_grad(t->graph, &(am_grad_desc){.y = &y, .y_count = 1, .x = &x, .x_count = 1, .create_graph = true},
                &slope));
  golden_check(t, slope, "penalty/slope", 3);
  am_ok(penalty_of(t->graph, slope, &value));
  golden_check(t, value, "penalty/value", 3);
  backward(t, ps, value, false);
  golden_check_grads(t, ps, "penalty/grad", 10);
  am_graph_reset(t->graph);
  am_params_free(ps);
}

static void gradient_penalty(void **state) { on_every_target(penalty_on); }

// ---- DCGAN: both networks over five updates with Adam ----

typedef struct {
  am_params *params;
  am_conv conv[3];
  am_batch_norm_layer bn[2];
  am_optim *adam;
} network;

static void network_commit(golden *t, network *m, const char *prefix) {
  am_optim_cfg cfg = am_optim_cfg_default(AM_OPTIM_ADAM);
  cfg.beta1 = 0.5;
  am_ok(am_params_commit(m->params, t->device, t->dtype, 1));
  golden_load(t, m->params, prefix);
  am_ok(am_optim_new(cfg, m->params, &m->adam));
}

static void network_free(network *m) {
  am_optim_free(m->adam);
  am_params_free(m->params);
}

static void generator_new(golden *t, network *m) {
  am_conv_cfg conv[] = {{.in = 5, .out = 8, .kernel = 4, .transposed = true},
                        {.in = 8, .out = 4, .kernel = 4, .stride = 2, .pad = 1, .transposed = true},
                        {.in = 4, .out = 3, .kernel = 4, .stride = 2, .pad = 1, .transposed = true}};
  const char *conv_name[] = {"main.0", "main.3", "main.6"}, *bn_name[] = {"main.1", "main.4"};
  am_ok(am_params_new(&m->params));
  for (int i = 0; i < 3; i++) {
    am_ok(am_conv_init(&m->conv[i], m->params, conv_name[i], conv[i]));
    if (i < 2)
      am_ok(
          am_batch_norm_init(&m->bn[i], m->params, bn_name[i], (am_batch_norm_cfg){.channels = conv[i].out}));
  }
  network_commit(t, m, "gan/g_start");
}

static void discriminator_new(golden *t, network *m) {
  am_conv_cfg conv[] = {{.in = 3, .out = 4, .kernel = 4, .stride = 2, .pad = 1},
                        {.in = 4, .out = 8, .kernel = 4, .stride = 2, .pad = 1},
                        {.in = 8, .out = 1, .kernel = 4}};
  const char *conv_name[] = {"main.0", "main.2", "main.5"};
  am_ok(am_params_new(&m->params));
  for (int i = 0; i < 3; i++) {
    am_ok(am_conv_init(&m->conv[i], m->params, conv_name[i], conv[i]));
    if (i == 1) am_ok(am_batch_norm_init(&m->bn[0], m->params, "main.3", (am_batch_norm_cfg){.channels = 8}));
  }
  network_commit(t, m, "gan/d_start");
}

static am_tensor *generate(network *m, am_pass *pass, am_tensor *x) {
  for (int i = 0; i < 3; i++) {
    am_ok(am_conv_forward(&m->conv[i], pass, x, &x));
    if (i == 2) break;
    am_ok(am_batch_norm_forward(&m->bn[i], pass, x, &x));
    am_ok(am_relu(pass->graph, x, &x));
  }
  am_ok(am_tanh(pass->graph, x, &x));
  return x;
}

// BCE of what the network says about x against one label for all.
static am_tensor *judge(network *m, am_pass *pass, am_tensor *x, double label) {
  am_tensor *target = NULL, *loss = NULL;
  for (int i = 0; i < 3; i++) {
    am_ok(am_conv_forward(&m->conv[i], pass, x, &x));
    if (i == 2) break;
    if (i == 1) am_ok(am_batch_norm_forward(&m->bn[0], pass, x, &x));
    am_ok(am_leaky_relu(pass->graph, x, 0.2, &x));
  }
  am_ok(am_fill(pass->graph, x->dtype, x->shape, label, &target));
  am_ok(am_loss_bce_logits(pass->graph, x, target, &loss));
  return loss;
}

static void gan_on(golden *t) {
  enum { STEPS = 5 };
  network g, d;
  generator_new(t, &g);
  discriminator_new(t, &d);
  double *losses = golden_values(t, "gan/losses");
  am_pass pass = {.graph = t->graph, .train = true, .update_stats = true};
  for (int step = 0; step < STEPS; step++) {
    am_tensor *on_real = judge(&d, &pass, golden_tensor(t, "gan/real", -1), 1), *detached = NULL;
    backward(t, d.params, on_real, false);
    am_tensor *fake = generate(&g, &pass, golden_tensor(t, "gan/z", step));
    am_ok(am_detach(t->graph, fake, &detached));
    am_tensor *on_fake = judge(&d, &pass, detached, 0);
    backward(t, d.params, on_fake, true);
    am_ok(am_optim_step(d.adam, 2e-3));
    am_tensor *fooled = judge(&d, &pass, fake, 1);
    backward(t, g.params, fooled, false);
    am_ok(am_optim_step(g.adam, 2e-3));
    check_number(t, on_real, losses[3 * step]);
    check_number(t, on_fake, losses[3 * step + 1]);
    check_number(t, fooled, losses[3 * step + 2]);
    am_graph_reset(t->graph);
  }
  free(losses);
  // Adam divides by the gradient's own size: a rounding error in a small gradient moves a weight by
  // up to lr * error, so single precision gets more room after several steps.
  golden_check_state(t, g.params, "gan/g_end", 30);
  golden_check_state(t, d.params, "gan/d_end", 30);
  network_free(&g);
  network_free(&d);
}

static void dcgan_updates(void **state) { on_every_target(gan_on); }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chain_of_layers),
      cmocka_unit_test(losses),
      cmocka_unit_test(gradient_penalty),
      cmocka_unit_test(dcgan_updates),
  };
  return cmocka_run_group_tests_name("golden_nn", tests, NULL, NULL);
}
