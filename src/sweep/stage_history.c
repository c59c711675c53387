#include "sweep/stage_history.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/path.h"
#include "data/h5.h"

enum { COLUMNS_MAX = 64 };

am_err am_history_save(const am_history *h, const char *path) {
  am_err err = AM_OK;
  am_h5 *file = NULL;
  double *column = NULL;
  const char *name[COLUMNS_MAX];
  int64_t rows = am_history_rows(h);
  int columns = am_history_columns(h);
  AM_CHECK(columns <= COLUMNS_MAX, AM_ERR_INTERNAL, "a history of %d columns", columns);
  AM_GO(done, am_h5_create(&file));
  AM_GO(done, AM_NEW_ARRAY(&column, rows));
  for (int c = 0; c < columns; c++) {
    name[c] = am_history_name(h, c);
    for (int64_t r = 0; r < rows; r++) column[r] = am_history_at(h, r, c);
    AM_GO(done, am_h5_put(file, name[c], AM_H5_F64, 1, &rows, column));
  }
  AM_GO(done, am_h5_put_attr_texts(file, "", "columns", name, columns));
  AM_GO(done, am_h5_publish(file, path));
done:
  free(column);
  am_h5_close(file);
  return err;
}

am_err am_history_load(const char *path, am_history **out) {
  am_err err = AM_OK;
  am_h5 *file = NULL;
  am_history *h = NULL;
  char **name = NULL;
  double *column[COLUMNS_MAX] = {NULL}, row[COLUMNS_MAX];
  int64_t columns = 0, rows = 0;
  AM_GO(done, am_h5_open(path, &file));
  AM_GO(done, am_h5_get_attr_texts(file, "", "columns", &name, &columns));
  AM_CHECK_GO(done, columns > 0 && columns <= COLUMNS_MAX, AM_ERR_DATA, "%s has %lld columns", path,
              (long long)columns);
  for (int64_t c = 0; c < columns; c++) {
    am_h5_info info;
    AM_GO(done, am_h5_get(file, name[c], AM_H5_F64, 1, &info, &column[c]));
    AM_CHECK_GO(done, c == 0 || info.count == rows, AM_ERR_DATA, "%s: columns of different length", path);
    rows = info.count;
  }
  AM_GO(done, am_history_new((const char *const *)name, (int)columns, &h));
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) row[c] = column[c][r];
    AM_GO(done, am_history_add(h, row));
  }
  *out = h;
  h = NULL;
done:
  for (int64_t c = 0; c < COLUMNS_MAX; c++) free(column[c]);
  am_h5_free_texts(name, columns);
  am_history_free(h);
  am_h5_close(file);
  return err;
}
