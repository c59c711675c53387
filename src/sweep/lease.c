#include "sweep/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/thread.h"

enum { TEXT_BYTES = 1024, CHAIN_MAX = 1000, TRIES = 100, TOKEN_HEX = 16 };
#define HEAD "augmint-lease 1\ntoken "
static const off_t BEAT_AT = sizeof HEAD - 1 + TOKEN_HEX + sizeof "\nbeat " - 1;

// The files from PATH to the holder's.
typedef struct {
  char **path;  // owned
  int64_t count, capacity;
  am_lease_holder end;
} chain;

struct am_lease {
  char *own;    // owned: the file of this claim
  chain links;  // up to it
  am_lease_holder predecessor;
  int fd;
  double beat_sec;
  am_crew *crew;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool ending;
};

static void chain_fini(chain *c) {
  for (int64_t i = 0; i < c->count; i++) free(c->path[i]);
  free(c->path);
  *c = (chain){0};
}

// ---- processes ----

static void read_line(const char *path, char *out, size_t bytes) {
  FILE *file = fopen(path, "r");
  out[0] = 0;
  if (file && !fgets(out, (int)bytes, file)) out[0] = 0;
  if (file) fclose(file);
  out[strcspn(out, "\n")] = 0;
}

static void machine_of(char out[AM_LEASE_WORD]) {
  char boot[64], space[64] = "";
  read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
  ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  space[length > 0 ? length : 0] = 0;
  snprintf(out, AM_LEASE_WORD, "%s/%s", *boot ? boot : "unknown", *space ? space : "unknown");
}

// When a process of this machine began, in ticks; -1 when it is gone (or a zombie).
static long long start_of(long pid) {
  char path[64], line[TEXT_BYTES], state = 'Z';
  long long start = -1;
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  read_line(path, line, sizeof line);
  const char *after = strrchr(line, ')');  // the name of the program may hold anything
  if (!after) return -1;
  int found = sscanf(after + 1,
                     " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %18lld",
                     &state, &start);
  return found == 2 && state != 'Z' && state != 'X' ? start : -1;
}

// True only when that is certain.
static bool is_gone(const am_lease_holder *h) {
  char here[AM_LEASE_WORD];
  machine_of(here);
  if (strstr(here, "unknown") || strcmp(here, h->machine) != 0) return false;
  if (kill((pid_t)h->pid, 0) != 0 && errno == ESRCH) return true;
  return start_of(h->pid) != h->pid_start;
}

// ---- the file ----

static const char *word(const char *text, char out[AM_LEASE_WORD]) {
  snprintf(out, AM_LEASE_WORD, "%s", text && *text ? text : "-");
  for (char *p = out; *p; p++)
    if (*p <= ' ' || *p > '~') *p = '_';
  return out;
}

static void describe_user(char out[AM_LEASE_WORD]) {
  const struct passwd *who = getpwuid(geteuid());
  char number[24];
  snprintf(number, sizeof number, "uid%ld", (long)geteuid());
  word(who ? who->pw_name : number, out);
}

static void describe_job(char out[AM_LEASE_WORD]) {
  const char *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");
  char text[AM_LEASE_WORD];
  snprintf(text, sizeof text, "%s_%s", array ? array : "", task ? task : "");
  word(array && task ? text : getenv("SLURM_JOB_ID"), out);
}

static am_err describe_self(double expiry_sec, int ranks, am_lease_holder *h) {
  static int64_t claims;  // of this process, which claims from one thread
  char host[AM_LEASE_WORD] = "unknown", text[2 * TEXT_BYTES], hex[AM_SHA256_HEX];
  struct timespec t;
  *h = (am_lease_holder){.expiry_sec = expiry_sec, .pid = (long)getpid(), .ranks = ranks};
  gethostname(host, sizeof host - 1);
  word(host, h->host);
  machine_of(h->machine);
  h->pid_start = start_of(h->pid);
  describe_user(h->user);
  describe_job(h->job);
  clock_gettime(CLOCK_REALTIME, &t);
  h->since = (long long)t.tv_sec;
  snprintf(text, sizeof text, "%s %s %ld %lld %lld.%09ld %lld", h->host, h->machine, h->pid, h->pid_start,
           (long long)t.tv_sec, t.tv_nsec, (long long)claims++);
  AM_TRY(am_sha256_bytes(text, strlen(text), hex));
  snprintf(h->token, sizeof h->token, "%.*s", TOKEN_HEX, hex);
  return AM_OK;
}

static int format_lease(const am_lease_holder *h, char text[TEXT_BYTES]) {
  return snprintf(text, TEXT_BYTES,
                  HEAD "%s\nbeat %010" PRId64
                       "\nexpiry_sec %.3f\nmachine %s\npid %ld %lld\nhost %s\nuser %s\njob %s\n"
                       "ranks %d\nsince %lld\n",
                  h->token, h->beat, h->expiry_sec, h->machine, h->pid, h->pid_start, h->host, h->user,
                  h->job, h->ranks, h->since);
}

