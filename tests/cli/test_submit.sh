#!/usr/bin/env bash
# submit, cancel, retry, work and slurm/job.sh without a Slurm: tests/cli/fake_slurm.sh stands for its commands.
cd "$(dirname "$0")/../.." && . tests/tap.sh
AUGMINT=$(realpath "$AUGMINT")
experiment=tests/mpi/signs.yaml
name=signs-test
mkdir "$scratch/bin"
for command in sbatch squeue scancel scontrol srun; do ln -s "$PWD/tests/cli/fake_slurm.sh" "$scratch/bin/$command"; done
export PATH=$scratch/bin:$PATH
fake() { tests/cli/fake_slurm.sh "$@"; }
fresh() {  # a new cluster; results in $results
  count=$((${count:-0} + 1))
  export FAKE_SLURM=$scratch/slurm-$count
  results=$scratch/results-$count
  mkdir -p "$FAKE_SLURM/words"
  : >"$FAKE_SLURM/queue" >"$FAKE_SLURM/calls"
}
calls() { grep -c "^$1 " "$FAKE_SLURM/calls"; }
queued() { wc -l <"$FAKE_SLURM/queue"; }
submit() { "$AUGMINT" submit "$experiment" --profile "$scratch/site.yaml" --results "$results" "$@"; }
run_all() { local job; for job in $(cut -d'|' -f2 "$FAKE_SLURM/queue" | uniq); do fake run "$job"; done; }
state() { cat "$results"/slurm/*/submission.json; }
echo "ranks_per_node: 4" >"$scratch/site.yaml"

# ---- what is submitted ----
fresh
check "submit needs a profile" ends_with 2 "submit needs --profile" "$AUGMINT" submit "$experiment" --results "$results"
check "a profile's mistake is named with its place" ends_with 2 "unknown key \`partiton\`; did you mean \`partition\`?" \
  "$AUGMINT" submit "$experiment" --results "$results" --profile <(echo "partiton: x")
check "a dry run prints every command" ends_with 0 "--dependency=afterany:@0" submit --dry-run
wrote_nothing() { [[ ! -e $results ]] && (($(calls sbatch) == 0)); }
check "and does nothing" wrote_nothing
check "submit submits" ends_with 0 "64 to submit" submit
jobs=$(calls sbatch)
check "arrays and the collecting job, in that order" ends_with 0 "collect" tail -n 1 "$FAKE_SLURM/queue"
check "its state is plain JSON with the numbers of jobs" python3 -c '
import glob, json, sys
s = json.load(open(glob.glob(sys.argv[1] + "/slurm/*/submission.json")[0]))
assert [a["job"] for a in s["arrays"]] == list(range(100, 100 + len(s["arrays"])))
assert len({x for a in s["arrays"] for t in a["tasks"] for x in t["stages"]}) == 64
' "$results"
status() { "$AUGMINT" status "$experiment" --results "$results"; }
check "status says what is in the queue" ends_with 0 "in the queue: 64 stages in " status
check "which job for what" grep -qF "waiting (Priority), job 100_0: prepare " "$scratch/out"
check "and that it is enough" grep -qF "next: nothing to do, jobs will make the rest; they are ended by $AUGMINT cancel $experiment --results $results" "$scratch/out"
touch "$FAKE_SLURM/away"
check "without squeue it says so" ends_with 0 "ask where squeue answers" status
rm "$FAKE_SLURM/away"
check "the same command again submits nothing" ends_with 0 "what is missing is in the queue" submit
check "not one job more" test "$(calls sbatch)" = "$jobs"

# ---- what the jobs do ----
"$AUGMINT" run "$experiment" --results "$scratch/local" >/dev/null 2>&1
same_as_local() {
  diff <(store_digest "$scratch/local") <(store_digest "$results") &&
    diff <(cut -d, -f1-11 "$scratch/local/$name/table.csv") <(cut -d, -f1-11 "$results/$name/table.csv")
}
check "the jobs end" run_all
check "with the bytes and the table of a local run" same_as_local
check "then nothing is left to submit" ends_with 0 "nothing to submit: all stages are done" submit
check "but to read" grep -qF "next: $AUGMINT report $experiment --results $results" "$scratch/out"
check "status knows, too" ends_with 0 "done" "$AUGMINT" status "$experiment" --results "$results"

# ---- what is lost ----
fresh
submit >/dev/null 2>&1
fake run 100 >/dev/null 2>&1               # the splits
sed -i '/|101|[13]|/d' "$FAKE_SLURM/queue" # two tasks of the fits are gone
last=$(tail -n 1 "$FAKE_SLURM/queue" | cut -d'|' -f2)
check "status says that some have no job, and how they get one" \
  ends_with 0 "next: $AUGMINT submit $experiment --results $results --profile $scratch/site.yaml   (submits what has no job in the queue)" status
check "tasks that left the queue undone are submitted again" ends_with 0 "4 stages done, 56 in the queue, 4 to submit" submit
check "a new collecting job waits for old and new ones" \
  grep -qE "afterany:$((last + 1)):.*$((last - 1)).*collect|collect.*afterany:$((last + 1)):.*$((last - 1))" "$FAKE_SLURM/calls"
check "and that is all" ends_with 0 "in the queue, 0 to submit" submit
sed -i '/collect/d' "$FAKE_SLURM/queue"
check "a lost collecting job alone is submitted again" ends_with 0 "collect" submit
: >"$FAKE_SLURM/queue"
check "when all jobs are gone, everything missing is submitted" ends_with 0 "4 stages done, 0 in the queue, 60 to submit" submit
late_inputs() {  # the last array with tasks: trainings, whose pools nobody has made
  fake run "$(grep -v '|N/A|' "$FAKE_SLURM/queue" | tail -n 1 | cut -d'|' -f2)"
}
check "jobs whose inputs are missing make them" late_inputs
check "the others find them" run_all
check "and it ends with the same bytes" same_as_local

# ---- trouble with Slurm ----
experiment=tests/cli/base.yaml
fresh
printf 'QOSMaxSubmitJobPerUserLimit\nnow\n2\n' >"$FAKE_SLURM/fail"
check "a refusal says what is submitted and what to do" \
  ends_with 1 "2 of 6 arrays are submitted; run the same command again for the rest: sbatch ended with status 1" submit
check "and what Slurm said" grep -q "QOSMaxSubmitJobPerUserLimit" "$scratch/out"
check "the same command submits the rest" submit
twice() { cut -d'|' -f1 "$FAKE_SLURM/queue" | sort | uniq -d | grep .; }
check "and nothing twice" test "$(grep -vc collect "$FAKE_SLURM/queue")" = 5
fresh
printf 'Batch job submission failed: Socket timed out on send/recv operation\nlater\n1\n' >"$FAKE_SLURM/fail"
check "an answer that was lost is asked for again" ends_with 0 "timed out" submit
check "and nothing is submitted twice" test -z "$(twice)"
check "all arrays are there" test "$(grep -vc collect "$FAKE_SLURM/queue")" = 5
touch "$FAKE_SLURM/away"
check "without an answer of squeue nothing is submitted" ends_with 1 "the controller said no" submit
without_slurm() { PATH=$scratch "$AUGMINT" submit "$experiment" --profile "$scratch/site.yaml" "$@"; }
check "without Slurm's commands a dry run still tells" ends_with 0 "the queue is taken as empty" without_slurm --results "$results" --dry-run
check "and submit says what is missing" ends_with 1 "sbatch cannot be run" without_slurm --results "$scratch/none"

# ---- two at once ----
fresh
submit >"$scratch/first" 2>&1 & submit >"$scratch/second" 2>&1 & wait
check "two submits at the same time submit once" test -z "$(twice)"
check "and one finds all of it in the queue" ends_with 0 "what is missing is in the queue" cat "$scratch/first" "$scratch/second"

# ---- several files ----
fresh
sed 's/^name: cli/name: other/; s/^seeds: 1/seeds: 3/' tests/cli/base.yaml >"$scratch/other.yaml"
experiment=("tests/cli/base.yaml" "$scratch/other.yaml")
submit_both() { "$AUGMINT" submit "${experiment[@]}" --profile "$scratch/site.yaml" --results "$results" "$@"; }
check "files are submitted together" ends_with 0 "cli, other: 0 stages done" submit_both
shared() { python3 -c '
import glob, json, sys
s = json.load(open(glob.glob(sys.argv[1] + "/slurm/*/submission.json")[0]))
stages = [x for a in s["arrays"] for t in a["tasks"] for x in t["stages"]]
assert len(stages) == len(set(stages))
assert sum(len(t["stages"]) for a in s["arrays"] if a["kind"] == "fit" for t in a["tasks"]) == 2
' "$results"; }
check "what they share is submitted once" shared
check "one collecting job serves both" test "$(grep -c collect "$FAKE_SLURM/queue")" = 1
check "cancel of one leaves the other" ends_with 0 "submit $scratch/other.yaml --results $results --profile P   (goes on from there)" "$AUGMINT" cancel "$scratch/other.yaml" --results "$results"
left_of() { ends_with 0 "$2" "$AUGMINT" submit "$1" --profile "$scratch/site.yaml" --results "$results" --dry-run; }
check "and its jobs" left_of tests/cli/base.yaml "in the queue, 0 to submit"
check "the other is gone" left_of "$scratch/other.yaml" "8 to submit"
check "cancel of both" ends_with 0 "cancelled: " "$AUGMINT" cancel "${experiment[@]}" --results "$results"
check "leaves nothing in the queue" test "$(queued)" = 0
check "cancel again says so" ends_with 0 "none of its jobs is in the queue" "$AUGMINT" cancel "${experiment[@]}" --results "$results"
check "two files that write to one folder are refused" ends_with 2 "are both called cli" \
  "$AUGMINT" submit tests/cli/base.yaml <(cat tests/cli/base.yaml) --profile "$scratch/site.yaml" --results "$results"
experiment=tests/cli/base.yaml

# ---- requeue is not allowed ----
fresh
echo "{ranks_per_node: 4, requeue: false, follow_ups: 1}" >"$scratch/strict.yaml"
check "without requeue, arrays are followed up" ends_with 0 ", what it did not finish" \
  "$AUGMINT" submit "$experiment" --profile "$scratch/strict.yaml" --results "$results"
check "by jobs that Slurm drops when all is well" grep -q -- "--no-requeue --dependency=afternotok:100 --kill-on-invalid-dep=yes" \
  "$FAKE_SLURM/calls"
check "what comes next waits for both" grep -q "afterany:100:101" "$FAKE_SLURM/calls"
fake run 100 >/dev/null
check "a follow-up finds its tasks" fake run 101
check "and has little to do" grep -q "made 0 stages" "$results"/slurm/*/log/1-0.log

# ---- values that a shell would read otherwise ----
fresh
odd="$scratch/a b '\$(touch HACKED)' \"q\" %j;&"$'\n'"line"
mkdir "$odd"
cp "$experiment" "$odd/x y.yaml"
cp "$AUGMINT" "$odd/aug mint"
mkdir -p "$odd/slurm" && cp slurm/job.sh "$odd/slurm"
python3 - "$odd" "$scratch" <<'END' >"$scratch/odd.yaml"
import json, sys
print(json.dumps({"ranks_per_node": 2, "partition": "a b; touch HACKED", "account": "$(touch HACKED)",
  "environment": {"ODD": "$(touch " + sys.argv[2] + "/HACKED) ' \" \n `id`"}, "launch": ["--comment=$(touch HACKED) '"],
  "sbatch": ["--comment=`touch HACKED`\n'"], "program": sys.argv[1] + "/aug mint"}))
END
odd_submit() { "$odd/aug mint" submit "$odd/x y.yaml" --profile "$scratch/odd.yaml" --results "$odd/results" --manifests data/manifests; }
check "odd values are submitted" odd_submit
check "their jobs end" run_all
check "and their tables are there" test -s "$odd/results/cli/table.csv"
same_bytes() { "$AUGMINT" run "$experiment" --results "$scratch/plain" >/dev/null 2>&1; diff <(store_digest "$scratch/plain") <(store_digest "$odd/results"); }
check "with the bytes of plain ones" same_bytes
hacked() { find . "$scratch" "$odd" -name HACKED | grep .; }
check "no word was run" test -z "$(hacked)"

# ---- a thousand cells ----
fresh
sed 's/^name: cli/name: large/; s/^seeds: 1/seeds: 500/' "$experiment" >"$scratch/large.yaml"
experiment=$scratch/large.yaml
check "a thousand cells are submitted" ends_with 0 "2006 to submit" submit
check "by a few calls of sbatch" test "$(calls sbatch)" -le 12
check "a dry run of them prints as many" ends_with 0 "$(calls sbatch)" \
  bash -c ": >'$FAKE_SLURM/queue'; '$AUGMINT' submit '$experiment' --profile '$scratch/site.yaml' --results '$results' --dry-run | grep -c '^sbatch '"
submit >/dev/null 2>&1
check "cancel takes a few calls, too" ends_with 0 "cancelled: " "$AUGMINT" cancel "$experiment" --results "$results"
check "of scancel" test "$(calls scancel)" -le 3
finish
