#include "data/text_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"

void am_text_table_fini(am_text_table *t) {
  free(t->text);
  free(t->row);
  *t = (am_text_table){0};
}

static char *trim(char *p) {
  p += strspn(p, " \t\r");
  char *end = p + strlen(p);
  while (end > p && strchr(" \t\r", end[-1])) *--end = '\0';
  return p;
}

// Cuts a line in two; the second part is NULL where there is none.
typedef void cut_line(char *line, am_text_row *row);

static void cut_class(char *line, am_text_row *row) {
  char *blank = line + strcspn(line, " \t");
  bool more = *blank != '\0';
  *blank = '\0';
  row->key = line;
  row->value = more ? trim(blank + 1) : NULL;
}

static void cut_label(char *line, am_text_row *row) {
  const char *between = strchr(line, '\t') ? "\t" : strchr(line, ',') ? "," : " ";
  char *end = line + strcspn(line, between);
  bool more = *end != '\0';
  *end = '\0';
  char *key = trim(line);
  row->key = more ? am_path_name(key) : key;
  if (!more) return;
  char *value = end + 1 + strspn(end + 1, *between == ' ' ? " " : "");
  value[strcspn(value, between)] = '\0';
  row->value = trim(value);
}

static am_err parse(const char *name, const char *text, size_t bytes, cut_line *cut, am_text_table *out) {
  am_err err = AM_OK;
  am_text_table t = {0};
  int64_t line_number = 0;
  AM_CHECK(bytes <= AM_TEXT_TABLE_BYTES, AM_ERR_DATA, "%s has %zu bytes, at most %d are read", name, bytes,
           AM_TEXT_TABLE_BYTES);
  AM_CHECK(!memchr(text, '\0', bytes), AM_ERR_DATA, "%s is not text: it holds a zero byte", name);
  AM_GO(done, AM_NEW_ARRAY(&t.text, (int64_t)bytes + 1));
  memcpy(t.text, text, bytes);
  for (char *line = t.text, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = '\0';
    line_number++;
    line = trim(line);
    if (!*line) continue;
    AM_GO(done, AM_GROW(&t.row, &t.capacity, t.count + 1));
    t.row[t.count].line = line_number;
    cut(line, &t.row[t.count++]);
  }
  AM_CHECK_GO(done, t.count > 0, AM_ERR_DATA, "%s is empty", name);
  *out = t;
  t = (am_text_table){0};
done:
  am_text_table_fini(&t);
  return err;
}

am_err am_class_table_parse(const char *name, const char *text, size_t bytes, am_text_table *out) {
  return parse(name, text, bytes, cut_class, out);
}

// ---- labels ----

static int compare_rows(const void *a, const void *b) {
  const am_text_row *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  return order ? order : (x->line > y->line) - (x->line < y->line);
}

static am_err check_labels(const char *name, const am_text_table *t) {
  for (int64_t i = 1; i < t->count; i++) {
    const am_text_row *a = &t->row[i - 1], *b = &t->row[i];
    AM_CHECK(!a->value == !b->value, AM_ERR_DATA, "%s:%lld has %s column, line %lld another number", name,
             (long long)b->line, b->value ? "a second" : "one", (long long)a->line);
    AM_CHECK(!a->value || strcmp(a->key, b->key) != 0 || strcmp(a->value, b->value) == 0, AM_ERR_DATA,
             "%s: %s is of the class \"%s\" in line %lld and \"%s\" in line %lld", name, a->key, a->value,
             (long long)a->line, b->value, (long long)b->line);
  }
  return AM_OK;
}

am_err am_label_table_parse(const char *name, const char *text, size_t bytes, am_text_table *out) {
  am_text_table t = {0};
  AM_TRY(parse(name, text, bytes, cut_label, &t));
  if (t.row[0].value) qsort(t.row, (size_t)t.count, sizeof *t.row, compare_rows);
  am_err err = check_labels(name, &t);
  if (err) {
    am_text_table_fini(&t);
    return err;
  }
  *out = t;
  return AM_OK;
}

// The row whose key is the first `length` bytes of `file`.
static const am_text_row *find_prefix(const am_text_table *t, const char *file, size_t length) {
  int64_t low = 0, high = t->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const char *key = t->row[middle].key;
    int order = strncmp(key, file, length);
    if (order == 0 && key[length] == '\0') return &t->row[middle];
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

const char *am_label_table_find(const am_text_table *t, const char *file) {
  const char *dot = strrchr(file, '.');
  const am_text_row *row = find_prefix(t, file, strlen(file));
  if (!row && dot) row = find_prefix(t, file, (size_t)(dot - file));
  return row ? row->value : NULL;
}
