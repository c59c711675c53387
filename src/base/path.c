#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"

#define FAIL_ERRNO(what, path) am_path_fail((what), (path))

// Who owns the path, or the nearest folder above it that is there.
static void describe_owner(const char *path, char *out, size_t bytes) {
  char at[PATH_MAX];
  struct stat st;
  snprintf(at, sizeof at, "%s", path);
  while (stat(at, &st) != 0) {
    char *slash = strrchr(at, '/');
    if (!slash || slash == at) return;
    *slash = 0;
  }
  const struct passwd *who = getpwuid(st.st_uid);
  snprintf(out, bytes,
           " (%s belongs to %s, mode %04o: its owner can let you in with chmod, or use other folders)", at,
           who ? who->pw_name : "another user", (unsigned)(st.st_mode & 07777));
}

am_err am_path_fail(const char *what, const char *path) {
  int code = errno;
  char owner[PATH_MAX + 128] = "";
  if (code == EACCES || code == EPERM) describe_owner(path, owner, sizeof owner);
  return AM_FAIL(AM_ERR_IO, "%s %s: %s%s", what, path, strerror(code), owner);
}

am_err am_path_join(const char *a, const char *b, char **out) {
  if (!a || !*a || b[0] == '/') return am_mem_strdup(b, out);
  return am_str_format(out, "%s%s%s", a, am_str_ends(a, "/") ? "" : "/", b);
}

const char *am_path_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

bool am_path_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0;
}

bool am_path_is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

am_err am_path_mkdirs(const char *path) {
  char *copy = NULL;
  AM_TRY(am_mem_strdup(path, &copy));
  am_err err = AM_OK;
  for (char *p = copy + 1; err == AM_OK && *copy; p++) {
    if (*p != '/' && *p != '\0') continue;
    char keep = *p;
    *p = '\0';
    if (mkdir(copy, 0777) != 0 && !(errno == EEXIST && am_path_is_dir(copy))) {
      err = FAIL_ERRNO("cannot make the folder", copy);
    }
    *p = keep;
    if (keep == '\0') break;
  }
  free(copy);
  return err;
}

am_err am_file_read(const char *path, size_t limit_bytes, char **data, size_t *bytes) {
  am_err err = AM_OK;
  char *buffer = NULL;
  int64_t capacity = 0, length = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO("cannot open", path);
  struct stat st;
  if (fstat(fd, &st) != 0) {
    err = FAIL_ERRNO("cannot stat", path);
    goto done;
  }
  AM_CHECK_GO(done, !S_ISDIR(st.st_mode), AM_ERR_IO, "cannot read %s: it is a folder", path);
  AM_GO(done, AM_GROW(&buffer, &capacity, st.st_size + 2));
  for (;;) {
    AM_CHECK_GO(done, (size_t)length <= limit_bytes, AM_ERR_DATA, "%s is larger than the limit of %zu bytes",
                path, limit_bytes);
    AM_GO(done, AM_GROW(&buffer, &capacity, length + 2));
    ssize_t got = read(fd, buffer + length, (size_t)(capacity - length - 1));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      err = FAIL_ERRNO("cannot read", path);
      goto done;
    }
    if (got == 0) break;
    length += got;
  }
  buffer[length] = '\0';
  *data = buffer;
  *bytes = (size_t)length;
  buffer = NULL;
done:
  close(fd);
  free(buffer);
  return err;
}

static am_err write_all(int fd, const char *path, am_piece piece) {
  const char *data = piece.data;
  while (piece.bytes > 0) {
    ssize_t put = am_fault_hit(AM_FAULT_IO) ? (errno = ENOSPC, -1) : write(fd, data, piece.bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return FAIL_ERRNO("cannot write", path);
    data += put;
    piece.bytes -= (size_t)put;
  }
  return AM_OK;
}

static am_err sync_file(int fd, const char *path) {
  if (am_fault_hit(AM_FAULT_IO)) {
    errno = EIO;
    return FAIL_ERRNO("cannot sync", path);
  }
  if (fsync(fd) != 0) return FAIL_ERRNO("cannot sync", path);
  return AM_OK;
}

am_err am_file_write_pieces(const char *path, const am_piece *piece, int count) {
  char *temporary = NULL, host[HOST_NAME_MAX + 1] = "";
  gethostname(host, sizeof host - 1);  // two hosts may have the same pid
  AM_TRY(am_str_format(&temporary, "%s.tmp.%s.%ld", path, host, (long)getpid()));
  am_err err = AM_OK;
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    err = FAIL_ERRNO("cannot create", temporary);
    goto done;
  }
  for (int k = 0; k < count && !err; k++) err = write_all(fd, path, piece[k]);
  if (!err) err = sync_file(fd, path);
  if (close(fd) != 0 && !err) err = FAIL_ERRNO("cannot close", path);
  if (!err) err = am_path_rename(temporary, path);
  if (err) unlink(temporary);
done:
  free(temporary);
  return err;
}

