// doctor --fs: whether the file system of RESULTS keeps the promises that the store and its leases build on.
//
// Everything happens in a folder of its own in RESULTS (or where RESULTS would be made), which is removed again.
#define _DEFAULT_SOURCE  // flock
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "app/doctor.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"

enum { PROBE_BYTES = 16 << 20, SEEN_WITHIN_SEC = 20 };
static const double SKEW_SEC = 30, SLOW_BYTES = 20e6;

typedef struct {
  am_doctor *d;
  char dir[PATH_MAX];  // of the probes; the same on every rank
} probe;

static void path_of(const probe *p, const char *name, char out[PATH_MAX + 32]) {
  snprintf(out, PATH_MAX + 32, "%s/%s", p->dir, name);
}

// ---- which file system ----

static const struct {
  unsigned long magic;  // linux/magic.h, or the file system's own sources
  const char *name;
  bool leaves;  // what is written does not outlive this machine or container, and nobody else sees it
  const char *trap;
} kinds[] = {
    {0x6969, "NFS", false, "attributes may be cached for a minute: others see what one host does with that delay"},
    {0x0bd00bd0, "Lustre", false, NULL},
    {0x47504653, "GPFS", false, NULL},
    {0x19830326, "BeeGFS", false, NULL},
    {0x00c36400, "CephFS", false, NULL},
    {0x65735546, "FUSE", false, "what it promises depends on what is behind it"},
    {0x01021997, "9p", false, NULL},
    {0xfe534d42, "SMB", false, NULL},
    {0xff534d42, "CIFS", false, NULL},
    {0xef53, "ext", false, NULL},
    {0x58465342, "XFS", false, NULL},
    {0x9123683e, "Btrfs", false, NULL},
    {0x2fc12fc1, "ZFS", false, NULL},
    {0x794c7630, "overlay", true, "gone with its container, and no other host sees it"},
    {0x01021994, "tmpfs", true, "in memory: gone after a restart, and no other host sees it"},
    {0x858458f6, "ramfs", true, "in memory: gone after a restart, and no other host sees it"},
};

static void check_kind(probe *p) {
  struct statfs fs;
  if (statfs(p->dir, &fs) != 0) {
    am_doctor_warn(p->d, "fs", "choose another folder with --results DIR", "its kind is not told: %s", strerror(errno));
    return;
  }
  for (int64_t i = 0; i < AM_COUNT_OF(kinds); i++) {
    if (((unsigned long)fs.f_type & 0xffffffff) != kinds[i].magic) continue;
    am_doctor_prefer(p->d, !kinds[i].leaves, "fs", "--results DIR on a file system that stays, and that all hosts share",
                     "%s%s%s", kinds[i].name, kinds[i].trap ? ": " : "", kinds[i].trap ? kinds[i].trap : "");
    return;
  }
  am_doctor_ok(p->d, "fs", "of kind 0x%lx, which is not known here: what counts are the lines below", (unsigned long)fs.f_type);
}

static void check_space(probe *p) {
  struct statvfs fs;
  if (statvfs(p->dir, &fs) != 0) return;
  double gib = (double)fs.f_bavail * (double)fs.f_frsize / (1 << 30);
  am_doctor_prefer(p->d, gib >= 1, "disk", "make room (augmint gc), or choose another folder with --results DIR",
                   "%.1f GiB are free", gib);
  if (fs.f_files)  // some count no files
    am_doctor_prefer(p->d, fs.f_favail >= 10000, "disk", "remove files (augmint gc), or ask for a larger quota of files",
                     "%.0f more files may be made", (double)fs.f_favail);
}

// ---- what one rank can see ----

static bool write_text(const char *path, const char *text, int flags) {
  int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
  if (fd < 0) return false;
  bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  return close(fd) == 0 && good;
}

static bool reads(const char *path, const char *text) {
  char got[64] = "";
  int fd = open(path, O_RDONLY);
  if (fd < 0) return false;
  ssize_t bytes = read(fd, got, sizeof got - 1);
  close(fd);
  return bytes == (ssize_t)strlen(text) && !memcmp(got, text, strlen(text));
}

static void check_exclusive(probe *p) {
  char path[PATH_MAX + 32];
  path_of(p, "exclusive", path);
  bool first = write_text(path, "1", O_EXCL), second = first && write_text(path, "2", O_EXCL);
  bool refused = first && !second && errno == EEXIST;
  am_doctor_require(p->d, refused, "create", "--results DIR on another file system: leases need it",
                    "%s", refused ? "a file is made once (O_EXCL)" : second ? "a file was made twice with O_EXCL" : strerror(errno));
}

static void check_rename(probe *p) {
  char a[PATH_MAX + 32], b[PATH_MAX + 32];
  path_of(p, "new", a);
  path_of(p, "old", b);
  bool good = write_text(a, "new", O_EXCL) && write_text(b, "old", O_EXCL) && rename(a, b) == 0;
  int why = errno;
  good = good && reads(b, "new") && access(a, F_OK) != 0;
  am_doctor_require(p->d, good, "rename", "--results DIR on another file system: results are published so",
                    "%s%s", good ? "replaces a file that is there" : "does not replace a file: ", good ? "" : strerror(why));
}

