#include "sweep/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "config/node.h"
#include "dist/comm.h"

static const size_t SMALL_FILE_BYTES = (size_t)64 << 20;

// Ranks outlive a killed mpirun by a few seconds; a run that is started at once waits that long.
static const double PATIENCE_SEC = 10;

struct am_store {
  char *dir;  // owned: RESULTS/store
  double patience_sec;
};

struct am_artefact {
  am_store *store;  // borrowed
  char address[AM_SHA256_HEX];
  char *part, *out, *checkpoint, *lock_path;  // owned
  int lock_fd;
};

// ---- finding ----

am_err am_store_open(const char *results_dir, bool create, am_store **out) {
  am_err err = AM_OK;
  am_store *s = NULL;
  AM_GO(done, AM_NEW(&s));
  s->patience_sec = PATIENCE_SEC;
  AM_GO(done, am_path_join(results_dir, "store", &s->dir));
  if (create) {
    AM_GO(done, am_path_mkdirs(s->dir));
    AM_CHECK_GO(done, access(s->dir, W_OK | X_OK) == 0, AM_ERR_IO, "%s cannot be written: %s", s->dir,
                strerror(errno));
  }
  *out = s;
  s = NULL;
done:
  am_store_close(s);
  return err;
}

void am_store_close(am_store *s) {
  if (!s) return;
  free(s->dir);
  free(s);
}

void am_store_set_patience(am_store *s, double seconds) { s->patience_sec = seconds; }

static am_err path_of(const am_store *s, const char *address, const char *suffix, char **out) {
  return am_str_format(out, "%s/%.2s/%s%s", s->dir, address, address, suffix);
}

am_err am_store_path(const am_store *s, const char *address, const char *name, char **out) {
  if (!name) return path_of(s, address, "", out);
  return am_str_format(out, "%s/%.2s/%s/%s", s->dir, address, address, name);
}

am_err am_store_checkpoint_path(const am_store *s, const char *address, char **out) {
  return path_of(s, address, ".part/checkpoint", out);
}

bool am_store_has(const am_store *s, const char *address) {
  char *path = NULL;
  if (am_store_path(s, address, "DONE", &path) != AM_OK) return false;
  bool there = am_path_exists(path);
  free(path);
  return there;
}

am_err am_store_failure(const am_store *s, const char *address, char **out) {
  char *path = NULL;
  size_t bytes = 0;
  *out = NULL;
  AM_TRY(path_of(s, address, ".failed", &path));
  am_err err = am_path_exists(path) ? am_file_read(path, SMALL_FILE_BYTES, out, &bytes) : AM_OK;
  free(path);
  return err;
}

am_err am_store_set_failure(am_store *s, const char *address, const char *text) {
  char *path = NULL;
  AM_TRY(path_of(s, address, ".failed", &path));
  am_err err = am_file_write(path, text, strlen(text));
  free(path);
  return err;
}

// The tree of provenance.json, or NULL: an unreadable note is not worth an error.
static am_node *read_provenance(const am_store *s, const char *address) {
  char *path = NULL, *text = NULL;
  size_t bytes = 0;
  am_node *tree = NULL;
  am_err err = am_store_path(s, address, "provenance.json", &path);
  if (!err && am_path_exists(path)) {
    err = am_file_read(path, SMALL_FILE_BYTES, &text, &bytes);
    if (!err) err = am_yaml_parse(path, text, bytes, &tree);
  }
  if (err) am_err_clear();
  free(text);
  free(path);
  return err ? NULL : tree;
}

double am_store_number(const am_store *s, const char *address, const char *key) {
  am_node *tree = read_provenance(s, address);
  double value = NAN;
  const am_node *n = am_node_get(tree, key);
  if (!n || n->kind != AM_NODE_SCALAR || !am_text_is_number(n->text, &value)) value = NAN;
  am_node_free(tree);
  return value;
}

char *am_store_text(const am_store *s, const char *address, const char *key) {
  am_node *tree = read_provenance(s, address);
  const am_node *n = am_node_get(tree, key);
  char *text = NULL;
  if (n && n->kind == AM_NODE_SCALAR && am_mem_strdup(n->text, &text) != AM_OK) am_err_clear();
  am_node_free(tree);
  return text;
}

static am_err list_one(const am_store *s, const char *folder, char (**address)[AM_SHA256_HEX], int64_t *count,
                       int64_t *capacity) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL;
  AM_GO(done, am_path_join(s->dir, folder, &path));
  if (!am_path_is_dir(path)) goto done;
  AM_GO(done, am_dir_read(path, &list));
  for (int64_t i = 0; i < list.count; i++) {
    const char *name = list.name[i];
    if (strlen(name) != AM_SHA256_HEX - 1 || !am_store_has(s, name)) continue;
    AM_GO(done, AM_GROW(address, capacity, *count + 1));
    memcpy((*address)[(*count)++], name, AM_SHA256_HEX);
  }
done:
  am_dir_list_fini(&list);
  free(path);
  return err;
}

