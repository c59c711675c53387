#include "train/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/num.h"
#include "base/str.h"
#include "dist/collective.h"

enum { NAME_BYTES = 64, ALIGNMENT = 64, GENERATIONS = 2 };
#define MAGIC "augmint-checkpoint 1"
#define CRC_LINE "crc %08" PRIx32 "\n"
static const size_t INDEX_LIMIT = 1 << 20;
static const size_t STATE_LIMIT = (size_t)1 << 40;

typedef struct {
  char name[NAME_BYTES];
  int64_t offset, bytes;  // into the state
} blob;

struct am_checkpoint {
  blob *blob;  // owned
  int64_t count, capacity;
  char *state;  // owned
  int64_t state_bytes, state_capacity;
};

// ---- in memory ----

am_err am_checkpoint_new(am_checkpoint **out) { return AM_NEW(out); }

void am_checkpoint_free(am_checkpoint *c) {
  if (!c) return;
  free(c->blob);
  free(c->state);
  free(c);
}

// A blob of `bytes` to fill, borrowed until the next one is added.
static am_err add_blob(am_checkpoint *c, const char *name, size_t bytes, char **data) {
  AM_CHECK(
      strlen(name) < NAME_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == strlen(name),
      AM_ERR_DATA, "\"%.80s\" cannot name a part of a checkpoint", name);
  int64_t offset = (int64_t)am_align_up((size_t)c->state_bytes, ALIGNMENT), end = offset + (int64_t)bytes;
  AM_TRY(AM_GROW(&c->blob, &c->capacity, c->count + 1));
  AM_TRY(AM_GROW(&c->state, &c->state_capacity, end));
  blob *b = &c->blob[c->count++];
  *b = (blob){.offset = offset, .bytes = (int64_t)bytes};
  snprintf(b->name, sizeof b->name, "%s", name);
  c->state_bytes = end;
  *data = c->state + offset;
  return AM_OK;
}

am_err am_checkpoint_put(am_checkpoint *c, const char *name, const void *data, size_t bytes) {
  char *copy = NULL;
  AM_TRY(add_blob(c, name, bytes, &copy));
  if (bytes) memcpy(copy, data, bytes);
  return AM_OK;
}

const void *am_checkpoint_find(const am_checkpoint *c, const char *name, size_t *bytes) {
  for (int64_t i = 0; i < c->count; i++) {
    if (strcmp(c->blob[i].name, name) != 0) continue;
    *bytes = (size_t)c->blob[i].bytes;
    return c->state + c->blob[i].offset;
  }
  return NULL;
}

// The bytes of a blob that must have this size; borrowed.
static am_err find_sized(const am_checkpoint *c, const char *name, size_t bytes, const void **data) {
  size_t have = 0;
  *data = am_checkpoint_find(c, name, &have);
  AM_CHECK(*data, AM_ERR_DATA, "the checkpoint holds no %s", name);
  AM_CHECK(have == bytes, AM_ERR_DATA, "%s of the checkpoint has %zu bytes, expected %zu", name, have, bytes);
  return AM_OK;
}

am_err am_checkpoint_get(const am_checkpoint *c, const char *name, void *data, size_t bytes) {
  const void *found = NULL;
  AM_TRY(find_sized(c, name, bytes, &found));
  if (bytes) memcpy(data, found, bytes);
  return AM_OK;
}

static size_t tensor_bytes(const am_tensor *t) {
  return (size_t)am_tensor_count(t) * am_dtype_size(t->dtype);
}

am_err am_checkpoint_put_tensor(am_checkpoint *c, const char *name, am_tensor *t) {
  char *data = NULL;
  AM_TRY(add_blob(c, name, tensor_bytes(t), &data));
  return am_tensor_to_host(t, data);
}

am_err am_checkpoint_get_tensor(const am_checkpoint *c, const char *name, am_tensor *t) {
  const void *data = NULL;
  AM_TRY(find_sized(c, name, tensor_bytes(t), &data));
  return am_tensor_copy_from_host(t, data);
}

