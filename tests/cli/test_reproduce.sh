#!/usr/bin/env bash
# Tables by their names in the papers; the list of them in experiments/README.md is complete and true.
cd "$(dirname "$0")/../.." && . tests/tap.sh
AUGMINT=$(realpath "$AUGMINT")
root=$PWD

# ---- the real ones ----
check "every line of the index can be listed" ends_with 0 "Table 18" "$AUGMINT" reproduce
check "no experiment names a table that the index does not have" test -z "$(grep -i "not in\|left out" "$scratch/out")"
listed() { diff <("$AUGMINT" reproduce --markdown) <(grep -E '^\| (paper|P[1-5]) \||^\|---\|---\|---\|---\|' experiments/README.md); }
check "experiments/README.md lists every table and figure" listed
every_file() {  # each experiment is linked, by itself or with its folder, and each link leads somewhere
  local file missing=0
  for file in $(cd experiments && find . -name '*.yaml' ! -name papers.yaml | cut -c3-); do
    grep -qF "]($file)" experiments/README.md || grep -qF "]($(dirname "$file")/)" experiments/README.md ||
      grep -qF "]($(dirname "$file"))" experiments/README.md || { echo "not listed: $file"; missing=1; }
  done
  for file in $(grep -oE '\]\([^)]*\)' experiments/README.md | tr -d '])('); do
    [[ -e experiments/$file ]] || { echo "not there: $file"; missing=1; }
  done
  return $missing
}
check "and every experiment" every_file
whole() {  # numbers from 1 to N of tables and figures: nothing was forgotten in between
  "$AUGMINT" reproduce "$1" --tiny | python3 -c '
import re, sys
seen = {"Table": set(), "Figure": set()}
for line in sys.stdin:
    found = re.match(r"  (Table|Figure)s? (I|\d+)[a-z]?(?: (?:to|and) (\d+))?  ?", line)
    if found:
        first = 1 if found[2] == "I" else int(found[2])
        seen[found[1]] |= set(range(first, int(found[3] or first) + 1))
assert [len(seen["Table"]), len(seen["Figure"])] == [int(a) for a in sys.argv[1:]], seen
assert all(s == set(range(1, len(s) + 1)) for s in seen.values()), seen
' "$2" "$3"
}
check "P1 has 18 tables and 13 figures" whole P1 18 13
check "P2 has 6 and 4" whole P2 6 4
check "P3 has 3 and 1" whole P3 3 1
check "P4 has 1 and 8" whole P4 1 8
check "P5 has 4 and 15" whole P5 4 15

# ---- names ----
mkdir -p "$scratch/here/experiments/deep" && cd "$scratch/here" || exit 1
cat >experiments/papers.yaml <<'END'
P7:
  title: A paper
  items:
    - {where: Table IV, what: numbers}
    - {where: Figure 2a, what: curves, with: Table IV}
    - {where: Figures 3 to 5, what: pictures, shows: drawings}
    - {where: "Tables 1, 3", what: others}
    - {where: Table 6, what: twice}
END
sed 's/^name: cli/name: four\npaper: {id: P7, where: Table 4}/' "$root/tests/cli/base.yaml" >experiments/deep/four.yaml
for i in 1 2; do sed 's/^name: cli/name: six'$i'\npaper: {id: P7, where: Table VI}/' "$root/tests/cli/base.yaml" >experiments/six$i.yaml; done
says() { ends_with "$1" "$2" "$AUGMINT" reproduce "${@:3}" --results "$scratch/results" --manifests "$root/data/manifests"; }
check "a table is planned, run and reported" says 0 "vs real" P7/table4 --tiny
check "into the folder of its experiment" test -s "$scratch/results/four-tiny/table.csv"
for name in p7/TABLE4 'P7/Table IV' P7/tableiv 'p7 table-4' P7/tab.4 'P7/"Table 4"'; do
  check "$name is the same" says 0 "nothing to do: all" "$name" --tiny
done
check "in several words, too" says 0 "nothing to do: all" P7 Table IV --tiny
check "a figure that its results hold" says 0 "P7, Figure 2a (curves), with Table IV" P7/fig2 --tiny
export OMPI_MCA_mpi_yield_when_idle=1
on_two_ranks() { mpirun -n 2 "$AUGMINT" reproduce P7/table4 --set seeds=2 --results "$scratch/results" --manifests "$root/data/manifests"; }
check "on two ranks" ends_with 0 "2 seeds" on_two_ranks
check "options are those of run" says 2 "did you mean" P7/table4 --set train.epoch=2
check "what is planned is said, with what there is" says 2 "P7, Tables 1, 3 (others), is planned" P7/table3
check "namely" grep -qF 'P7/"Table IV" (experiments/deep/four.yaml)' "$scratch/out"
check "what shows pictures has nothing to run" says 2 "has nothing to run: drawings" P7/figure4
check "what is not there" says 2 'P7 has no "table9"; there is: Table IV, Figure 2a' P7/table9
check "no such paper" says 2 '"P8/table1" is not like P4/table1' P8/table1
check "no such word" says 2 '"P7/tbl" is not like' P7/tbl
check "two files for one table" says 2 "is reproduced by experiments/six1.yaml and by experiments/six2.yaml" P7/table6
check "one paper is listed" says 0 "Table IV         numbers" p7
check "--dry-run wants a profile" says 2 "--dry-run goes with --profile" P7/table4 --dry-run
echo "ranks_per_node: 2" >site.yaml
mkdir slurm && touch slurm/job.sh
check "or submits it" says 0 "stages done, 0 in the queue" P7/table4 --profile site.yaml --dry-run
echo "P7: {items: 3}" >experiments/papers.yaml
check "a mistake in the index is named with its place" says 2 "papers.yaml:1:" P7/table4
finish
