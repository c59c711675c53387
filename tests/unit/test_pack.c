// Packing: every wanted stage once, inputs in earlier arrays, job lengths, shared stages, arrays cut to size.
#include "am_test.h"
#include "base/mem.h"
#include "sweep/pack.h"

// A plan by hand: one split, fits, one block each, cells, one evaluation each.
typedef struct {
  am_plan plan;
  bool *wanted;
} fake;

static int64_t add(fake *f, am_stage_kind kind, int level, double seconds, const char *name) {
  am_plan *p = &f->plan;
  am_ok(AM_GROW(&p->stage, &p->capacity, p->count + 1));
  am_stage *st = &p->stage[p->count];
  *st = (am_stage){.kind = kind, .level = level, .slices = 1, .expected_sec = seconds};
  am_ok(am_sha256_bytes(name, strlen(name), st->address));
  return p->count++;
}

static void needs(fake *f, int64_t stage, int64_t input) {
  am_stage *st = &f->plan.stage[stage];
  am_ok(AM_GROW(&st->input, &st->input_capacity, st->input_count + 1));
  st->input[st->input_count++] = input;
}

// `tag` names what is not shared with other plans; the split and the fits are.
static fake make(const char *tag, int fits, int cells, double cell_sec) {
  fake f = {0};
  char name[64];
  int64_t split = add(&f, AM_STAGE_PREPARE, 0, 1, "split"), block[64];
  for (int i = 0; i < fits; i++) {
    snprintf(name, sizeof name, "fit %d", i);
    int64_t fit = add(&f, AM_STAGE_FIT, 1, 600, name);
    needs(&f, fit, split);
    snprintf(name, sizeof name, "block %d", i);
    block[i] = add(&f, AM_STAGE_GENERATE, 2, 10, name);
    needs(&f, block[i], fit);
  }
  for (int i = 0; i < cells; i++) {
    bool pooled = fits && i % 2;
    snprintf(name, sizeof name, "%s train %d", tag, i);
    int64_t train = add(&f, AM_STAGE_TRAIN, pooled ? 3 : 1, cell_sec, name);
    needs(&f, train, split);
    for (int k = 0; k < fits && pooled; k++) needs(&f, train, block[k]);
    snprintf(name, sizeof name, "%s evaluate %d", tag, i);
    int64_t evaluate = add(&f, AM_STAGE_EVALUATE, pooled ? 4 : 2, cell_sec ? 1 : 0, name);
    needs(&f, evaluate, train);
    needs(&f, evaluate, split);
  }
  am_ok(AM_NEW_ARRAY(&f.wanted, f.plan.count));
  for (int64_t i = 0; i < f.plan.count; i++) f.wanted[i] = true;
  return f;
}

static void drop(fake *f) {
  for (int64_t i = 0; i < f->plan.count; i++) free(f->plan.stage[i].input);
  free(f->plan.stage);
  free(f->wanted);
}

static am_site *profile(const char *text) {
  am_node *tree = NULL;
  am_site *p = NULL;
  am_ok(am_yaml_parse("p.yaml", text, strlen(text), &tree));
  am_ok(am_site_from_node(tree, &p));
  return p;
}

static am_packing pack(const fake *f, int files, const char *text) {
  am_pack_file file[4];
  am_packing out = {0};
  am_site *p = profile(text);
  for (int i = 0; i < files; i++) file[i] = (am_pack_file){&f[i].plan, f[i].wanted};
  am_ok(am_pack(file, files, p, &out));
  am_site_free(p);
  return out;
}