am_err am_store_list(const am_store *s, char (**address)[AM_SHA256_HEX], int64_t *count) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  int64_t capacity = 0;
  *address = NULL;
  *count = 0;
  if (!am_path_is_dir(s->dir)) return AM_OK;
  AM_GO(done, am_dir_read(s->dir, &list));
  for (int64_t i = 0; i < list.count; i++) AM_GO(done, list_one(s, list.name[i], address, count, &capacity));
done:
  if (err) {
    free(*address);
    *address = NULL;
    *count = 0;
  }
  am_dir_list_fini(&list);
  return err;
}

// ---- locks ----

// fcntl locks end with the process, on this host or another, however it ends: none is ever stale.
static am_err try_lock(int fd, bool *held) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  *held = true;
  if (fcntl(fd, F_SETLK, &lock) == 0) return AM_OK;
  if (errno == EACCES || errno == EAGAIN) {
    *held = false;
    return AM_OK;
  }
  if (errno == ENOLCK || errno == ENOSYS || errno == ENOTSUP || errno == EOPNOTSUPP) {
    static bool warned;
    if (!warned)
      AM_WARN("the file system of the results has no file locks: do not run an experiment twice at once");
    warned = true;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_IO, "the lock failed: %s", strerror(errno));
}

static am_err fail_busy(const am_artefact *a, int fd) {
  char holder[256] = "";
  ssize_t bytes = pread(fd, holder, sizeof holder - 1, 0);
  if (bytes > 0) holder[strcspn(holder, "\n")] = 0;
  return AM_FAIL(AM_ERR_BUSY,
                 "artefact %.12s is held by another run (%s): wait for it or stop it, then run again",
                 a->address, *holder ? holder : "unknown");
}

// The lock file is removed by its holder, so after locking it must still be the one at the path.
static bool still_there(int fd, const char *path) {
  struct stat mine, there;
  return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
         mine.st_dev == there.st_dev;
}

static am_err write_holder(int fd, const char *path) {
  char host[128] = "unknown", text[192];
  gethostname(host, sizeof host - 1);
  int length = snprintf(text, sizeof text, "host %s, pid %ld\n", host, (long)getpid());
  bool fine = ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length;
  AM_CHECK(fine, AM_ERR_IO, "%s cannot be written: %s", path, strerror(errno));
  return AM_OK;
}

