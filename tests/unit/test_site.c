// Site profiles: what is read, and what is refused because it could be taken for something else.
#include "am_test.h"
#include "sweep/site.h"

static am_err parse(const char *text, am_site **out) {
  am_node *tree = NULL;
  *out = NULL;
  am_err err = am_yaml_parse("site.yaml", text, strlen(text), &tree);
  return err ? err : am_site_from_node(tree, out);
}

static void reads_every_kind_of_key(void **state) {
  (void)state;
  am_site *p = NULL;
  am_ok(
      parse("partition: gpu\nnodes: 2\ngpus_per_node: 4\nranks_per_gpu: 3\nmodules: [gcc/12.2, openmpi]\n"
            "container: [apptainer, exec, \"/a b/$(x).sif\"]\nsbatch: --exclusive\n"
            "environment: {A_1: \"x y\", B: 2}\n",
            &p));
  assert_string_equal(p->cfg.partition, "gpu");
  assert_int_equal(am_site_node_ranks(p), 12);
  assert_int_equal(am_site_job_ranks(p), 24);
  assert_int_equal(p->modules.count, 2);
  assert_string_equal(p->modules.word[0], "gcc/12.2");
  assert_string_equal(p->container.word[2], "/a b/$(x).sif");
  assert_int_equal(p->sbatch.count, 1);
  assert_string_equal(p->environment.word[0], "A_1=x y");
  assert_string_equal(p->environment.word[1], "B=2");
  assert_int_equal(p->launch.count, 0);
  am_site_free(p);
}

static void counts_ranks_on_a_cpu_site(void **state) {
  (void)state;
  am_site *p = NULL;
  am_ok(parse("{nodes: 3, ranks_per_node: 5}", &p));
  assert_int_equal(am_site_node_ranks(p), 5);
  assert_int_equal(am_site_job_ranks(p), 15);
  am_site_free(p);
}

static void refuses(const char *text, const char *part) {
  am_site *p = NULL;
  am_fails(parse(text, &p), AM_ERR_CONFIG, part);
  assert_null(p);
}

static void refuses_what_could_be_misread(void **state) {
  (void)state;
  refuses("partiton: gpu", "site.yaml:1:1: partiton: unknown key `partiton`; did you mean `partition`?");
  refuses("modules: [\"gcc; rm -rf ~\"]", "no module's name");
  refuses("modules: [\"--force\"]", "no module's name");
  refuses("modules: [\"\"]", "a module needs a name");
  refuses("modules: [\"$(id)\"]", "no module's name");
  refuses("sbatch: [job.sh]", "is no option of sbatch");
  refuses("sbatch: [\"--\"]", "is no option of sbatch");
  refuses("sbatch: [-N4]", "is no option of sbatch");
  refuses("sbatch: [--array=1-4]", "--array is set by augmint submit");
  refuses("sbatch: [--wrap]", "--wrap is set by augmint submit");
  refuses("launch: [\"--\"]", "ends the launcher's words");
  refuses("environment: {\"A B\": 1}", "no name of a variable");
  refuses("environment: {\"1A\": 1}", "no name of a variable");
  refuses("environment: [A=1]", "expected a map");
  refuses("environment: {A: [1]}", "");
}

static void refuses_contradictions(void **state) {
  (void)state;
  refuses("{gpus_per_node: 4, ranks_per_node: 4}", "leave it out");
  refuses("{ranks_per_gpu: 2}", "no GPUs to share");
  refuses("{time_limit: 1, signal_sec: 60}", "all of the time limit");
  refuses("{nodes: 0}", "expected 1 to 10000");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_every_kind_of_key),
      cmocka_unit_test(counts_ranks_on_a_cpu_site),
      cmocka_unit_test(refuses_what_could_be_misread),
      cmocka_unit_test(refuses_contradictions),
  };
  return cmocka_run_group_tests_name("site profile", tests, NULL, NULL);
}