static bool parse_lease(const char *text, am_lease_holder *h) {
  int found = sscanf(text,
                     HEAD "%16[0-9a-f] beat %10" SCNd64
                          " expiry_sec %12lf machine %95s pid %10ld %18lld host %95s user %95s job %95s"
                          " ranks %9d since %18lld",
                     h->token, &h->beat, &h->expiry_sec, h->machine, &h->pid, &h->pid_start, h->host, h->user,
                     h->job, &h->ranks, &h->since);
  return found == 11 && strlen(h->token) == TOKEN_HEX && h->pid > 0 && h->expiry_sec >= 0;
}

// A lease whose text is not whole (its claimant died while writing it) has a holder of whom nothing is
// known: it is silent until it expires.
static am_err read_lease(const char *path, int64_t depth, am_lease_holder *h, bool *there) {
  char text[TEXT_BYTES] = "";
  struct stat st;
  *there = false;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return AM_OK;
  if (fd < 0) return am_path_fail("cannot read the lease", path);
  ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
  bool gone = bytes < 0 && errno == ESTALE, fine = bytes >= 0 && fstat(fd, &st) == 0;
  close(fd);
  if (gone) return AM_OK;
  if (!fine) return am_path_fail("cannot read the lease", path);
  if (!parse_lease(text, h)) {
    *h = (am_lease_holder){.expiry_sec = AM_LEASE_EXPIRY_SEC};
    snprintf(h->token, sizeof h->token, "unreadable%d", (int)depth);
    snprintf(h->host, sizeof h->host, "unknown");
  }
  h->silent_sec = fmax(0, difftime(time(NULL), st.st_mtime));
  h->held_sec = h->since > 0 ? fmax(0, difftime(st.st_mtime, (time_t)h->since)) : 0;
  *there = true;
  return AM_OK;
}

// From PATH along the tokens to the holder. count is 0 when there is none.
static am_err follow(const char *path, chain *c) {
  am_err err = AM_OK;
  char *at = NULL;
  *c = (chain){0};
  AM_GO(failed, am_mem_strdup(path, &at));
  while (c->count < CHAIN_MAX) {
    am_lease_holder h;
    bool there = false;
    AM_GO(failed, read_lease(at, c->count, &h, &there));
    if (!there) break;
    AM_GO(failed, AM_GROW(&c->path, &c->capacity, c->count + 1));
    c->path[c->count++] = at;
    c->end = h;
    at = NULL;
    AM_GO(failed, am_str_format(&at, "%s.%s", path, h.token));
  }
  free(at);
  return AM_OK;
failed:
  free(at);
  chain_fini(c);
  return err;
}

// ---- keeping it ----

// Rewrites the beat in place, through the open file: after a takeover that disturbs nobody.
static void keep_beating(void *user, int worker) {
  am_lease *l = user;
  char digits[16];
  int64_t beat = 0;
  pthread_mutex_lock(&l->lock);
  while (!l->ending) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)(l->beat_sec * 1e9);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    if (pthread_cond_timedwait(&l->wake, &l->lock, &until) != ETIMEDOUT) continue;
    pthread_mutex_unlock(&l->lock);
    int length = snprintf(digits, sizeof digits, "%010" PRId64, ++beat);
    // A beat that cannot be written is a beat that is not seen: the others judge.
    if (pwrite(l->fd, digits, (size_t)length, BEAT_AT) == length) fdatasync(l->fd);
    pthread_mutex_lock(&l->lock);
  }
  pthread_mutex_unlock(&l->lock);
}

static void end_beating(void *user) {
  am_lease *l = user;
  pthread_mutex_lock(&l->lock);
  l->ending = true;
  pthread_cond_signal(&l->wake);
  pthread_mutex_unlock(&l->lock);
}

static void lease_free(am_lease *l) {
  if (l->crew) end_beating(l);
  am_crew_join(l->crew);
  if (l->fd >= 0) close(l->fd);
  pthread_cond_destroy(&l->wake);
  pthread_mutex_destroy(&l->lock);
  chain_fini(&l->links);
  free(l->own);
  free(l);
}

static am_err lease_new(double expiry_sec, am_lease **out) {
  pthread_condattr_t attr;
  AM_TRY(AM_NEW(out));
  (*out)->fd = -1;
  (*out)->beat_sec = expiry_sec / AM_LEASE_BEATS;
  pthread_mutex_init(&(*out)->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&(*out)->wake, &attr);
  pthread_condattr_destroy(&attr);
  return AM_OK;
}

// ---- claiming ----

// Makes the file, unless it is there: then l->fd stays -1.
static am_err claim(am_lease *l, const char *path, const am_lease_holder *self) {
  char text[TEXT_BYTES];
  int length = format_lease(self, text);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) return AM_OK;
  if (fd < 0) return am_path_fail("cannot make the lease", path);
  if (write(fd, text, (size_t)length) != length || fsync(fd) != 0) {
    am_err err = am_path_fail("cannot write the lease", path);
    unlink(path);
    close(fd);
    return err;
  }
  l->fd = fd;
  return AM_OK;
}

