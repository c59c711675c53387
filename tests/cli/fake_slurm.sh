#!/usr/bin/env bash
# Stands for Slurm's commands under their names (links to this file), with its state in $FAKE_SLURM:
#   queue          what squeue prints: name|job|task|state|nodes|reason
#   calls          one line for each call of sbatch, scancel and scontrol, quoted
#   words/JOB      the script and its words, each ended by a zero byte
#   fail           when it is there: its first line is what sbatch says before it ends with 1; "later" on the second
#                  line: after the job was accepted; the third line: how many calls succeed before
#   away           when it is there, squeue cannot reach the controller
# `fake_slurm.sh run JOB` runs the tasks of a job here, one after the other.
set -u
state_dir=$FAKE_SLURM
queue=$state_dir/queue
name=$(basename "$0")
note() { { printf '%q ' "$name" "$@"; echo; } >>"$state_dir/calls"; }

sbatch() {
  local job_name= tasks= job task
  note "$@"
  if [[ -e $state_dir/fail ]]; then
    { read -r message; read -r when; read -r left; } <"$state_dir/fail"
    if ((left > 0)); then
      printf '%s\n%s\n%s\n' "$message" "$when" $((left - 1)) >"$state_dir/fail"
    else
      rm "$state_dir/fail"
      [[ $when == later ]] || { echo "sbatch: error: $message" >&2; exit 1; }
      (sbatch "${@}") >/dev/null
      echo "sbatch: error: $message" >&2
      exit 1
    fi
  fi
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --job-name=*) job_name=${1#*=} ;;
      --array=*) tasks=${1#*=} tasks=${tasks%%%*} ;;
    esac
    shift
  done
  job=$(($(ls "$state_dir/words" | wc -l) + 100))
  printf '%s\0' "$@" >"$state_dir/words/$job"
  if [[ $tasks ]]; then
    for ((task = ${tasks%-*}; task <= ${tasks#*-}; task++)); do echo "$job_name|$job|$task|PENDING||Priority"; done
  else
    echo "$job_name|$job|N/A|PENDING||Dependency"
  fi >>"$queue"
  echo "$job"
}

squeue() {
  local names= word
  [[ -e $state_dir/away ]] && { echo "slurm_load_jobs error: the controller said no" >&2; exit 1; }
  for word in "$@"; do
    case $word in
      --name=*) names=,${word#*=}, ;;
      --jobs=*) echo "${FAKE_STATE-RUNNING}"; exit ;;
    esac
  done
  while IFS= read -r line; do [[ $names == *",${line%%|*},"* ]] && echo "$line"; done <"$queue"
  true
}

scancel() {
  note "$@"
  printf '%s\n' "$@" |
    awk -F'|' 'NR == FNR { gone[$0]; next } !($2 in gone || ($2 "_" $3) in gone)' - "$queue" >"$queue.new"
  mv "$queue.new" "$queue"
}

run() {  # run JOB
  local -a words
  local line task
  mapfile -d '' words <"$state_dir/words/$1"
  while IFS='|' read -r _ job task _; do
    [[ $job == "$1" ]] || continue
    if [[ $task == N/A ]]; then
      SLURM_JOB_ID=$1 SLURM_JOB_NODELIST=here SLURM_NTASKS=1 bash "${words[@]}"
    else
      SLURM_JOB_ID=$1 SLURM_ARRAY_JOB_ID=$1 SLURM_ARRAY_TASK_ID=$task SLURM_JOB_NODELIST=here SLURM_NTASKS=1 \
        bash "${words[@]}"
    fi
    echo "job $1, task $task: $?"
    sed -i "\\:|$1|$task|:d" "$queue"
  done < <(cat "$queue")
}

case $name in
  sbatch | squeue | scancel) "$name" "$@" ;;
  scontrol) note "$@" ;;
  srun | mpirun)
    while [[ ${1:-} == --* ]]; do shift; done
    exec "$@"
    ;;
  *) "$@" ;;
esac
