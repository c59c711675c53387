// libFuzzer: any bytes are a list of classes, a list of labels, or an error; every file that a list names is found
// in it.
#include <stdlib.h>
#include <string.h>

#include "data/text_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_labels(const char *text, size_t size) {
  am_text_table t = {0};
  if (am_label_table_parse("fuzz", text, size, &t)) return;
  for (int64_t i = 0; i < t.count; i++) {
    if (!t.row[i].key) abort();
    const char *found = am_label_table_find(&t, t.row[i].key);
    if (t.row[i].value && (!found || strcmp(found, t.row[i].value))) abort();
  }
  am_text_table_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  am_text_table t = {0};
  const char *text = size ? (const char *)data : "";
  if (!am_class_table_parse("fuzz", text, size, &t)) {
    for (int64_t i = 0; i < t.count; i++) {
      if (!*t.row[i].key) abort();
    }
    am_text_table_fini(&t);
  }
  read_labels(text, size);
  return 0;
}
