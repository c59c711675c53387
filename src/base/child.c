#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

extern char **environ;

enum { STREAMS = 2, CHUNK = 1 << 16 };
static const int64_t OUTPUT_BYTES = (int64_t)64 << 20;

// ---- words ----

am_err am_argv_add(am_argv *v, const char *fmt, ...) {
  va_list args;
  char *word = NULL;
  AM_TRY(AM_GROW(&v->word, &v->capacity, v->count + 2));
  va_start(args, fmt);
  int length = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  AM_CHECK(length >= 0, AM_ERR_ARG, "a word cannot be formatted: %s", fmt);
  AM_TRY(am_mem_alloc(&word, length + 1, 1));
  va_start(args, fmt);
  vsnprintf(word, (size_t)length + 1, fmt, args);
  va_end(args);
  v->word[v->count++] = word;
  v->word[v->count] = NULL;
  return AM_OK;
}

void am_argv_fini(am_argv *v) {
  for (int64_t i = 0; i < v->count; i++) free(v->word[i]);
  free(v->word);
  *v = (am_argv){0};
}

static am_err quote_word(const char *word, am_str *out) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (*word && strspn(word, plain) == strlen(word)) return am_str_printf(out, "%s", word);
  AM_TRY(am_str_printf(out, "'"));
  for (const char *p = word; *p; p++)
    AM_TRY(*p == '\'' ? am_str_printf(out, "'\\''") : am_str_append(out, p, 1));
  return am_str_printf(out, "'");
}

am_err am_argv_quote(const am_argv *v, char **out) {
  am_str line = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < v->count && !err; i++) {
    if (i) err = am_str_printf(&line, " ");
    if (!err) err = quote_word(v->word[i], &line);
  }
  if (!err) err = am_str_take(&line, out);
  am_str_fini(&line);
  return err;
}

// ---- starting ----

static am_err open_pipes(int fd[STREAMS][2]) {
  for (int i = 0; i < STREAMS; i++) {
    AM_CHECK(pipe(fd[i]) == 0, AM_ERR_IO, "a pipe cannot be opened: %s", strerror(errno));
    for (int end = 0; end < 2; end++) fcntl(fd[i][end], F_SETFD, FD_CLOEXEC);
  }
  return AM_OK;
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static am_err spawn(const am_argv *argv, int fd[STREAMS][2], pid_t *pid) {
  const char *name = argv->word[0];
  posix_spawn_file_actions_t actions;
  int rc = posix_spawn_file_actions_init(&actions);
  AM_CHECK(rc == 0, AM_ERR_NOMEM, "%s cannot be prepared: %s", name, strerror(rc));
  rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (!rc) rc = posix_spawn_file_actions_adddup2(&actions, fd[0][1], STDOUT_FILENO);
  if (!rc) rc = posix_spawn_file_actions_adddup2(&actions, fd[1][1], STDERR_FILENO);
  if (!rc) rc = posix_spawnp(pid, name, &actions, NULL, argv->word, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc == 0) return AM_OK;
  return AM_FAIL(rc == ENOENT ? AM_ERR_UNSUPPORTED : AM_ERR_IO, "%s cannot be run: %s", name, strerror(rc));
}

// ---- listening ----

// Both streams are read side by side, so that a full pipe never stops the program.
static am_err listen_to(const char *name, int fd[STREAMS], am_str text[STREAMS]) {
  char chunk[CHUNK];
  while (fd[0] >= 0 || fd[1] >= 0) {
    struct pollfd wait[STREAMS];
    for (int i = 0; i < STREAMS; i++) wait[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
    if (poll(wait, STREAMS, -1) < 0) {
      AM_CHECK(errno == EINTR, AM_ERR_IO, "%s cannot be listened to: %s", name, strerror(errno));
      continue;
    }
    for (int i = 0; i < STREAMS; i++) {
      if (fd[i] < 0 || !wait[i].revents) continue;
      ssize_t bytes = read(fd[i], chunk, sizeof chunk);
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) {
        close_fd(&fd[i]);
        continue;
      }
      AM_TRY(am_str_append(&text[i], chunk, bytes));
      AM_CHECK(text[i].length <= OUTPUT_BYTES, AM_ERR_DATA, "%s says more than %lld MiB", name,
               (long long)(OUTPUT_BYTES >> 20));
    }
  }
  return AM_OK;
}

static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

am_err am_child_run(const am_argv *argv, am_child *out) {
  am_err err = AM_OK;
  am_str text[STREAMS] = {{0}, {0}};
  int fd[STREAMS][2] = {{-1, -1}, {-1, -1}};
  am_child c = {0};
  pid_t pid = 0;
  AM_GO(done, open_pipes(fd));
  AM_GO(done, spawn(argv, fd, &pid));
  int ends[STREAMS];
  for (int i = 0; i < STREAMS; i++) {
    close_fd(&fd[i][1]);
    ends[i] = fd[i][0];
    fd[i][0] = -1;
  }
  err = listen_to(argv->word[0], ends, text);
  for (int i = 0; i < STREAMS; i++) close_fd(&ends[i]);
  c.status = wait_for(pid);
  AM_GO(done, err);
  AM_GO(done, am_str_take(&text[0], &c.out));
  AM_GO(done, am_str_take(&text[1], &c.diag));
  *out = c;
  c = (am_child){0};
done:
  for (int i = 0; i < STREAMS; i++) {
    close_fd(&fd[i][0]);
    close_fd(&fd[i][1]);
    am_str_fini(&text[i]);
  }
  am_child_fini(&c);
  return err;
}

void am_child_fini(am_child *c) {
  free(c->out);
  free(c->diag);
  *c = (am_child){0};
}

static char *last_line(char *text) {
  size_t length = strlen(text);
  while (length && strchr(" \t\r\n", text[length - 1])) text[--length] = 0;
  char *newline = strrchr(text, '\n');
  return newline ? newline + 1 : text;
}

const char *am_child_complaint(am_child *c) {
  const char *line = last_line(c->diag);
  return *line ? line : last_line(c->out);
}