// ---- networks and optimisers ----

typedef struct {
  char text[NAME_BYTES];
} part_name;
static part_name part(const char *name, const char *what) {
  part_name p;
  snprintf(p.text, sizeof p.text, "%s.%s", name, what);
  return p;
}

am_err am_checkpoint_put_params(am_checkpoint *c, const char *name, am_params *ps) {
  AM_TRY(am_checkpoint_put_tensor(c, part(name, "values").text, am_params_values(ps)));
  if (am_params_buffers(ps))
    AM_TRY(am_checkpoint_put_tensor(c, part(name, "buffers").text, am_params_buffers(ps)));
  int64_t count = am_params_count(ps);
  char *data = NULL;
  AM_TRY(add_blob(c, part(name, "counters").text, (size_t)count * sizeof(int64_t), &data));
  int64_t *counter = (int64_t *)(void *)data;
  for (int64_t i = 0; i < count; i++) counter[i] = am_params_at(ps, i)->counter;
  return AM_OK;
}

am_err am_checkpoint_get_params(const am_checkpoint *c, const char *name, am_params *ps) {
  AM_TRY(am_checkpoint_get_tensor(c, part(name, "values").text, am_params_values(ps)));
  if (am_params_buffers(ps))
    AM_TRY(am_checkpoint_get_tensor(c, part(name, "buffers").text, am_params_buffers(ps)));
  int64_t count = am_params_count(ps);
  const void *data = NULL;
  AM_TRY(find_sized(c, part(name, "counters").text, (size_t)count * sizeof(int64_t), &data));
  for (int64_t i = 0; i < count; i++) am_params_at(ps, i)->counter = ((const int64_t *)data)[i];
  return AM_OK;
}

static const char *const state_name[2] = {"state0", "state1"};

am_err am_checkpoint_put_optim(am_checkpoint *c, const char *name, am_optim *o) {
  am_tensor *state[2];
  int count = am_optim_state(o, state);
  for (int i = 0; i < count; i++)
    AM_TRY(am_checkpoint_put_tensor(c, part(name, state_name[i]).text, state[i]));
  int64_t steps = am_optim_steps(o);
  return am_checkpoint_put(c, part(name, "steps").text, &steps, sizeof steps);
}

am_err am_checkpoint_get_optim(const am_checkpoint *c, const char *name, am_optim *o) {
  am_tensor *state[2];
  int count = am_optim_state(o, state);
  for (int i = 0; i < count; i++)
    AM_TRY(am_checkpoint_get_tensor(c, part(name, state_name[i]).text, state[i]));
  int64_t steps = 0;
  AM_TRY(am_checkpoint_get(c, part(name, "steps").text, &steps, sizeof steps));
  am_optim_set_steps(o, steps);
  return AM_OK;
}

// ---- numbers of slices ----

// Every rank sends as many rows as the largest share: am_comm_gather takes equal parts.
am_err am_checkpoint_put_slices(am_checkpoint *c, const char *name, am_comm *comm, int64_t slices,
                                const double *rows, int64_t count) {
  am_err err = AM_OK;
  int64_t size = am_comm_size(comm), most = am_ceil_div(slices, size), first, local;
  size_t row_bytes = (size_t)count * sizeof *rows;
  double *mine = NULL, *all = NULL;
  char *data = NULL;
  am_partition(slices, size, am_comm_rank(comm), &first, &local);
  err = AM_NEW_ARRAY(&mine, most * count);
  if (!err) err = AM_NEW_ARRAY(&all, size * most * count);
  if (!err) err = add_blob(c, name, (size_t)slices * row_bytes, &data);
  AM_GO(done, am_agree(comm, err));
  if (local) memcpy(mine, rows, (size_t)local * row_bytes);
  AM_GO(done, am_comm_gather(comm, mine, (size_t)most * row_bytes, all, 0));
  for (int64_t r = 0; r < size; r++) {
    am_partition(slices, size, r, &first, &local);
    memcpy(data + (size_t)first * row_bytes, all + r * most * count, (size_t)local * row_bytes);
  }
done:
  free(mine);
  free(all);
  return err;
}

