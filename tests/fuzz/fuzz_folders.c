// libFuzzer: whatever the index of folders holds, behind its first line and with a sum that fits, listing a folder
// gives names or an error. A stored row can never fit a folder that exists, so a folder is read from the disk.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "data/folder_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// One folder of this process, with the index in it.
static const char *folder(void) {
  static char path[64];
  if (!path[0]) {
    snprintf(path, sizeof path, "/tmp/fuzz-folders-XXXXXX");
    if (!mkdtemp(path)) abort();
  }
  return path;
}

static void write_index(const char *path, const uint8_t *data, size_t size) {
  static const char first_line[] = "augmint folders 1\n";
  uint32_t crc = am_crc32c(am_crc32c(0, first_line, sizeof first_line - 1), data, size);
  FILE *f = fopen(path, "wb");
  if (!f) abort();
  fwrite(first_line, 1, sizeof first_line - 1, f);
  fwrite(data, 1, size, f);
  fwrite(&crc, 1, sizeof crc, f);
  if (fclose(f)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[96];
  am_folder_index *index = NULL;
  am_dir_list names = {0};
  snprintf(path, sizeof path, "%s/index", folder());
  write_index(path, data, size);
  if (am_folder_index_load(path, &index)) abort();
  if (am_folder_index_read(index, folder(), "", &names)) abort();
  if (am_folder_index_save(index, path)) abort();
  am_dir_list_fini(&names);
  am_folder_index_free(index);
  return 0;
}