// Every wanted address exactly once, in tasks of an array of the right level; its inputs are in the same task
// before it, or in an array that is listed in needs.
static void check_whole(const fake *f, int files, const am_packing *p) {
  for (int i = 0; i < files; i++)
    for (int64_t s = 0; s < f[i].plan.count; s++) {
      const char *address = f[i].plan.stage[s].address;
      int found = 0;
      for (int64_t a = 0; a < p->count; a++)
        for (int64_t t = 0; t < p->array[a].count; t++)
          for (int64_t k = 0; k < p->array[a].task[t].count; k++) {
            const am_task *task = &p->array[a].task[t];
            found += strcmp(f[task->file].plan.stage[task->stage[k]].address, address) == 0;
          }
      assert_int_equal(found, f[i].wanted[s] ? 1 : 0);
    }
  for (int64_t a = 0; a < p->count; a++) {
    for (int64_t n = 0; n < p->array[a].need_count; n++) assert_in_range(p->array[a].needs[n], 0, a - 1);
    assert_true(p->array[a].count > 0);
  }
}

static int64_t tasks(const am_packing *p, am_stage_kind kind, int level) {
  int64_t n = 0;
  for (int64_t a = 0; a < p->count; a++)
    if (p->array[a].kind == kind && p->array[a].level == level) n += p->array[a].count;
  return n;
}

static const am_job_array *find(const am_packing *p, am_stage_kind kind, int level) {
  for (int64_t a = 0; a < p->count; a++)
    if (p->array[a].kind == kind && p->array[a].level == level) return &p->array[a];
  fail_msg("no array of kind %d, level %d", kind, level);
  return NULL;
}

static void packs_short_stages_by_length(void **state) {
  (void)state;
  fake f = make("a", 4, 40, 59);  // a cell takes a minute with its evaluation
  am_packing p = pack(&f, 1, "{ranks_per_node: 2, job_length: 5}");
  check_whole(&f, 1, &p);
  assert_int_equal(tasks(&p, AM_STAGE_PREPARE, 0), 1);
  assert_int_equal(tasks(&p, AM_STAGE_FIT, 1), 4);       // 10 minutes each, 5 are a job
  assert_int_equal(tasks(&p, AM_STAGE_GENERATE, 2), 1);  // 4 x 10 s
  assert_int_equal(tasks(&p, AM_STAGE_TRAIN, 1), 2);     // 20 minutes on 2 ranks
  assert_int_equal(tasks(&p, AM_STAGE_TRAIN, 3), 2);
  assert_int_equal(find(&p, AM_STAGE_PREPARE, 0)->ranks, 1);
  assert_int_equal(find(&p, AM_STAGE_FIT, 1)->ranks, 1);
  assert_int_equal(find(&p, AM_STAGE_TRAIN, 3)->ranks, 2);
  assert_int_equal(find(&p, AM_STAGE_TRAIN, 3)->task[0].count, 20);
  am_packing_fini(&p);
  drop(&f);
}

static void asks_for_time_by_expectation(void **state) {
  (void)state;
  fake f = make("a", 1, 2, 0);
  f.plan.stage[0].expected_sec = 600;
  am_packing p = pack(&f, 1, "{time_limit: 300}");
  assert_int_equal(find(&p, AM_STAGE_PREPARE, 0)->minutes, 45);  // 3 x 10 + 10, rounded up
  assert_int_equal(find(&p, AM_STAGE_TRAIN, 1)->minutes, 300);   // unknown: all there is
  am_packing_fini(&p);
  p = pack(&f, 1, "{time_limit: 20}");
  assert_int_equal(find(&p, AM_STAGE_PREPARE, 0)->minutes, 20);
  am_packing_fini(&p);
  drop(&f);
}

static void packs_nothing_of_unknown_length_behind_another(void **state) {
  (void)state;
  fake f = make("a", 0, 12, 0);
  am_packing p = pack(&f, 1, "{ranks_per_node: 4}");
  check_whole(&f, 1, &p);
  assert_int_equal(tasks(&p, AM_STAGE_TRAIN, 1), 3);
  assert_int_equal(find(&p, AM_STAGE_TRAIN, 1)->ranks, 4);
  am_packing_fini(&p);
  drop(&f);
}

