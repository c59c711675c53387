// ResNets against torchvision's, PreActResNet-18 against PyTorch: a training step with every gradient, and
// ten SGD steps, from equal weights; in f32, and in bf16 beside PyTorch's autocast.
#include "projection.h"

#include "nn/loss.h"
#include "nn/optim.h"

enum { BATCH = 4, CLASSES = 10, STEPS = 10 };

// How far a step may be off, relative to norms. PyTorch's own f32 is off by about as much.
typedef struct {
  double forward;  // logits, loss, running statistics
  double gradient;
  double loss;   // of every step
  double later;  // weights and statistics after the steps, and logits in eval mode then
} tolerances;

// A network of these tests, and how make_resnet.py trains it.
typedef struct {
  const char *name;
  int64_t size;     // of the images
  uint32_t stream;  // of the images
  double lr;
} recipe;

static const recipe resnet18_recipe = {"resnet18", 64, GOLDEN_IMAGES, 0.01};
static const recipe resnet50_recipe = {"resnet50", 64, GOLDEN_IMAGES, 0.001};
static const recipe preact_resnet18_recipe = {"preact_resnet18", 32, GOLDEN_IMAGES + 39, 0.01};

typedef struct {
  am_device *device;
  am_dtype compute;
  am_model *model;
  am_graph *graph;
  am_optim *optim;
  am_safetensors *golden;
  const recipe *recipe;
} network;

// False, with nothing open: this machine does not compute in that type.
static bool open_network(const recipe *r, const char *precision, network *out) {
  network net = {.recipe = r};
  char path[128];
  snprintf(path, sizeof path, "tests/golden/%s.safetensors", r->name);
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &net.device));
  if (am_compute_type(net.device, precision, &net.compute) != AM_OK) {
    am_device_close(net.device);
    return false;
  }
  am_ok(am_safetensors_open(path, &net.golden));
  am_ok(am_model_new(r->name, &(am_model_cfg){.classes = CLASSES}, net.device, 1, &net.model));
  golden_fill(net.model->params);
  am_ok(am_graph_new(net.device, &net.graph));
  am_optim_cfg cfg = am_optim_cfg_default(AM_OPTIM_SGD);
  cfg.momentum = 0.9;
  cfg.weight_decay = 0.05;
  am_ok(am_optim_new(cfg, net.model->params, &net.optim));
  *out = net;
  return true;
}

static void close_network(network *net) {
  am_optim_free(net->optim);
  am_graph_free(net->graph);
  am_model_free(net->model);
  am_device_close(net->device);
  am_safetensors_close(net->golden);
}

static am_tensor *logits_of(network *net, bool train) {
  am_graph_reset(net->graph);
  am_graph_record(net->graph, train);
  am_pass pass = {.graph = net->graph, .compute = net->compute, .train = train, .update_stats = train};
  am_shape shape = AM_SHAPE(BATCH, 3, net->recipe->size, net->recipe->size);
  am_tensor *x = golden_input(net->graph, shape, net->recipe->stream), *logits = NULL;
  am_ok(am_model_forward(net->model, &pass, x, &logits));
  return logits;
}

static void read_doubles(am_tensor *t, double *out) {
  float host[BATCH * CLASSES];
  am_ok(am_tensor_to_host(t, host));
  for (int i = 0; i < BATCH * CLASSES; i++) out[i] = host[i];
}

// Forward, loss and gradients into the flat storage; the loss.
static double forward_backward(network *net, double *logits_out) {
  am_tensor *logits = logits_of(net, true), *target = NULL, *loss = NULL;
  int32_t label[BATCH];
  float rows[BATCH * CLASSES];
  for (int i = 0; i < BATCH; i++) label[i] = 3 * i % CLASSES;
  am_ok(am_one_hot(label, BATCH, CLASSES, 0, rows));
  am_ok(am_tensor_from_host(am_graph_device(net->graph), AM_F32, AM_SHAPE(BATCH, CLASSES), rows, &target));
  am_ok(am_graph_own(net->graph, target));
  am_ok(am_loss_cross_entropy(net->graph, logits, target, &loss));
  am_grad_desc d = {.y = &loss, .y_count = 1};
  d.x = am_params_leaves(net->model->params, &d.x_count);
  d.sink = am_params_grad_views(net->model->params, &d.x_count);
  double value = 0;
  read_doubles(logits, logits_out);
  am_ok(am_tensor_item(loss, &value));
  am_ok(am_grad(net->graph, &d, NULL));
  return value;
}

// What make_resnet.py stores, by its names; rows of projections are owned.
typedef struct {
  double logits[BATCH * CLASSES], loss[STEPS], logits_eval[BATCH * CLASSES];
  double *grad, *stats_first, *update, *stats_last;
} outcome;

static double *project_stats(network *net) {
  float *buffers = golden_flat(am_params_buffers(net->model->params));
  double *rows = golden_project(net->model->params, AM_PARAM_BUFFER, buffers);
  free(buffers);
  return rows;
}

