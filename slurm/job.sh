#!/bin/bash
# One job of a sweep: a task of a job array, or the collecting job. `augmint submit` hands this file to sbatch as it is;
# nothing is ever filled in. What differs between jobs and sites comes as words, which no shell reads a second time:
#
#   job.sh SUBMISSION ARRAY MINUTES GRACE RESTARTS MODULE... -- NAME=VALUE... -- LAUNCHER WORD... -- PROGRAM WORD...
#
#   SUBMISSION  the folder with submission.json; ARRAY: the number of this job's array in it
#   MINUTES     what was asked for; ranks start no stage that would not end in time
#   GRACE       seconds from the first signal until the job is requeued as it is
#   RESTARTS    most times that the job requeues itself; 0: never (what it leaves is done by a follow-up)
submission=$1 array=$2 minutes=$3 grace=$4 restarts=$5
shift 5
for group in modules environment launcher; do
  declare -n words=$group
  words=()
  while [[ $1 != -- ]]; do words+=("$1"); shift; done
  shift
done
task=${SLURM_ARRAY_TASK_ID:-0}
# A whole array has the number of its last task, so a task is always named in full.
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$task}
job=${job:-$SLURM_JOB_ID}
work=("$@" work "$submission" "$array" "$task")

mkdir -p "$submission/log" && exec >>"$submission/log/$array-$task.log" 2>&1
say() { echo "[$(date -u +%FT%TZ) job $job] $*"; }
say "start ${SLURM_RESTART_COUNT:-0} on $SLURM_JOB_NODELIST with $SLURM_NTASKS ranks"
end=${SLURM_JOB_END_TIME:-$(($(date +%s) + minutes * 60))}

# Starts this job again from the beginning of the queue. Only while it runs: what was cancelled stays so, and what
# Slurm requeues by itself needs no help.
requeue() {
  local attempt state
  ((restarts)) || return
  ((${SLURM_RESTART_COUNT:-0} < restarts)) || { say "requeued $restarts times already: not again"; return; }
  for attempt in {1..30}; do # slurmctld may be away for a while
    if state=$(squeue --noheader --jobs="$job" --format=%T); then
      [[ $state == RUNNING ]] || { say "not requeued: the job is ${state:-gone}"; return; }
      say "requeued: $*"
      scontrol requeue "$job" && sleep 600 # until Slurm ends this script
    elif ! command -v squeue >/dev/null; then
      say "Slurm's commands are not here: set \"requeue: false\" in the profile, so that follow-up jobs go on"
      return
    fi
    sleep 10
  done
}

# Slurm sends USR1 before the end of the time, TERM when the job ends for another reason. Ranks are always told by USR1:
# mpirun passes it on, whereas TERM makes it end them after a second.
watchdog=
stop() {
  say "asked to stop by $1: the ranks save and end"
  [[ $child ]] && kill -USR1 "$child" 2>/dev/null
  [[ $watchdog ]] || { { sleep "$grace" && requeue "the ranks did not stop within $grace s"; } & watchdog=$!; }
}
trap 'stop USR1' USR1
trap 'stop TERM' TERM

for word in "${environment[@]}"; do export "$word"; done
if ((${#modules[@]})); then
  [[ $(type -t module) ]] || . /etc/profile
  module load "${modules[@]}" || { say "module load failed"; exit 1; }
fi

"${launcher[@]}" "${work[@]}" --until "$end" &
child=$!
wait "$child"
while kill -0 "$child" 2>/dev/null; do wait "$child"; done # a signal ends `wait`, not the ranks
wait "$child"
status=$?
child=
[[ $watchdog ]] && kill "$watchdog" 2>/dev/null
say "ended with status $status"

# 75: stopped with its progress saved. Anything else but 0: requeued when another attempt can do more.
if ((status == 75)); then
  requeue "stopped with its progress saved"
elif ((status && restarts)) && "${work[@]}" --left; then
  requeue "ended with status $status"
fi
exit "$status"