static am_err take_lock(am_artefact *a) {
  double start = am_clock_sec();
  for (;;) {
    int fd = open(a->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    AM_CHECK(fd >= 0, AM_ERR_IO, "%s cannot be opened: %s", a->lock_path, strerror(errno));
    bool held = false;
    am_err err = try_lock(fd, &held);
    bool patient = am_clock_sec() - start < a->store->patience_sec && !am_signal_seen();
    if (!err && !held && !patient) err = fail_busy(a, fd);
    if (!err && held && still_there(fd, a->lock_path)) {
      a->lock_fd = fd;
      return write_holder(fd, a->lock_path);
    }
    close(fd);
    AM_TRY(err);
    AM_TRY(am_peer_check());
    if (!held) nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  }
}

static void release_lock(am_artefact *a) {
  if (a->lock_fd < 0) return;
  unlink(a->lock_path);
  close(a->lock_fd);
  a->lock_fd = -1;
}

bool am_store_is_held(const am_store *s, const char *address) {
  char *path = NULL;
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (path_of(s, address, ".lock", &path) != AM_OK) return false;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  bool held = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  if (fd >= 0) close(fd);
  free(path);
  return held;
}

// ---- making one ----

static void artefact_free(am_artefact *a) {
  if (!a) return;
  release_lock(a);
  free(a->part);
  free(a->out);
  free(a->checkpoint);
  free(a->lock_path);
  free(a);
}

am_err am_artefact_begin(am_store *s, const char *address, am_artefact **out) {
  am_err err = AM_OK;
  am_artefact *a = NULL;
  AM_GO(done, AM_NEW(&a));
  a->store = s;
  a->lock_fd = -1;
  snprintf(a->address, sizeof a->address, "%s", address);
  AM_GO(done, path_of(s, address, ".lock", &a->lock_path));
  AM_GO(done, path_of(s, address, ".part", &a->part));
  AM_GO(done, path_of(s, address, ".part/out", &a->out));
  AM_GO(done, am_store_checkpoint_path(s, address, &a->checkpoint));
  char *slash = strrchr(a->lock_path, '/');
  *slash = 0;
  err = am_path_mkdirs(a->lock_path);
  *slash = '/';
  AM_GO(done, err);
  AM_GO(done, take_lock(a));
  AM_GO(done, am_path_remove_tree(a->out));  // of a run that was killed
  AM_GO(done, am_path_mkdirs(a->out));
  AM_GO(done, am_path_mkdirs(a->checkpoint));
  *out = a;
  a = NULL;
done:
  artefact_free(a);
  return err;
}

const char *am_artefact_dir(const am_artefact *a) { return a->out; }
const char *am_artefact_checkpoint(const am_artefact *a) { return a->checkpoint; }

void am_artefact_abandon(am_artefact *a) {
  if (!a) return;
  am_err_record record = *am_err_last();
  if (am_path_remove_tree(a->out) != AM_OK) AM_WARN("%s could not be removed", a->out);
  rmdir(a->checkpoint);  // goes only when nothing was saved
  rmdir(a->part);
  am_err_restore(&record);
  artefact_free(a);
}

static am_err write_in(const char *dir, const char *name, const char *text) {
  char *path = NULL;
  AM_TRY(am_path_join(dir, name, &path));
  am_err err = am_file_write(path, text, strlen(text));
  free(path);
  return err;
}

// "<sha256>  <name>" for every file of the folder, in byte order of the names.
static am_err list_files(const char *dir, am_str *out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL, hex[AM_SHA256_HEX];
  AM_GO(done, am_dir_read(dir, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (strcmp(list.name[i], "MANIFEST") == 0 || strcmp(list.name[i], "DONE") == 0) continue;
    AM_GO(done, am_path_join(dir, list.name[i], &path));
    AM_GO(done, am_sha256_file(path, hex));
    AM_GO(done, am_str_printf(out, "%s  %s\n", hex, list.name[i]));
    free(path);
    path = NULL;
  }
done:
  free(path);
  am_dir_list_fini(&list);
  return err;
}

static am_err publish(am_artefact *a) {
  am_err err = AM_OK;
  char *final = NULL, *failed = NULL;
  AM_GO(done, path_of(a->store, a->address, "", &final));
  AM_GO(done, path_of(a->store, a->address, ".failed", &failed));
  AM_GO(done, am_path_remove_tree(final));  // a folder without DONE does not exist
  AM_GO(done, am_path_rename(a->out, final));
  AM_GO(done, am_path_remove_tree(a->part));
  if (am_path_exists(failed)) AM_GO(done, am_path_remove_tree(failed));
done:
  free(final);
  free(failed);
  return err;
}

am_err am_artefact_commit(am_artefact *a, const char *stage_text, const char *provenance) {
  am_err err = AM_OK;
  am_str manifest = {0};
  char hex[AM_SHA256_HEX];
  AM_GO(done, write_in(a->out, "stage.json", stage_text));
  AM_GO(done, write_in(a->out, "provenance.json", provenance));
  AM_GO(done, list_files(a->out, &manifest));
  AM_GO(done, write_in(a->out, "MANIFEST", am_str_get(&manifest)));
  AM_GO(done, am_sha256_bytes(manifest.text, (size_t)manifest.length, hex));
  am_fault_point();
  AM_GO(done, write_in(a->out, "DONE", hex));
  am_fault_point();
  AM_GO(done, publish(a));
done:
  am_str_fini(&manifest);
  am_artefact_abandon(a);
  return err;
}

// ---- verifying ----

static am_err read_in(const am_store *s, const char *address, const char *name, char **text, size_t *bytes) {
  char *path = NULL;
  AM_TRY(am_store_path(s, address, name, &path));
  am_err err = am_file_read(path, SMALL_FILE_BYTES, text, bytes);
  free(path);
  return err;
}

am_err am_store_verify(const am_store *s, const char *address) {
  am_err err = AM_OK;
  char *dir = NULL, *stage = NULL, *manifest = NULL, *done_text = NULL, hex[AM_SHA256_HEX];
  size_t stage_bytes = 0, manifest_bytes = 0, done_bytes = 0;
  am_str now = {0};
  AM_GO(done, am_store_path(s, address, NULL, &dir));
  AM_GO(done, read_in(s, address, "stage.json", &stage, &stage_bytes));
  AM_GO(done, am_sha256_bytes(stage, stage_bytes, hex));
  AM_CHECK_GO(done, strcmp(hex, address) == 0, AM_ERR_DATA,
              "%s: stage.json has the hash %.12s..., not the folder's name", dir, hex);
  AM_GO(done, read_in(s, address, "MANIFEST", &manifest, &manifest_bytes));
  AM_GO(done, read_in(s, address, "DONE", &done_text, &done_bytes));
  AM_GO(done, am_sha256_bytes(manifest, manifest_bytes, hex));
  AM_CHECK_GO(done, strcmp(hex, done_text) == 0, AM_ERR_DATA, "%s: MANIFEST was changed after it was written",
              dir);
  AM_GO(done, list_files(dir, &now));
  // Both list the files in byte order: the first line that differs names the file.
  const char *was = manifest, *is = am_str_get(&now);
  while (*was || *is) {
    size_t was_line = strcspn(was, "\n"), is_line = strcspn(is, "\n");
    if (was_line != is_line || memcmp(was, is, was_line) != 0) {
      err = AM_FAIL(AM_ERR_DATA,
                    "%s: files are changed, missing or new: MANIFEST says \"%.*s\", the folder has \"%.*s\"",
                    dir, (int)was_line, was, (int)is_line, is);
      goto done;
    }
    was += was_line + (was[was_line] == '\n');
    is += is_line + (is[is_line] == '\n');
  }
done:
  am_str_fini(&now);
  free(dir);
  free(stage);
  free(manifest);
  free(done_text);
  return err;
}
