#include "base/proc.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { LINE_BYTES = 8192 };

void am_proc_value(const char *file, const char *key, char *out, size_t bytes) {
  char line[LINE_BYTES];
  FILE *f = fopen(file, "r");
  out[0] = '\0';
  while (f && fgets(line, sizeof line, f)) {
    char *colon = strchr(line, ':');
    if (!am_str_starts(line, key) || !colon) continue;
    colon += 1 + strspn(colon + 1, " \t");
    snprintf(out, bytes, "%.*s", (int)strcspn(colon, "\n"), colon);
    break;
  }
  if (f) fclose(f);
}
