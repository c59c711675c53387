// Learning-rate schedules.
#include <math.h>

#include "base/num.h"
#include "nn/optim.h"

static const double PI = 3.14159265358979323846;

static double cosine(const am_lr_cfg *cfg, double peak_lr, int64_t step) {
  int64_t span = cfg->total_steps - cfg->warmup_steps;
  double done = span > 0 ? (double)(step - cfg->warmup_steps) / (double)span : 1;
  if (done > 1) done = 1;
  return cfg->min_lr + (peak_lr - cfg->min_lr) * 0.5 * (1 + cos(PI * done));
}

static int milestones_passed(const am_lr_cfg *cfg, int64_t step) {
  int passed = 0;
  for (int i = 0; i < cfg->milestone_count; i++) passed += step >= cfg->milestone[i];
  return passed;
}

double am_lr_at(const am_lr_cfg *cfg, double peak_lr, int64_t step) {
  if (step < cfg->warmup_steps) return peak_lr * (double)step / (double)cfg->warmup_steps;
  switch (cfg->kind) {
    case AM_LR_STEP:
      return peak_lr * pow(cfg->gamma, (double)(step / am_max_i64(1, cfg->step_size)));
    case AM_LR_MULTISTEP:
      return peak_lr * pow(cfg->gamma, milestones_passed(cfg, step));
    case AM_LR_COSINE:
      return cosine(cfg, peak_lr, step);
    case AM_LR_CONSTANT:
      break;
  }
  return peak_lr;
}
