// libFuzzer: any text is a manifest or an error, and a manifest can be asked for files that are not there.
#include "data/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  am_manifest *m = NULL;
  am_file_list list = {0};
  if (am_manifest_parse("fuzz.yaml", (const char *)data, size, &m)) return 0;
  if (!am_manifest_list(m, "/nonexistent", &(am_selection){0}, &list)) am_file_list_fini(&list);
  am_manifest_free(m);
  return 0;
}