am_err am_checkpoint_get_slices(const am_checkpoint *c, const char *name, am_comm *comm, int64_t slices,
                                double *rows, int64_t count) {
  const void *data = NULL;
  int64_t first, local;
  size_t row_bytes = (size_t)count * sizeof *rows;
  AM_TRY(find_sized(c, name, (size_t)slices * row_bytes, &data));
  am_partition(slices, am_comm_size(comm), am_comm_rank(comm), &first, &local);
  if (local) memcpy(rows, (const char *)data + (size_t)first * row_bytes, (size_t)local * row_bytes);
  return AM_OK;
}

// ---- writing ----

static am_err write_file(const char *dir, const char *name, const void *data, size_t bytes) {
  char *path = NULL;
  AM_TRY(am_path_join(dir, name, &path));
  am_err err = am_file_write(path, data, bytes);
  free(path);
  return err;
}

static am_err write_index(const am_checkpoint *c, const char *dir, const char *identity, int64_t step) {
  am_err err = AM_OK;
  am_str text = {0};
  AM_GO(done, am_str_printf(&text, MAGIC "\nstep %" PRId64 "\nidentity %s\n", step, identity));
  AM_GO(done, am_str_printf(&text, "state %" PRId64 " %08" PRIx32 "\n", c->state_bytes,
                            am_crc32c(0, c->state, (size_t)c->state_bytes)));
  for (int64_t i = 0; i < c->count; i++) {
    const blob *b = &c->blob[i];
    AM_GO(done, am_str_printf(&text, "blob %s %" PRId64 " %" PRId64 "\n", b->name, b->offset, b->bytes));
  }
  AM_GO(done, am_str_printf(&text, CRC_LINE, am_crc32c(0, text.text, (size_t)text.length)));
  AM_GO(done, write_file(dir, "index.txt", text.text, (size_t)text.length));
done:
  am_str_fini(&text);
  return err;
}

// The steps of the checkpoints in dir, newest first. A missing folder holds none.
static am_err list_steps(const char *dir, int64_t **steps, int64_t *count) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  int64_t capacity = 0;
  *steps = NULL;
  *count = 0;
  if (!am_path_is_dir(dir)) return AM_OK;
  AM_GO(done, am_dir_read(dir, &list));
  for (int64_t i = list.count - 1; i >= 0; i--) {  // names sort as their numbers do
    char *end = NULL;
    if (!am_str_starts(list.name[i], "step-")) continue;
    long long step = strtoll(list.name[i] + strlen("step-"), &end, 10);
    if (*end || step < 0) continue;
    AM_GO(done, AM_GROW(steps, &capacity, *count + 1));
    (*steps)[(*count)++] = step;
  }
done:
  am_dir_list_fini(&list);
  return err;
}

static am_err step_path(const char *dir, const char *prefix, int64_t step, char **out) {
  return am_str_format(out, "%s/%sstep-%012" PRId64, dir, prefix, step);
}

static am_err remove_step(const char *dir, int64_t step) {
  char *path = NULL;
  AM_TRY(step_path(dir, "", step, &path));
  am_err err = am_path_remove_tree(path);
  free(path);
  return err;
}

static am_err remove_old(const char *dir) {
  int64_t *steps = NULL, count = 0;
  am_err err = list_steps(dir, &steps, &count);
  for (int64_t i = GENERATIONS; i < count && !err; i++) err = remove_step(dir, steps[i]);
  free(steps);
  return err;
}

