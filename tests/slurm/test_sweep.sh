#!/usr/bin/env bash
# A sweep on two nodes of a real Slurm: submitted once, done once, and the same bytes as a local run.
cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh && . tests/slurm/sweep.sh

check "the sweep runs here" run_here

# ---- submitting ----
cells=$("$AUGMINT" plan "$experiment" --results "$results" | sed -n 's/.* = \([0-9]*\) cells$/\1/p')
check "it has at least 24 cells" test "$cells" -ge 24
check "a dry run prints the commands" ends_with 0 "nothing was submitted" submit $wide --dry-run
submitted_nothing() { (($(taken_jobs) == 0)) && [[ ! -e $results ]]; }
check "and submits nothing" submitted_nothing
check "submit takes all of it" ends_with 0 "0 stages done, 0 in the queue, $stages to submit" submit $wide
jobs=$(taken_jobs)
note "$cells cells, $stages stages: $jobs calls of sbatch, $(queued | wc -l) jobs"
check "by a few calls of sbatch" test "$jobs" -le 10
check "the same command again finds all in the queue" ends_with 0 "to submit: what is missing is in the queue" submit $wide
check "and submits nothing" test "$(taken_jobs)" = "$jobs"
check "status says what comes next" ends_with 0 "next: " "$AUGMINT" status "$experiment" --results "$results"

# ---- its end ----
check "the queue empties" queue_empties
check "every stage is done" all_done
ended_well() { ! grep -h 'ended with status' "$results"/slurm/*/log/*.log | grep -v 'status 0$'; }
check "no job ended otherwise" ended_well
on_both() { grep -h ' start 0 on n\[0-1\] with 4 ranks' "$results"/slurm/*/log/*.log; }
check "jobs spanned both nodes" on_both
check "each stage was made once" made_once
check_sameness
check "verify reads every artefact again" ends_with 0 " 0 bad" "$AUGMINT" verify "$experiment" --results "$results"
check "then there is nothing to submit" ends_with 0 "nothing to submit: " submit $wide
check "not one job more" test "$(taken_jobs)" = "$jobs"
finish
