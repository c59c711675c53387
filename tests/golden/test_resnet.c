// ResNets against torchvision's: a training step and ten SGD steps from equal weights.
#include "projection.h"

#include "nn/loss.h"
#include "nn/optim.h"

enum { BATCH = 4, SIZE = 64, CLASSES = 10, MAX_STEPS = 10 };

// How far a step may be off, relative to norms. PyTorch's own f32 is off by about as much.
typedef struct {
  double forward;  // logits, loss, running statistics
  double gradient;
  double later;  // after the steps, and anything in eval mode then
} tolerances;

typedef struct {
  am_device *device;
  am_model *model;
  am_graph *graph;
  am_optim *optim;
  am_safetensors *golden;
} network;

static network open_network(const char *name) {
  network net = {0};
  char path[128];
  snprintf(path, sizeof path, "tests/golden/%s.safetensors", name);
  am_ok(am_safetensors_open(path, &net.golden));
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &net.device));
  am_ok(am_model_new(name, &(am_model_cfg){.classes = CLASSES}, net.device, 1, &net.model));
  golden_fill(net.model->params);
  am_ok(am_graph_new(net.device, &net.graph));
  am_optim_cfg cfg = am_optim_cfg_default(AM_OPTIM_SGD);
  cfg.momentum = 0.9;
  cfg.weight_decay = 0.05;
  am_ok(am_optim_new(cfg, net.model->params, &net.optim));
  return net;
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
  am_pass pass = {.graph = net->graph, .train = train, .update_stats = train};
  am_tensor *x = golden_input(net->graph, AM_SHAPE(BATCH, 3, SIZE, SIZE), GOLDEN_IMAGES), *logits = NULL;
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
  for (int i = 0; i < BATCH; i++) label[i] = 3 * i % CLASSES;
  am_ok(am_one_hot(net->graph, label, BATCH, CLASSES, 0, &target));
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

static void check_projection(network *net, const char *name, am_param_kind kind, const float *flat,
                             double tolerance) {
  double *rows = golden_project(net->model->params, kind, flat);
  golden_close(net->golden, name, rows, tolerance);
  free(rows);
}

static void check_stats(network *net, const char *name, double tolerance) {
  float *buffers = golden_flat(am_params_buffers(net->model->params));
  check_projection(net, name, AM_PARAM_BUFFER, buffers, tolerance);
  free(buffers);
}

static void trains_as_torchvision(const char *name, int steps, tolerances allowed) {
  network net = open_network(name);
  am_params *ps = net.model->params;
  double logits[BATCH * CLASSES], loss[MAX_STEPS] = {0};
  float *start = golden_flat(am_params_values(ps));
  for (int step = 0; step < steps; step++) {
    loss[step] = forward_backward(&net, logits);
    if (step == 0) {
      golden_close(net.golden, "logits", logits, allowed.forward);
      float *grads = golden_flat(am_params_grads(ps));
      check_projection(&net, "grad", AM_PARAM_TRAINABLE, grads, allowed.gradient);
      free(grads);
      check_stats(&net, "stats_first", allowed.forward);
    }
    am_ok(am_optim_step(net.optim, 0.01));
  }
  golden_close(net.golden, "loss", loss, steps > 1 ? allowed.later : allowed.forward);

  float *values = golden_flat(am_params_values(ps));
  for (int64_t i = 0; i < am_params_trainable_elements(ps); i++) values[i] -= start[i];
  check_projection(&net, "update", AM_PARAM_TRAINABLE, values, allowed.later);
  check_stats(&net, "stats_last", allowed.later);
  read_doubles(logits_of(&net, false), logits);
  golden_close(net.golden, "logits_eval", logits, allowed.later);
  assert_int_equal(am_params_find(ps, "bn1.num_batches_tracked")->counter, steps);
  free(values);
  free(start);
  close_network(&net);
}

// One step: f32 sums in other orders, and Winograd's larger coefficients. Ten steps: a ReLU or a
// maximum that was nearly tied falls on the other side in one implementation, which is worth 1e-3 of
// an update; leaving out weight decay or momentum is worth more than 5e-2.
static void resnet18_ten_steps(void **state) {
  trains_as_torchvision("resnet18", 10, (tolerances){.forward = 1e-5, .gradient = 1e-4, .later = 5e-3});
}

// With so few pixels ResNet-50 amplifies rounding a thousandfold; a wrong network is off by 1.
static void resnet50_one_step(void **state) {
  trains_as_torchvision("resnet50", 1, (tolerances){.forward = 5e-4, .gradient = 1e-1, .later = 1e-1});
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(resnet18_ten_steps),
                                     cmocka_unit_test(resnet50_one_step)};
  return cmocka_run_group_tests_name("golden resnet", tests, NULL, NULL);
}
