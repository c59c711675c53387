#include "base/num.h"
#include "dist/collective.h"

void am_partition(int64_t total, int64_t parts, int64_t part, int64_t *first, int64_t *count) {
  int64_t small = total / parts, larger = total % parts;  // the first `larger` parts hold one more
  *first = part * small + am_min_i64(part, larger);
  *count = small + (part < larger ? 1 : 0);
}

int64_t am_partition_owner(int64_t total, int64_t parts, int64_t index) {
  int64_t small = total / parts, larger = total % parts;
  int64_t in_larger = larger * (small + 1);
  if (index < in_larger) return index / (small + 1);
  return larger + (index - in_larger) / small;
}
