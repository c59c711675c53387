#include "train/buckets.h"

#include "base/mem.h"

am_err am_buckets_init(am_buckets *b, const int64_t *elements, int leaves, int64_t least) {
  int64_t end = 0;
  *b = (am_buckets){0};
  for (int j = 0; j < leaves; j++) end += elements[j];
  AM_TRY(AM_NEW_ARRAY(&b->of, leaves));
  for (int j = leaves - 1; j >= 0; j--) {
    am_bucket *last = b->count ? &b->item[b->count - 1] : NULL;
    if (!last || last->count >= least) {
      AM_TRY(AM_GROW(&b->item, &b->capacity, b->count + 1));
      last = &b->item[b->count++];
    }
    end -= elements[j];
    last->first = end;
    last->count += elements[j];
    last->leaves++;
    b->of[j] = (int)(b->count - 1);
  }
  am_buckets_reset(b);
  return AM_OK;
}

void am_buckets_fini(am_buckets *b) {
  free(b->item);
  free(b->of);
  *b = (am_buckets){0};
}

void am_buckets_mark(am_buckets *b, int leaf) {
  b->item[b->of[leaf]].missing--;
  while (b->ready < b->count && b->item[b->ready].missing == 0) b->ready++;
}

void am_buckets_reset(am_buckets *b) {
  for (int64_t i = 0; i < b->count; i++) b->item[i].missing = b->item[i].leaves;
  b->ready = 0;
}