static double *project_gradients(network *net) {
  float *grads = golden_flat(am_params_grads(net->model->params));
  double *rows = golden_project(net->model->params, AM_PARAM_TRAINABLE, grads);
  free(grads);
  return rows;
}

static double *project_update(network *net, const float *start) {
  am_params *ps = net->model->params;
  float *values = golden_flat(am_params_values(ps));
  for (int64_t i = 0; i < am_params_trainable_elements(ps); i++) values[i] -= start[i];
  double *rows = golden_project(ps, AM_PARAM_TRAINABLE, values);
  free(values);
  return rows;
}

static outcome train(network *net) {
  outcome out;
  double logits[BATCH * CLASSES];
  am_params *ps = net->model->params;
  float *start = golden_flat(am_params_values(ps));
  for (int step = 0; step < STEPS; step++) {
    out.loss[step] = forward_backward(net, step == 0 ? out.logits : logits);
    if (step == 0) {
      out.grad = project_gradients(net);
      out.stats_first = project_stats(net);
    }
    am_ok(am_optim_step(net->optim, net->recipe->lr));
  }
  out.update = project_update(net, start);
  out.stats_last = project_stats(net);
  read_doubles(logits_of(net, false), out.logits_eval);
  for (int64_t i = 0; i < am_params_count(ps); i++) {
    const am_param *p = am_params_at(ps, i);
    if (p->kind == AM_PARAM_COUNTER) assert_int_equal(p->counter, STEPS);
  }
  free(start);
  return out;
}

static void outcome_fini(outcome *out) {
  free(out->grad);
  free(out->stats_first);
  free(out->update);
  free(out->stats_last);
}

static void trains_as_pytorch(const recipe *r, tolerances allowed) {
  network net;
  assert_true(open_network(r, "fp32", &net));
  outcome out = train(&net);
  golden_close(net.golden, "logits", out.logits, allowed.forward);
  golden_close(net.golden, "grad", out.grad, allowed.gradient);
  golden_close(net.golden, "stats_first", out.stats_first, allowed.forward);
  golden_close(net.golden, "loss", out.loss, allowed.loss);
  golden_close(net.golden, "update", out.update, allowed.later);
  golden_close(net.golden, "stats_last", out.stats_last, allowed.later);
  golden_close(net.golden, "logits_eval", out.logits_eval, allowed.later);
  outcome_fini(&out);
  close_network(&net);
}

// Forward and gradients: f32 sums in other orders, and Winograd's larger coefficients. Ten steps: a ReLU or a
// maximum that was nearly tied falls on the other side in one implementation, which is worth 1e-3 of
// an update (and in ResNet-50 up to 3e-2, by which PyTorch's own f32 is off); leaving out weight decay or
// momentum is worth more than 5e-2.
static void resnet18(void **state) {
  trains_as_pytorch(&resnet18_recipe,
                    (tolerances){.forward = 1e-5, .gradient = 1e-4, .loss = 1e-4, .later = 5e-3});
}

static void resnet50(void **state) {
  trains_as_pytorch(&resnet50_recipe,
                    (tolerances){.forward = 2e-5, .gradient = 1e-4, .loss = 5e-4, .later = 5e-2});
}

static void preact_resnet18(void **state) {
  trains_as_pytorch(&preact_resnet18_recipe,
                    (tolerances){.forward = 1e-5, .gradient = 1e-4, .loss = 1e-4, .later = 2e-2});
}

// ---- bf16 ----

static void trains_as_autocast(const recipe *r) {
  network net;
  if (!open_network(r, "bf16", &net)) am_skip("%s", am_err_last()->message);
  outcome out = train(&net);
  golden_follows_autocast(net.golden, "logits", out.logits);
  golden_follows_autocast(net.golden, "grad", out.grad);
  golden_follows_autocast(net.golden, "stats_first", out.stats_first);
  golden_follows_autocast(net.golden, "loss", out.loss);
  golden_follows_autocast(net.golden, "update", out.update);
  golden_follows_autocast(net.golden, "stats_last", out.stats_last);
  golden_follows_autocast(net.golden, "logits_eval", out.logits_eval);
  outcome_fini(&out);
  close_network(&net);
}

static void resnet18_bf16(void **state) { trains_as_autocast(&resnet18_recipe); }
static void resnet50_bf16(void **state) { trains_as_autocast(&resnet50_recipe); }
static void preact_resnet18_bf16(void **state) { trains_as_autocast(&preact_resnet18_recipe); }

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(resnet18), cmocka_unit_test(resnet50),
                                     cmocka_unit_test(preact_resnet18),
                                     cmocka_unit_test(resnet18_bf16), cmocka_unit_test(resnet50_bf16),
                                     cmocka_unit_test(preact_resnet18_bf16)};
  return cmocka_run_group_tests_name("golden resnet", tests, NULL, NULL);
}