// Artefacts are folders: published whole, and never over one that is there.
static void check_rename_folder(probe *p) {
  char a[PATH_MAX + 32], b[PATH_MAX + 32], in_a[PATH_MAX + 64], in_b[PATH_MAX + 64];
  path_of(p, "a", a);
  path_of(p, "b", b);
  snprintf(in_a, sizeof in_a, "%s/x", a);
  snprintf(in_b, sizeof in_b, "%s/x", b);
  bool moved = mkdir(a, 0700) == 0 && write_text(in_a, "1", O_EXCL) && rename(a, b) == 0 && reads(in_b, "1");
  int why = errno;
  bool kept = moved && mkdir(a, 0700) == 0 && write_text(in_a, "2", O_EXCL) && rename(a, b) != 0 &&
              (errno == ENOTEMPTY || errno == EEXIST) && reads(in_b, "1");
  am_doctor_require(p->d, moved && kept, "rename", "--results DIR on another file system: artefacts are published so",
                    "%s%s", !moved ? "a folder cannot be renamed: " : kept ? "moves a folder, and none over one that is there"
                                                                           : "replaced a folder that was there",
                    moved ? "" : strerror(why));
}

static void check_link(probe *p) {
  char a[PATH_MAX + 32], b[PATH_MAX + 32];
  struct stat st;
  path_of(p, "exclusive", a);
  path_of(p, "link", b);
  bool good = link(a, b) == 0 && stat(a, &st) == 0 && st.st_nlink == 2;
  am_doctor_prefer(p->d, good, "links", "copy results with `cp -r` from here, not with `cp -l` or rsync --link-dest",
                   "%s", good ? "a second name counts" : "there are no hard links; augmint needs none");
}

// augmint locks no file (leases and renames do it); HDF5's own programs do.
static void check_locks(probe *p) {
  char path[PATH_MAX + 32];
  path_of(p, "exclusive", path);
  int fd = open(path, O_RDWR);
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  bool posix = fd >= 0 && fcntl(fd, F_SETLK, &whole) == 0, bsd = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (fd >= 0) close(fd);
  const char *set = getenv("HDF5_USE_FILE_LOCKING");
  bool off = set && (!strcmp(set, "FALSE") || !strcmp(set, "0"));
  am_doctor_prefer(p->d, bsd || off, "locks", "export HDF5_USE_FILE_LOCKING=FALSE for h5py and HDF5's programs; augmint locks nothing",
                   "fcntl %s, flock %s (HDF5 1.10 and newer lock what they open); HDF5_USE_FILE_LOCKING %s",
                   posix ? "works" : "does not", bsd ? "works" : "does not", set ? set : "is not set");
}

static void check_clock(probe *p) {
  char path[PATH_MAX + 32];
  struct stat st = {0};
  path_of(p, "beat", path);
  struct timespec before = {0};
  clock_gettime(CLOCK_REALTIME, &before);
  bool good = write_text(path, "1", O_EXCL) && stat(path, &st) == 0;
  double skew = difftime(st.st_mtime, before.tv_sec);
  am_doctor_prefer(p->d, good && fabs(skew) <= SKEW_SEC, "clock", "set the host's clock (chronyc, ntpd): ages of leases in `status` are wrong by that",
                   "the file system's is %+.0f s from this host's; leases go by their beats, not by it", good ? skew : NAN);
}

static void check_speed(probe *p) {
  char path[PATH_MAX + 32], *data = NULL, *back = NULL;
  size_t bytes = 0;
  path_of(p, "data", path);
  if (AM_NEW_ARRAY(&data, PROBE_BYTES) != AM_OK) return;
  for (int64_t i = 0; i < PROBE_BYTES; i++) data[i] = (char)(i * 2654435761u >> 13);
  double start = am_clock_sec();
  am_err err = am_file_write(path, data, PROBE_BYTES);  // and fsync
  double wrote = PROBE_BYTES / (am_clock_sec() - start);
  start = am_clock_sec();
  if (!err) err = am_file_read(path, PROBE_BYTES, &back, &bytes);
  double read = PROBE_BYTES / (am_clock_sec() - start);
  bool same = !err && bytes == PROBE_BYTES && !memcmp(data, back, bytes);
  if (!same) {
    am_doctor_fail(p->d, "speed", "look for a full disk or quota, or choose another folder with --results DIR",
                   "16 MiB did not come back: %s", err ? am_err_last()->message : "other bytes");
  } else {
    am_doctor_prefer(p->d, wrote >= SLOW_BYTES, "speed", "keep RESULTS on a faster file system, or make blocks of pools larger",
                     "16 MiB written to disk at %.0f MB/s, read (from cache) at %.0f MB/s", wrote / 1e6, read / 1e6);
  }
  free(data);
  free(back);
}

static void look_alone(probe *p) {
  check_kind(p);
  check_space(p);
  check_exclusive(p);
  check_rename(p);
  check_rename_folder(p);
  check_link(p);
  check_locks(p);
  check_clock(p);
  check_speed(p);
}

// ---- what several ranks can see ----