static bool is_silent(const am_lease_holder *h, am_lease_watch *watch) {
  double now = am_clock_sec();
  bool news = strcmp(watch->token, h->token) != 0 || watch->beat != h->beat;
  if (news) {
    memcpy(watch->token, h->token, sizeof watch->token);
    watch->beat = h->beat;
    watch->since_sec = now;
  }
  return now - watch->since_sec > h->expiry_sec || is_gone(h);
}

// One look at the chain, one claim at its end. *busy: somebody holds it; neither set: try again.
static am_err try_once(am_lease *l, const char *path, const am_lease_holder *self, am_lease_watch *watch,
                       am_lease_holder *holder, bool *busy) {
  am_err err = AM_OK;
  chain before = {0}, after = {0};
  char *at = NULL;
  AM_GO(done, follow(path, &before));
  *busy = before.count > 0 && !is_silent(&before.end, watch);
  if (*busy) *holder = before.end;
  if (*busy) goto done;
  if (before.count)
    AM_GO(done, am_str_format(&at, "%s.%s", path, before.end.token));
  else
    AM_GO(done, am_mem_strdup(path, &at));
  AM_GO(done, claim(l, at, self));
  if (l->fd < 0) goto done;
  // The one before may have given up in between: then this file hangs on nothing.
  AM_GO(unclaim, follow(path, &after));
  if (after.count && strcmp(after.end.token, self->token) == 0) {
    if (before.count) {
      char who[AM_LEASE_TEXT];
      AM_INFO("took over %.12s from %s, which is %s", am_path_name(path), am_lease_describe(&before.end, who),
              is_gone(&before.end) ? "gone" : "silent");
    }
    l->predecessor = before.count ? before.end : (am_lease_holder){0};
    l->own = at;
    at = NULL;
    l->links = after;
    after = (chain){0};
    goto done;
  }
unclaim:
  unlink(at);
  close(l->fd);
  l->fd = -1;
done:
  free(at);
  chain_fini(&before);
  chain_fini(&after);
  return err;
}

am_err am_lease_take(const char *path, double expiry_sec, int ranks, am_lease_watch *watch, am_lease **out,
                     am_lease_holder *holder) {
  am_err err = AM_OK;
  am_lease *l = NULL;
  am_lease_holder self;
  bool busy = false;
  *out = NULL;
  AM_TRY(describe_self(expiry_sec, ranks, &self));
  AM_TRY(lease_new(expiry_sec, &l));
  for (int i = 0; i < TRIES && l->fd < 0 && !busy; i++)
    AM_GO(done, try_once(l, path, &self, watch, holder, &busy));
  if (busy) goto done;
  AM_CHECK_GO(done, l->fd >= 0, AM_ERR_IO,
              "%s changes hands faster than it can be read: is its file system consistent between hosts?",
              path);
  l->links.end = self;
  AM_GO(done, am_crew_start(1, keep_beating, end_beating, l, &l->crew));
  *out = l;
  l = NULL;
done:
  am_lease_release(l);
  return err;
}

const char *am_lease_token(const am_lease *l) { return l->links.end.token; }

const am_lease_holder *am_lease_predecessor(const am_lease *l) { return &l->predecessor; }

static bool is_mine(const am_lease *l) {
  struct stat mine, there;
  return fstat(l->fd, &mine) == 0 && stat(l->own, &there) == 0 && mine.st_ino == there.st_ino &&
         mine.st_dev == there.st_dev;
}

bool am_lease_held(const am_lease *l) {
  char next[PATH_MAX];
  int length = snprintf(next, sizeof next, "%s.%s", l->links.path[0], am_lease_token(l));
  return is_mine(l) && length < (int)sizeof next && !am_path_exists(next);
}

void am_lease_release(am_lease *l) {
  if (!l) return;
  if (l->own && am_lease_held(l))
    for (int64_t i = 0; i < l->links.count; i++) unlink(l->links.path[i]);
  lease_free(l);
}

// ---- looking ----

am_err am_lease_look(const char *path, am_lease_watch *watch, am_lease_holder *holder, bool *there) {
  chain c = {0};
  AM_TRY(follow(path, &c));
  *there = c.count > 0 && !(watch ? is_silent(&c.end, watch) : is_gone(&c.end));
  if (*there) *holder = c.end;
  chain_fini(&c);
  return AM_OK;
}

const char *am_lease_describe(const am_lease_holder *h, char text[AM_LEASE_TEXT]) {
  char job[AM_LEASE_WORD + 8] = "", since[32];
  if (!h->pid) {
    snprintf(text, AM_LEASE_TEXT, "an unknown process");
    return text;
  }
  am_clock_utc_at((double)h->since, since);
  if (strcmp(h->job, "-") != 0) snprintf(job, sizeof job, "job %s, ", h->job);
  snprintf(text, AM_LEASE_TEXT, "%s on %s, %spid %ld, since %s", h->user, h->host, job, h->pid, since);
  return text;
}