am_err am_checkpoint_write(const am_checkpoint *c, const char *dir, const char *identity, int64_t step) {
  am_err err = AM_OK;
  char *beside = NULL, *target = NULL;
  AM_GO(done, step_path(dir, ".new-", step, &beside));
  AM_GO(done, step_path(dir, "", step, &target));
  AM_GO(done, am_path_remove_tree(beside));  // of a run that died while writing
  AM_GO(done, am_path_mkdirs(beside));
  AM_GO(done, write_file(beside, "state.bin", c->state, (size_t)c->state_bytes));
  AM_GO(done, write_index(c, beside, identity, step));
  AM_GO(done, am_path_remove_tree(target));  // the same step, found bad on resume
  AM_GO(done, am_path_rename(beside, target));
  AM_GO(done, remove_old(dir));
done:
  if (err && beside && am_path_remove_tree(beside) != AM_OK) AM_WARN("%s is left behind", beside);
  free(beside);
  free(target);
  return err;
}

// ---- reading ----

// One line of the index into *line, without its end; the cursor moves on.
static bool next_line(char **cursor, char **line) {
  char *end = strchr(*cursor, '\n');
  if (!end) return false;
  *end = '\0';
  *line = *cursor;
  *cursor = end + 1;
  return true;
}

static am_err read_state(am_checkpoint *c, const char *dir, const char *line) {
  am_err err = AM_OK;
  char *path = NULL;
  size_t have = 0;
  int64_t bytes = 0;
  uint32_t crc = 0;
  AM_CHECK(sscanf(line, "state %" SCNd64 " %" SCNx32, &bytes, &crc) == 2, AM_ERR_DATA,
           "line \"%.80s\" is not understood", line);
  AM_GO(done, am_path_join(dir, "state.bin", &path));
  AM_GO(done, am_file_read(path, STATE_LIMIT, &c->state, &have));
  c->state_bytes = c->state_capacity = (int64_t)have;
  AM_CHECK_GO(done, c->state_bytes == bytes, AM_ERR_DATA, "%s has %zu bytes, expected %" PRId64, path, have,
              bytes);
  AM_CHECK_GO(done, am_crc32c(0, c->state, have) == crc, AM_ERR_DATA, "%s is corrupt: its checksum differs",
              path);
done:
  free(path);
  return err;
}

static am_err read_blob(am_checkpoint *c, const char *line) {
  blob b = {0};
  AM_CHECK(sscanf(line, "blob %63s %" SCNd64 " %" SCNd64, b.name, &b.offset, &b.bytes) == 3, AM_ERR_DATA,
           "line \"%.80s\" is not understood", line);
  AM_CHECK(b.offset >= 0 && b.offset % ALIGNMENT == 0 && b.bytes >= 0 && b.offset <= c->state_bytes &&
               b.bytes <= c->state_bytes - b.offset,
           AM_ERR_DATA, "%s lies outside state.bin", b.name);
  AM_TRY(AM_GROW(&c->blob, &c->capacity, c->count + 1));
  c->blob[c->count++] = b;
  return AM_OK;
}

// The last line must be the sum of the text above it; it is cut off.
static am_err check_index(const char *path, char *text) {
  char *last = strstr(text, "\ncrc "), want[32];
  AM_CHECK(last, AM_ERR_DATA, "%s has no checksum", path);
  snprintf(want, sizeof want, CRC_LINE, am_crc32c(0, text, (size_t)(last + 1 - text)));
  AM_CHECK(strcmp(last + 1, want) == 0, AM_ERR_DATA, "%s is corrupt: its checksum differs", path);
  last[1] = '\0';
  return AM_OK;
}

