// Any bytes as a configuration: no crash, no leak, no blow-up; what is accepted prints as YAML that
// reads back with the same meaning.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(am_err err) {
  if (err) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  am_node *n = NULL, *again = NULL;
  if (am_yaml_parse("fuzz", (const char *)data, size, &n)) return 0;
  am_str before = {0}, printed = {0}, after = {0};
  must(am_node_canonical(n, &before));
  must(am_node_print(n, &printed));
  if (printed.length <= AM_YAML_BYTES) {  // quoting may push a large text over the limit
    must(am_yaml_parse("printed", am_str_get(&printed), (size_t)printed.length, &again));
    must(am_node_canonical(again, &after));
    if (strcmp(am_str_get(&before), am_str_get(&after))) abort();
  }
  am_node_free(n);
  am_node_free(again);
  am_str_fini(&before);
  am_str_fini(&printed);
  am_str_fini(&after);
  return 0;
}
