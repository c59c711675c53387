// One row of numbers per epoch, under named columns.
#include <string.h>

#include "base/mem.h"
#include "train/train.h"

struct am_history {
  char **name;  // owned
  int columns;
  double *value;  // owned: row-major
  int64_t rows, capacity;
};

am_err am_history_new(const char *const *column, int count, am_history **out) {
  am_err err = AM_OK;
  am_history *h = NULL;
  AM_TRY(AM_NEW(&h));
  h->columns = count;
  AM_GO(done, AM_NEW_ARRAY(&h->name, count));
  for (int k = 0; k < count; k++) AM_GO(done, am_mem_strdup(column[k], &h->name[k]));
  *out = h;
  h = NULL;
done:
  am_history_free(h);
  return err;
}

void am_history_free(am_history *h) {
  if (!h) return;
  for (int k = 0; h->name && k < h->columns; k++) free(h->name[k]);
  free(h->name);
  free(h->value);
  free(h);
}

am_err am_history_add(am_history *h, const double *row) {
  AM_TRY(AM_GROW(&h->value, &h->capacity, (h->rows + 1) * h->columns));
  memcpy(h->value + h->rows * h->columns, row, (size_t)h->columns * sizeof *row);
  h->rows++;
  return AM_OK;
}

int64_t am_history_rows(const am_history *h) { return h->rows; }
int am_history_columns(const am_history *h) { return h->columns; }
const char *am_history_name(const am_history *h, int column) { return h->name[column]; }
double am_history_at(const am_history *h, int64_t row, int column) {
  return h->value[row * h->columns + column];
}
