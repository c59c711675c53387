#!/usr/bin/env bash
# What a site may not allow, on a real Slurm: jobs that start again, long arrays. And one file run by two jobs at once.
cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh
experiment=tests/mpi/signs.yaml
name=signs-test
reference=$scratch/local
use() { results=$scratch/$1; }  # a store of its own for each part
profile() { printf '%s\n' "time_limit: 10" "signal_sec: 30" "$@" >"$scratch/profile.yaml"; }
submit() { "$AUGMINT" submit "$experiment" --results "$results" --profile "$scratch/profile.yaml" "$@"; }
job_logs() { cat "$results"/slurm/*/log/*.log; }
same() {
  diff <(store_digest "$reference") <(store_digest "$results") && cmp "$reference/$name/table.csv" "$results/$name/table.csv"
}
made() { find "$results" -name 'rank*.log' -exec cat {} + | sed -n 's/^[^ ]* made \(.*\) in [0-9.]* s$/\1/p'; }
made_once() {
  made | sort | uniq -d | grep . && return 1
  (($(made | wc -l) == $(find "$reference/store" -name DONE | wc -l)))
}

"$AUGMINT" run "$experiment" --results "$reference" >/dev/null 2>&1

# ---- jobs that may not be requeued ----
use strict
profile "ranks_per_node: 2" "requeue: false" "follow_ups: 1"
check "without requeue, arrays are followed up" ends_with 0 ", what it did not finish" submit
check "a rank is caught at work" until_true freeze_rank
check "its job gets the signal of its last minutes" scancel --batch --signal=USR1 "$job"
until_true grep -qs "asked to stop" "$results"/slurm/*/log/*.log
kill -CONT "$pid"
check "the queue empties" queue_empties
stopped_once() { job_logs | grep -h ' start ' | grep -v ' start 0 ' && return 1; (($(job_logs | grep -c 'ended with status 75') == 1)); }
check "one job stopped with its progress saved, and none was requeued" stopped_once
only_one_followed() { python3 - "$results" <<'END'
import glob, json, os, sys
file, = glob.glob(sys.argv[1] + "/slurm/*/submission.json")
arrays = json.load(open(file))["arrays"]
ran = {int(os.path.basename(log).split("-")[0]) for log in glob.glob(os.path.dirname(file) + "/log/*.log")}
followed = [k for k, a in enumerate(arrays) if a["of"] != k and k in ran]
print("arrays", len(arrays), "ran", sorted(ran), "of them follow-ups", followed)
assert len(followed) == 1
END
}
check "its follow-up ran, and those of what ended well were dropped" only_one_followed
check "the result is that of a local run" same
check "each stage was made once" made_once

# ---- one file run by two jobs at once ----
use both
run_in_job() { sbatch --parsable -N1 -n2 -o "$scratch/$1.out" --wrap "srun '$AUGMINT' run $experiment --results '$results'"; }
run_in_job first >/dev/null && run_in_job second >/dev/null
check "two jobs that run one file end" queue_empties
both_say_so() { tail -n 1 "$scratch/first.out" "$scratch/second.out"; (($(cat "$scratch"/{first,second}.out | grep -c "^done: ") == 2)); }
check "well, both of them" both_say_so
check "each stage was made once" made_once
check "the result is that of one run" same

# ---- short arrays ----
sed -i 's/^MaxArraySize=.*/MaxArraySize=4/' "$cluster/slurm.conf"
tests/slurm/cluster.sh down "$cluster" ctld && tests/slurm/cluster.sh up "$cluster" ctld
until_true controller_answers
use short
name=short experiment=$scratch/short.yaml reference=$scratch/short-here
sed 's/^name: .*/name: short/; s/^seeds: .*/seeds: 6/' tests/cli/base.yaml >"$experiment"
"$AUGMINT" run "$experiment" --results "$reference" >/dev/null 2>&1
profile "ranks_per_node: 1"
check "an array that is too long for the site is refused, with what to change" ends_with 1 "set max_array" submit
profile "ranks_per_node: 1" "max_array: 4"
check "with the site's max_array, the rest is submitted" submit
lengths() { squeue --noheader --array --format='%F %K' | grep -v N/A | cut -d' ' -f1 | sort | uniq -c | awk '{print $1}' | sort -u | tr '\n' ' '; }
check "the six trainings of an arm in arrays of four and of two" test "$(lengths)" = "2 4 "
check "the queue empties" queue_empties
check "the result is that of a local run" same
finish
