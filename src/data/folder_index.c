#include "data/folder_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

static const char first_line[] = "augmint folders 1\n";
static const size_t LIMIT_BYTES = (size_t)1 << 32;
static const int64_t NS = 1000000000;
enum { SETTLE_SEC = 3 };

typedef struct {
  int64_t inode, modified_ns, changed_ns;  // of the folder when it was read
  int64_t path_bytes, name_bytes;          // with their zeros
  int64_t name_count;
} record;

typedef struct {
  record head;
  const char *path, *names;  // in data, or in text
} folder_row;

struct am_folder_index {
  char *data;       // owned: the file
  am_arena text;    // of what was read since
  folder_row *row;  // owned, the first `sorted` sorted by path
  int64_t count, sorted, capacity;
};

// By path; of two readings of one folder the later one comes last.
static int compare_rows(const void *a, const void *b) {
  const folder_row *x = a, *y = b;
  int order = strcmp(x->path, y->path);
  return order ? order
               : (x->head.changed_ns > y->head.changed_ns) - (x->head.changed_ns < y->head.changed_ns);
}
static int compare_paths(const void *a, const void *b) {
  return strcmp(((const folder_row *)a)->path, ((const folder_row *)b)->path);
}

// ---- loading ----

// `bytes` bytes that hold exactly `count` strings.
static bool are_strings(const char *p, int64_t bytes, int64_t count) {
  int64_t zeros = 0;
  if (bytes == 0) return count == 0;
  for (int64_t i = 0; i < bytes; i++) zeros += p[i] == '\0';
  return p[bytes - 1] == '\0' && zeros == count;
}

// One row of the file at *at; false when what is there is none.
static bool read_row(const char *data, int64_t end, int64_t *at, folder_row *out) {
  record *h = &out->head;
  if (end - *at < (int64_t)sizeof *h) return false;
  memcpy(h, data + *at, sizeof *h);
  int64_t room = end - *at - (int64_t)sizeof *h;
  if (h->path_bytes < 1 || h->path_bytes > room || h->name_bytes < 0 || h->name_bytes > room - h->path_bytes)
    return false;
  out->path = data + *at + sizeof *h;
  out->names = out->path + h->path_bytes;
  *at += (int64_t)sizeof *h + h->path_bytes + h->name_bytes;
  return are_strings(out->path, h->path_bytes, 1) && are_strings(out->names, h->name_bytes, h->name_count);
}

static am_err read_rows(am_folder_index *x, size_t bytes) {
  size_t line = sizeof first_line - 1;
  uint32_t crc;
  if (bytes < line + sizeof crc || memcmp(x->data, first_line, line) != 0) return AM_OK;
  memcpy(&crc, x->data + bytes - sizeof crc, sizeof crc);
  if (am_crc32c(0, x->data, bytes - sizeof crc) != crc) return AM_OK;
  int64_t at = (int64_t)line, end = (int64_t)(bytes - sizeof crc);
  folder_row row;
  while (read_row(x->data, end, &at, &row)) {
    AM_TRY(AM_GROW(&x->row, &x->capacity, x->count + 1));
    x->row[x->count++] = row;
  }
  return AM_OK;
}

am_err am_folder_index_load(const char *path, am_folder_index **out) {
  am_err err = AM_OK;
  am_folder_index *x = NULL;
  size_t bytes = 0;
  AM_TRY(AM_NEW(&x));
  if (path && am_path_exists(path)) {
    err = am_file_read(path, LIMIT_BYTES, &x->data, &bytes);
    if (err == AM_ERR_NOMEM) goto done;
    if (err) AM_DEBUG("the index of folders is not used: %s", am_err_last()->message);
    err = AM_OK;
    if (x->data) AM_GO(done, read_rows(x, bytes));
  }
  if (x->count) qsort(x->row, (size_t)x->count, sizeof *x->row, compare_rows);
  x->sorted = x->count;
  *out = x;
  x = NULL;
done:
  am_folder_index_free(x);
  return err;
}

void am_folder_index_free(am_folder_index *x) {
  if (!x) return;
  am_arena_fini(&x->text);
  free(x->data);
  free(x->row);
  free(x);
}

// ---- reading ----

static folder_row *find_row(const am_folder_index *x, const char *folder) {
  folder_row key = {.path = folder};
  return x->sorted ? bsearch(&key, x->row, (size_t)x->sorted, sizeof *x->row, compare_paths) : NULL;
}

