// Seeded splits by groups: files that belong together (one object, identical bytes) are on one side.
//
// Class by class the groups are shuffled and each goes to the split that lacks most of its share of the
// class. The division depends on the manifest's seed and on what the groups are, and on nothing else.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "data/manifest_internal.h"

typedef struct {
  int64_t *group;   // owned: of each file
  int64_t *size;    // owned: files of a group within the class at hand
  int64_t *member;  // owned: the groups of the class, in the order in which they occur
  int64_t *order;   // owned
  int64_t *split;   // owned: of each group, -1: not yet in any
  double *lack;     // owned: what each split still lacks, in files
} division;

static void division_fini(division *d) {
  free(d->group);
  free(d->size);
  free(d->member);
  free(d->order);
  free(d->split);
  free(d->lack);
}

static am_err division_init(division *d, int64_t groups, int64_t splits) {
  AM_TRY(AM_NEW_ARRAY(&d->size, groups));
  AM_TRY(AM_NEW_ARRAY(&d->member, groups));
  AM_TRY(AM_NEW_ARRAY(&d->order, groups));
  AM_TRY(AM_NEW_ARRAY(&d->split, groups));
  AM_TRY(AM_NEW_ARRAY(&d->lack, splits));
  for (int64_t g = 0; g < groups; g++) d->split[g] = -1;
  return AM_OK;
}

// Counts the groups of files first .. end, which are of one class; returns how many there are.
static int64_t count_groups(int64_t first, int64_t end, division *d) {
  int64_t members = 0;
  for (int64_t i = first; i < end; i++) {
    int64_t g = d->group[i];
    if (d->size[g]++ == 0) d->member[members++] = g;
  }
  return members;
}

static void divide_class(const am_manifest *m, const am_file_list *list, int64_t first, int64_t end,
                         division *d) {
  int64_t members = count_groups(first, end, d);
  for (int64_t s = 0; s < m->split_count; s++) d->lack[s] = m->fraction[s] * (double)(end - first);
  for (int64_t k = 0; k < members; k++) {  // groups that another class has already placed
    int64_t g = d->member[k];
    if (d->split[g] >= 0) d->lack[d->split[g]] -= (double)d->size[g];
  }
  am_rng rng = am_rng_at((uint64_t)m->divide.seed, AM_RNG_SPLIT, (uint64_t)list->entry[first].label);
  am_rng_permutation(&rng, d->order, members);
  for (int64_t k = 0; k < members; k++) {
    int64_t g = d->member[d->order[k]], best = 0;
    if (d->split[g] >= 0) continue;
    for (int64_t s = 1; s < m->split_count; s++) {
      if (d->lack[s] > d->lack[best]) best = s;
    }
    d->split[g] = best;
    d->lack[best] -= (double)d->size[g];
  }
  for (int64_t k = 0; k < members; k++) d->size[d->member[k]] = 0;
}

am_err am_manifest_divide(const am_manifest *m, am_file_list *list) {
  am_err err = AM_OK;
  division d = {0};
  int64_t groups = 0;
  const char **name = NULL;  // of the splits, in the list's memory
  AM_GO(done, AM_NEW_ARRAY(&d.group, list->count));
  AM_GO(done, am_file_list_group(list, strcmp(m->divide.by, "object") == 0, d.group));
  for (int64_t i = 0; i < list->count; i++) groups = am_max_i64(groups, d.group[i] + 1);
  AM_GO(done, division_init(&d, groups, m->split_count));
  AM_GO(done, AM_NEW_ARRAY(&name, m->split_count));
  for (int64_t s = 0; s < m->split_count; s++)
    AM_GO(done, am_arena_text(&list->text, m->split_name[s], &name[s]));
  for (int64_t first = 0, end; first < list->count; first = end) {
    for (end = first; end < list->count && list->entry[end].label == list->entry[first].label;) end++;
    divide_class(m, list, first, end, &d);
  }
  for (int64_t i = 0; i < list->count; i++) list->entry[i].split = name[d.split[d.group[i]]];
done:
  free(name);
  division_fini(&d);
  return err;
}