// *other: a good checkpoint, but of another training.
static am_err read_step(const char *dir, const char *identity, bool *other, am_checkpoint **out) {
  am_err err = AM_OK;
  am_checkpoint *c = NULL;
  char *path = NULL, *text = NULL, *line = NULL;
  size_t bytes = 0;
  AM_GO(done, am_path_join(dir, "index.txt", &path));
  AM_GO(done, am_file_read(path, INDEX_LIMIT, &text, &bytes));
  AM_GO(done, check_index(path, text));
  char *cursor = text;
  AM_CHECK_GO(done, next_line(&cursor, &line) && strcmp(line, MAGIC) == 0, AM_ERR_DATA,
              "%s does not begin with %s", path, MAGIC);
  AM_CHECK_GO(done, next_line(&cursor, &line) && am_str_starts(line, "step "), AM_ERR_DATA,
              "%s names no step", path);
  AM_CHECK_GO(done, next_line(&cursor, &line) && am_str_starts(line, "identity "), AM_ERR_DATA,
              "%s names no training", path);
  if (strcmp(line + strlen("identity "), identity) != 0) {
    *other = true;
    err = AM_FAIL(AM_ERR_DATA, "%s belongs to another training (%s), this is %s", dir,
                  line + strlen("identity "), identity);
    goto done;
  }
  AM_GO(done, am_checkpoint_new(&c));
  AM_CHECK_GO(done, next_line(&cursor, &line), AM_ERR_DATA, "%s names no size", path);
  AM_GO(done, read_state(c, dir, line));
  while (next_line(&cursor, &line)) AM_GO(done, read_blob(c, line));
  *out = c;
  c = NULL;
done:
  am_checkpoint_free(c);
  free(path);
  free(text);
  return err;
}

static am_err read_newest(const char *dir, const char *identity, am_checkpoint **out) {
  int64_t *steps = NULL, count = 0;
  am_err err = list_steps(dir, &steps, &count);
  for (int64_t i = 0; i < count && !err && !*out; i++) {
    char *path = NULL;
    bool other = false;
    err = step_path(dir, "", steps[i], &path);
    if (!err) {
      am_err bad = read_step(path, identity, &other, out);
      if (other || bad == AM_ERR_NOMEM) {
        err = bad;
      } else if (bad) {
        AM_WARN("checkpoint %s is bad (%s); %s", path, am_err_last()->message,
                i + 1 < count ? "the one before it is taken" : "training starts again");
      }
    }
    free(path);
  }
  free(steps);
  return err;
}

// What rank 0 read, to everybody.
static am_err share(am_comm *comm, am_checkpoint *mine, am_checkpoint **out) {
  am_err err = AM_OK;
  am_checkpoint *c = mine;
  struct {
    int64_t count, state_bytes;
  } size = {-1, 0};
  if (mine) size.count = mine->count, size.state_bytes = mine->state_bytes;
  AM_GO(done, am_comm_bcast(comm, &size, sizeof size, 0));
  if (size.count < 0) return AM_OK;
  if (!mine) err = am_checkpoint_new(&c);
  if (!mine && !err) err = AM_GROW(&c->blob, &c->capacity, size.count);
  if (!mine && !err) err = AM_GROW(&c->state, &c->state_capacity, size.state_bytes);
  AM_GO(done, am_agree(comm, err));
  c->count = size.count;
  c->state_bytes = size.state_bytes;
  AM_GO(done, am_comm_bcast(comm, c->blob, (size_t)c->count * sizeof *c->blob, 0));
  AM_GO(done, am_comm_bcast(comm, c->state, (size_t)c->state_bytes, 0));
  *out = c;
  c = NULL;
done:
  am_checkpoint_free(c);
  return err;
}

am_err am_checkpoint_read(am_comm *comm, const char *dir, const char *identity, am_checkpoint **out) {
  *out = NULL;
  am_checkpoint *mine = NULL;
  am_err err = am_comm_rank(comm) == 0 ? read_newest(dir, identity, &mine) : AM_OK;
  err = am_agree(comm, err);
  if (err) {
    am_checkpoint_free(mine);
    return err;
  }
  if (am_comm_size(comm) == 1) {
    *out = mine;
    return AM_OK;
  }
  return share(comm, mine, out);
}