// How long until this rank reads what the first wrote; below 0: not in time. It opens the folder first, as a host does
// that has been here before.
static double wait_for_token(const char *path, const char *token) {
  double start = am_clock_sec();
  while (!reads(path, token)) {
    if (am_clock_sec() - start > SEEN_WITHIN_SEC) return -1;
    am_clock_sleep(0.05);
  }
  return am_clock_sec() - start;
}

static void judge_sight(am_doctor *d, const double *seen) {
  double longest = 0;
  int blind = -1;
  for (int r = 1; r < d->ranks; r++) {
    if (seen[r] < 0 && blind < 0) blind = r;
    longest = fmax(longest, seen[r]);
  }
  if (blind >= 0) {
    am_doctor_fail(d, "sight", "--results DIR must be one folder on a file system that all hosts share",
                   "rank %d on %s does not see what rank 0 on %s wrote %d s ago", blind, d->host[blind], d->host[0],
                   SEEN_WITHIN_SEC);
  } else {
    am_doctor_prefer(d, longest <= 5, "sight", "mount it with a shorter actimeo, or wait longer for what others do",
                     "%d ranks on %d host%s see a new file after at most %.2f s", d->ranks, d->hosts, d->hosts == 1 ? "" : "s",
                     longest);
  }
}

// One name, claimed by all ranks at once: the way of a lease.
static am_err check_race(const probe *p, int64_t *winners) {
  char path[PATH_MAX + 32];
  am_comm *world = p->d->app->world;
  int64_t mine, *all = NULL;
  path_of(p, "race", path);
  AM_TRY(am_agree(world, AM_NEW_ARRAY(&all, p->d->ranks)));
  am_err err = am_comm_barrier(world);
  mine = write_text(path, "1", O_EXCL);
  if (!err) err = am_comm_all_gather(world, &mine, sizeof mine, all);
  *winners = 0;
  for (int r = 0; r < p->d->ranks; r++) *winners += all[r];
  free(all);
  return err;
}

static am_err look_together(probe *p) {
  am_err err = AM_OK;
  am_doctor *d = p->d;
  am_comm *world = d->app->world;
  char path[PATH_MAX + 32];
  double mine = 0, *seen = NULL;
  int64_t winners = 0;
  path_of(p, "token", path);
  AM_TRY(am_agree(world, AM_NEW_ARRAY(&seen, d->ranks)));
  bool wrote = am_comm_rank(world) != 0 || write_text(path, p->dir + strlen(p->dir) - 6, O_EXCL);
  AM_GO(done, am_agree(world, wrote ? AM_OK : am_path_fail("cannot write", path)));
  mine = wait_for_token(path, p->dir + strlen(p->dir) - 6);
  AM_GO(done, am_comm_all_gather(world, &mine, sizeof mine, seen));
  if (am_comm_rank(world) == 0) judge_sight(d, seen);
  for (int r = 0; r < d->ranks; r++) {
    if (seen[r] < 0) goto done;
  }
  AM_GO(done, check_race(p, &winners));
  if (am_comm_rank(world) == 0)
    am_doctor_require(d, winners == 1, "race", "--results DIR on another file system: two jobs would do one stage",
                      "%lld of %d ranks made the same file (O_EXCL)", (long long)winners, d->ranks);
done:
  free(seen);
  return err;
}

// ---- the folder ----

// RESULTS, or the nearest folder above it that is there.
static void nearest_folder(const char *path, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s", path);
  while (!am_path_is_dir(out)) {
    char *slash = strrchr(out, '/');
    if (!slash) {
      snprintf(out, PATH_MAX, ".");
      return;
    }
    slash[slash == out] = '\0';
  }
}

static void make_folder(probe *p) {
  const char *results = p->d->app->results_dir;
  char base[PATH_MAX];
  nearest_folder(results, base);
  bool there = !strcmp(base, results);
  int used = snprintf(p->dir, sizeof p->dir, "%.*s/.doctor-XXXXXX", PATH_MAX - 32, base);
  bool made = used > 0 && used < (int)sizeof p->dir && mkdtemp(p->dir) != NULL;
  am_doctor_require(p->d, made, "results", "choose another folder with --results DIR, or ask its owner for write access",
                    "%s%s%s%s", results, there ? "" : " will be made below ", there ? "" : base,
                    made ? "" : " cannot be written");
  if (!made) p->dir[0] = '\0';
}

am_err am_doctor_fs(am_doctor *d) {
  am_comm *world = d->app->world;
  bool first = am_comm_rank(world) == 0;
  probe p = {.d = d};
  if (first) make_folder(&p);
  AM_TRY(am_comm_bcast(world, p.dir, sizeof p.dir, 0));
  if (!*p.dir) return AM_OK;
  if (first) look_alone(&p);
  am_err err = d->ranks > 1 ? look_together(&p) : AM_OK;
  if (!err) err = am_comm_barrier(world);
  if (first && am_path_remove_tree(p.dir) != AM_OK) {
    am_doctor_warn(d, "results", "remove it by hand", "%s is left behind: %s", p.dir, am_err_last()->message);
    am_err_clear();
  }
  return err;
}