am_err am_file_write(const char *path, const void *data, size_t bytes) {
  return am_file_write_pieces(path, &(am_piece){data, bytes}, 1);
}

static am_err sync_path(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO("cannot open", path);
  int rc = fsync(fd);
  close(fd);
  // Some file systems refuse fsync on a folder; the rename is then as durable as they make it.
  if (rc != 0 && errno != EINVAL && errno != ENOTSUP) return FAIL_ERRNO("cannot sync", path);
  return AM_OK;
}

static am_err parent_of(const char *path, char **dir) {
  const char *name = am_path_name(path);
  if (name == path) return am_mem_strdup(".", dir);
  return am_str_format(dir, "%.*s", name == path + 1 ? 1 : (int)(name - path - 1), path);
}

static am_err rename_only(const char *from, const char *to) {
  if (am_fault_hit(AM_FAULT_IO)) {
    errno = EIO;
    return FAIL_ERRNO("cannot rename to", to);
  }
  if (rename(from, to) != 0) return FAIL_ERRNO("cannot rename to", to);
  return AM_OK;
}

// What may fail for want of memory comes before the rename: an error means the target is as before.
am_err am_path_rename(const char *from, const char *to) {
  char *dir = NULL;
  AM_TRY(parent_of(to, &dir));
  am_err err = rename_only(from, to);
  if (!err) err = sync_path(dir, O_RDONLY | O_DIRECTORY);
  free(dir);
  return err;
}

am_err am_path_remove_tree(const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0) return errno == ENOENT ? AM_OK : FAIL_ERRNO("cannot stat", path);
  if (S_ISDIR(st.st_mode)) {
    am_dir_list list = {0};
    AM_TRY(am_dir_read(path, &list));
    am_err err = AM_OK;
    for (int64_t i = 0; i < list.count && !err; i++) {
      char *child = NULL;
      err = am_path_join(path, list.name[i], &child);
      if (!err) err = am_path_remove_tree(child);
      free(child);
    }
    am_dir_list_fini(&list);
    if (err) return err;
  }
  if (remove(path) != 0 && errno != ENOENT) return FAIL_ERRNO("cannot remove", path);
  return AM_OK;
}

am_err am_path_tree_facts(const char *path, int64_t *bytes, double *newest_sec) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  struct stat st;
  *bytes = 0;
  *newest_sec = 0;
  if (lstat(path, &st) != 0) return errno == ENOENT ? AM_OK : FAIL_ERRNO("cannot stat", path);
  *bytes = S_ISREG(st.st_mode) ? st.st_size : 0;
  *newest_sec = (double)st.st_mtime;
  if (!S_ISDIR(st.st_mode)) return AM_OK;
  AM_TRY(am_dir_read(path, &list));
  for (int64_t i = 0; i < list.count && !err; i++) {
    char *child = NULL;
    int64_t inside = 0;
    double newest = 0;
    err = am_path_join(path, list.name[i], &child);
    if (!err) err = am_path_tree_facts(child, &inside, &newest);
    *bytes += inside;
    if (newest > *newest_sec) *newest_sec = newest;
    free(child);
  }
  am_dir_list_fini(&list);
  return err;
}

am_err am_path_tree_bytes(const char *path, int64_t *bytes) {
  double newest = 0;
  return am_path_tree_facts(path, bytes, &newest);
}

am_err am_file_size(const char *path, int64_t *bytes) {
  struct stat st;
  if (stat(path, &st) != 0) return FAIL_ERRNO("cannot stat", path);
  *bytes = st.st_size;
  return AM_OK;
}

am_err am_path_free_bytes(const char *dir, int64_t *bytes) {
  struct statvfs fs;
  if (statvfs(dir, &fs) != 0) return FAIL_ERRNO("cannot stat the file system of", dir);
  *bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
  return AM_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

am_err am_dir_read(const char *path, am_dir_list *out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  DIR *dir = opendir(path);
  if (!dir) return FAIL_ERRNO("cannot open the folder", path);
  for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    AM_GO(done, AM_GROW(&list.name, &list.capacity, list.count + 1));
    AM_GO(done, am_mem_strdup(e->d_name, &list.name[list.count]));
    list.count++;
  }
  if (list.count) qsort(list.name, (size_t)list.count, sizeof *list.name, compare_names);
  *out = list;
  list = (am_dir_list){0};
done:
  closedir(dir);
  am_dir_list_fini(&list);
  return err;
}

void am_dir_list_fini(am_dir_list *list) {
  for (int64_t i = 0; i < list->count; i++) free(list->name[i]);
  free(list->name);
  *list = (am_dir_list){0};
}
