# For the tests on a real Slurm: TAP, and a cluster that ends with the script. Where there can be none, the script ends
# with one skipped test that says why.
#   cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh
. tests/tap.sh
why_not=$(tests/slurm/cluster.sh missing)
if [[ -n $why_not ]]; then
  skip "$(basename "$0")" "$why_not"
  finish
fi
cluster=$scratch/cluster
trap 'tests/slurm/cluster.sh stop "$cluster"; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
tests/slurm/cluster.sh start "$cluster" 2 || { echo "not ok 1 - the test cluster starts"; exit 1; }
. "$cluster/env"

queue_is_empty() { local all; all=$(squeue --noheader --format=%i) && [[ -z $all ]]; }
queue_empties() {
  local i
  for ((i = 0; i < 600; i++)); do queue_is_empty && return; sleep 0.5; done
  squeue
  return 1
}
controller_answers() { scontrol ping | grep -q UP; }

# Stops (SIGSTOP) a rank that is in the middle of a stage of $results: $pid, of the job $job. Fails when there is none.
freeze_rank() {
  local lease
  for lease in "$results"/store/*/*.lease; do
    job=$(sed -n 's/^job //p' "$lease") pid=$(sed -n 's/^pid \([0-9]*\) .*/\1/p' "$lease")
    [[ $job == [0-9]* && $pid ]] && kill -STOP "$pid" || continue
    [[ -e $lease ]] && return
    kill -CONT "$pid"
  done 2>/dev/null
  return 1
}
