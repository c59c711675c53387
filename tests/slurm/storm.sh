# What tests/slurm/test_storm.sh does to a sweep, one function each. They find in $pid a rank that is in the middle of a
# stage ($lease says so), in $job its job and in $node where it runs, and succeed when they struck it. What takes long goes on
# beside the storm and writes a line to $scratch/struck when it has struck.

env_of() { tr '\0' '\n' <"/proc/$1/environ" | sed -n "s/^$2=//p"; }
# find_victim LUCK: one of the ranks at work, by turns from there.
find_victim() {
  local leases=("$results"/store/*/*.lease) i
  for i in "${!leases[@]}"; do
    lease=${leases[($1 + i) % ${#leases[@]}]}
    job=$(sed -n 's/^job //p' "$lease") pid=$(sed -n 's/^pid \([0-9]*\) .*/\1/p' "$lease")
    [[ $job == [0-9]* && $pid ]] && node=$(env_of "$pid" SLURMD_NODENAME) && [[ $node ]] && ! is_frozen && return
  done
  return 1
} 2>/dev/null
is_frozen() { [[ $(sed 's/.*) //' "/proc/$pid/stat") == T* ]]; }
is_gone() { [[ ! -r /proc/$pid/stat || $(sed 's/.*) //' "/proc/$pid/stat") == Z* ]]; } 2>/dev/null
freeze() { kill -STOP "$pid" && { [[ -e $lease ]] || { kill -CONT "$pid"; false; }; }; }
# The log of the victim's job.
find_log() {
  local word
  mapfile -d '' word <"/proc/$pid/cmdline"
  log=$(printf '%s\n' "${word[@]}" | grep -x -A3 work | { read -r _; read -r dir; read -r array; read -r task; echo "$dir/log/$array-$task.log"; })
}
said() { grep -c "$1" "$log"; }
says_again() { (($(said "$1") > $2)); }
in_end_time() { date -d "+$1 sec" +%FT%T; }

# ---- killed ----
strike_rank() { kill -9 "$pid"; }
strike_step() { scancel --signal=KILL "$(env_of "$pid" SLURM_JOB_ID).$(env_of "$pid" SLURM_STEP_ID)" && until_true is_gone; }
strike_script() {
  local p id
  id=$(env_of "$pid" SLURM_JOB_ID)
  for p in $(pgrep -x slurm_script); do
    [[ $(env_of "$p" SLURM_JOB_ID) == "$id" && $(env_of "$p" SLURM_CONF) == "$SLURM_CONF" ]] && kill -9 "$p" && return
  done
  return 1
}

# ---- cancelled, requeued ----
strike_cancel() { scancel "$job" && until_true is_gone && resubmit; }
# Those who go on from its checkpoints have another number of ranks.
strike_cancel_all() {
  "$AUGMINT" cancel "$experiment" --results "$results" && until_true is_gone || return 1
  if [[ $profile == "$wide" ]]; then profile=$narrow; else profile=$wide; fi
  resubmit
}
strike_requeue() { scontrol requeue "$job" && until_true is_gone; }

# ---- out of time ----
# Slurm's own warning before the end; a rank that is slow to answer.
strike_warning() {
  find_log
  freeze || return 1
  local before
  before=$(said "asked to stop by USR1")
  scontrol update JobId="$job" EndTime="$(in_end_time 45)" || { kill -CONT "$pid"; return 1; }
  { until_true says_again "asked to stop by USR1" "$before" && echo warning >>"$scratch/struck"; kill -CONT "$pid"; } 2>/dev/null &
}
# The limit itself, reached by a job that has no minutes left for its warning.
strike_limit() {
  freeze || return 1
  scontrol update JobId="$job" EndTime="$(in_end_time 3)" || { kill -CONT "$pid"; return 1; }
  { until_true is_gone && echo limit >>"$scratch/struck"; } &
}
# The warning comes, and a rank never answers.
strike_hang() {
  find_log
  freeze && scancel --batch --signal=USR1 "$job" || return 1
  { until_true is_gone && echo hang >>"$scratch/struck"; } &
}

# ---- lost ----
strike_slurmd() {
  local one=node${node#n}
  tests/slurm/cluster.sh down "$cluster" "$one" && sleep 1 && tests/slurm/cluster.sh up "$cluster" "$one"
}
is_down() { sinfo --noheader --nodes="$node" --format=%T | grep -q down; }
strike_node() {
  local one=node${node#n}
  tests/slurm/cluster.sh lose "$cluster" "$one" || return 1
  { until_true is_down && echo node >>"$scratch/struck"; tests/slurm/cluster.sh up "$cluster" "$one"; } &
}
# While somebody submits.
strike_controller() {
  tests/slurm/cluster.sh down "$cluster" ctld || return 1
  resubmit &
  local submits=$!
  sleep 1
  tests/slurm/cluster.sh up "$cluster" ctld && until_true controller_answers && wait $submits
}
strike_memory() {  # of the controller
  tests/slurm/cluster.sh down "$cluster" ctld KILL && tests/slurm/cluster.sh up "$cluster" ctld && until_true controller_answers
}