static void gives_slices_their_ranks(void **state) {
  (void)state;
  fake f = make("a", 3, 2, 600);
  for (int64_t i = 0; i < f.plan.count; i++)
    if (f.plan.stage[i].kind == AM_STAGE_FIT) f.plan.stage[i].slices = 4;
  am_packing p = pack(&f, 1, "{nodes: 2, ranks_per_node: 3, job_length: 1}");
  check_whole(&f, 1, &p);
  assert_int_equal(find(&p, AM_STAGE_FIT, 1)->ranks, 4);  // 6 ranks are one group of 4
  am_packing_fini(&p);
  p = pack(&f, 1, "{ranks_per_node: 2, job_length: 1}");
  assert_int_equal(find(&p, AM_STAGE_FIT, 1)->ranks, 2);
  am_packing_fini(&p);
  p = pack(&f, 1, "{ranks_per_node: 12, job_length: 60}");
  assert_int_equal(find(&p, AM_STAGE_FIT, 1)->ranks, 12);  // three side by side
  am_packing_fini(&p);
  drop(&f);
}

static void places_shared_stages_once(void **state) {
  (void)state;
  fake f[2] = {make("a", 3, 6, 600), make("b", 3, 4, 600)};
  am_packing p = pack(f, 2, "{job_length: 10}");
  check_whole(f, 2, &p);
  assert_int_equal(tasks(&p, AM_STAGE_FIT, 1), 3);
  // Cells of the second file wait for the array with the pools that the first file makes.
  const am_job_array *cells = find(&p, AM_STAGE_TRAIN, 3);
  const am_job_array *pools = find(&p, AM_STAGE_GENERATE, 2);
  bool waits = false;
  for (int64_t n = 0; n < cells->need_count; n++) waits = waits || &p.array[cells->needs[n]] == pools;
  assert_true(waits);
  am_packing_fini(&p);
  drop(&f[0]);
  drop(&f[1]);
}

static void leaves_out_what_is_not_wanted(void **state) {
  (void)state;
  fake f = make("a", 2, 8, 60);
  for (int64_t i = 0; i < f.plan.count; i++) {
    am_stage_kind kind = f.plan.stage[i].kind;
    f.wanted[i] = kind == AM_STAGE_EVALUATE && i % 4 == 0;  // trainings are done
  }
  am_packing p = pack(&f, 1, "{}");
  check_whole(&f, 1, &p);
  for (int64_t a = 0; a < p.count; a++) {
    assert_int_equal(p.array[a].kind, AM_STAGE_EVALUATE);
    assert_int_equal(p.array[a].need_count, 0);
  }
  am_packing_fini(&p);
  memset(f.wanted, 0, (size_t)f.plan.count);
  p = pack(&f, 1, "{}");
  assert_int_equal(p.count, 0);
  am_packing_fini(&p);
  drop(&f);
}

static void cuts_arrays_to_size(void **state) {
  (void)state;
  fake f = make("a", 0, 1000, 3600);
  am_packing p = pack(&f, 1, "{max_array: 300}");
  check_whole(&f, 1, &p);
  assert_int_equal(tasks(&p, AM_STAGE_TRAIN, 1), 1000);
  assert_int_equal(p.count, 5);
  for (int64_t a = 0; a < p.count; a++) assert_in_range(p.array[a].count, 1, 300);
  am_packing_fini(&p);
  drop(&f);
}

int main(void) {
  const struct CMUnitTest all[] = {
      cmocka_unit_test(packs_short_stages_by_length),
      cmocka_unit_test(asks_for_time_by_expectation),
      cmocka_unit_test(packs_nothing_of_unknown_length_behind_another),
      cmocka_unit_test(gives_slices_their_ranks),
      cmocka_unit_test(places_shared_stages_once),
      cmocka_unit_test(leaves_out_what_is_not_wanted),
      cmocka_unit_test(cuts_arrays_to_size),
  };
  return cmocka_run_group_tests_name("pack", all, NULL, NULL);
}
