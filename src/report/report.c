// The files of a finished experiment, beside results.h5.
#include <stdlib.h>

#include "base/path.h"
#include "report/table.h"

static am_err write_text(const char *dir, const char *name, const am_str *text) {
  char *path = NULL;
  AM_TRY(am_path_join(dir, name, &path));
  am_err err = am_file_write(path, am_str_get(text), (size_t)text->length);
  free(path);
  return err;
}

am_err am_report_text(am_results *r, am_str *out) {
  am_table *t = NULL;
  AM_TRY(am_table_new(r, &t));
  am_err err = am_table_to_text(t, out);
  am_table_free(t);
  return err;
}

am_err am_report_write(am_results *r, const char *dir) {
  am_err err = AM_OK;
  am_table *t = NULL;
  am_str text = {0};
  AM_GO(done, am_path_mkdirs(dir));
  AM_GO(done, am_table_new(r, &t));
  AM_GO(done, am_table_to_text(t, &text));
  AM_GO(done, write_text(dir, "table.txt", &text));
  am_str_clear(&text);
  AM_GO(done, am_table_to_markdown(t, &text));
  AM_GO(done, write_text(dir, "table.md", &text));
  am_str_clear(&text);
  AM_GO(done, am_table_to_latex(t, &text));
  AM_GO(done, write_text(dir, "table.tex", &text));
  am_str_clear(&text);
  AM_GO(done, am_rows_to_csv(am_results_frame(r, "rows"), &text));
  AM_GO(done, write_text(dir, "table.csv", &text));
  am_str_clear(&text);
  AM_GO(done, am_rows_to_csv(am_results_frame(r, "spent"), &text));
  AM_GO(done, write_text(dir, "spent.csv", &text));
  am_str_clear(&text);
  AM_GO(done, am_results_to_html(r, t, &text));
  AM_GO(done, write_text(dir, "report.html", &text));
done:
  am_table_free(t);
  am_str_fini(&text);
  return err;
}