static am_err look(const char *full, record *out) {
  struct stat st;
  AM_CHECK(stat(full, &st) == 0, AM_ERR_IO, "cannot open the folder %s: %s", full, strerror(errno));
  *out = (record){.inode = (int64_t)st.st_ino,
                  .modified_ns = st.st_mtim.tv_sec * NS + st.st_mtim.tv_nsec,
                  .changed_ns = st.st_ctim.tv_sec * NS + st.st_ctim.tv_nsec};
  return AM_OK;
}

static bool is_as_it_was(const record *a, const record *b) {
  return a->inode == b->inode && a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static am_err recall(const folder_row *row, am_dir_list *out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  const char *p = row->names;
  AM_GO(done, AM_NEW_ARRAY(&list.name, row->head.name_count));
  list.capacity = row->head.name_count;
  for (; list.count < row->head.name_count; p += strlen(p) + 1) {
    AM_GO(done, am_mem_strdup(p, &list.name[list.count]));
    list.count++;
  }
  *out = list;
  list = (am_dir_list){0};
done:
  am_dir_list_fini(&list);
  return err;
}

// All names in one run of bytes, each with its zero.
static am_err pack_names(am_folder_index *x, const am_dir_list *names, folder_row *row) {
  char *at = NULL;
  row->head.name_count = names->count;
  for (int64_t i = 0; i < names->count; i++) row->head.name_bytes += (int64_t)strlen(names->name[i]) + 1;
  AM_TRY(am_arena_alloc(&x->text, (size_t)row->head.name_bytes, &at));
  row->names = at;
  for (int64_t i = 0; i < names->count; i++) {
    size_t n = strlen(names->name[i]) + 1;
    memcpy(at, names->name[i], n);
    at += n;
  }
  return AM_OK;
}

static am_err remember(am_folder_index *x, const char *folder, const record *now, const am_dir_list *names) {
  folder_row row = {.head = *now};
  if (now->changed_ns / NS > time(NULL) - SETTLE_SEC) return AM_OK;
  row.head.path_bytes = (int64_t)strlen(folder) + 1;
  AM_TRY(pack_names(x, names, &row));
  AM_TRY(am_arena_text(&x->text, folder, &row.path));
  AM_TRY(AM_GROW(&x->row, &x->capacity, x->count + 1));
  x->row[x->count++] = row;
  return AM_OK;
}

am_err am_folder_index_read(am_folder_index *x, const char *root, const char *folder, am_dir_list *out) {
  am_err err = AM_OK;
  am_dir_list names = {0};
  record now;
  char *full = NULL;
  AM_GO(done, am_path_join(root, folder, &full));
  AM_GO(done, look(full, &now));
  const folder_row *row = find_row(x, folder);
  if (row && is_as_it_was(&row->head, &now)) {
    err = recall(row, out);
    goto done;
  }
  AM_GO(done, am_dir_read(full, &names));
  AM_GO(done, remember(x, folder, &now, &names));
  *out = names;
  names = (am_dir_list){0};
done:
  am_dir_list_fini(&names);
  free(full);
  return err;
}

// ---- saving ----

// One row for each folder.
static void sort_rows(am_folder_index *x) {
  int64_t kept = 0;
  qsort(x->row, (size_t)x->count, sizeof *x->row, compare_rows);
  for (int64_t i = 0; i < x->count; i++) {
    if (kept && compare_paths(&x->row[kept - 1], &x->row[i]) == 0) kept--;
    x->row[kept++] = x->row[i];
  }
  x->count = x->sorted = kept;
}

am_err am_folder_index_save(am_folder_index *x, const char *path) {
  enum { PIECES = 3 };
  am_piece *piece = NULL;
  int64_t n = 0;
  uint32_t crc = 0;
  if (x->count == x->sorted) return AM_OK;
  sort_rows(x);
  AM_CHECK(x->count < INT32_MAX / PIECES - 1, AM_ERR_UNSUPPORTED, "%lld folders are too many for an index",
           (long long)x->count);
  AM_TRY(AM_NEW_ARRAY(&piece, PIECES * x->count + 2));
  piece[n++] = (am_piece){first_line, sizeof first_line - 1};
  for (int64_t i = 0; i < x->count; i++) {
    const folder_row *r = &x->row[i];
    piece[n++] = (am_piece){&r->head, sizeof r->head};
    piece[n++] = (am_piece){r->path, (size_t)r->head.path_bytes};
    piece[n++] = (am_piece){r->names, (size_t)r->head.name_bytes};
  }
  for (int64_t i = 0; i < n; i++) crc = am_crc32c(crc, piece[i].data, piece[i].bytes);
  piece[n++] = (am_piece){&crc, sizeof crc};
  am_err err = am_file_write_pieces(path, piece, (int)n);
  free(piece);
  return err;
}
