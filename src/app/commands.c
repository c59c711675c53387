#include "app/command.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"

am_err am_command_begin(am_app *app, const am_option *options, int count, int min_words, int max_words,
                        bool *go) {
  bool help = false;
  am_option all[AM_WORDS_MAX];
  AM_CHECK(count + 1 <= AM_WORDS_MAX, AM_ERR_INTERNAL, "%s has too many options", app->command->name);
  for (int i = 0; i < count; i++) all[i] = options[i];
  all[count] = (am_option){"--help", AM_OPTION_FLAG, &help, NULL, "this text"};
  *go = false;
  AM_TRY(am_options_parse(all, count + 1, false, &app->argc, app->argv));
  const am_command *c = app->command;
  if (help) {
    am_str text = {0};
    am_err err = am_options_describe(all, count + 1, &text);
    if (!err) {
      fprintf(app->out, "augmint %s %s\n  %s\n\n%s%s%s", c->name, c->usage, c->doc, c->help ? c->help : "",
              c->help ? "\n" : "", am_str_get(&text));
    }
    am_str_fini(&text);
    return err;
  }
  AM_CHECK(app->argc >= min_words && app->argc <= max_words, AM_ERR_CONFIG,
           "usage: augmint %s %s   (augmint %s --help says more)", c->name, c->usage, c->name);
  *go = true;
  return AM_OK;
}

bool am_app_find(const char *relative, char path[PATH_MAX]) {
  enum { LEVELS = 3 };  // build/augmint, build/san-address/augmint
  char exe[PATH_MAX], beside[PATH_MAX];
  snprintf(path, PATH_MAX, "%s", relative);
  if (am_path_exists(relative)) return true;
  ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
  exe[length > 0 ? length : 0] = 0;
  for (int up = 0; up < LEVELS && strrchr(exe, '/'); up++) {
    *strrchr(exe, '/') = 0;
    int written = snprintf(beside, sizeof beside, "%s/%s", exe, relative);
    if (written >= (int)sizeof beside || !am_path_exists(beside)) continue;
    memcpy(path, beside, (size_t)written + 1);
    return true;
  }
  return false;
}

am_err am_app_device(const am_app *app, int64_t threads, am_device **out) {
  am_device_cfg cfg = {
      .kind = app->device_kind,
      .threads = (int)(app->threads ? app->threads
                       : threads    ? threads
                                    : 1),
      .index = app->world ? am_comm_local_rank(app->world) : 0,
  };
  if (strcmp(cfg.kind, "auto") != 0) return am_device_open(&cfg, out);
  // The backend has not been checked on a card yet (docs/gpu-runs.md): whoever wants it asks for it.
  if (am_path_exists("/dev/nvidiactl")) AM_INFO("device auto: cpu; there is a card, and --device cuda computes on it");
  cfg.kind = "cpu";
  return am_device_open(&cfg, out);
}
