# What tests/slurm/test_storm.sh does to a sweep, one function each. They find in $pid a rank that is in the middle of a
# stage ($lease says so), in $job its job and in $node where it runs, and succeed when they struck it. What takes long goes on
# beside the storm (`beside`) and says itself when it has struck.

env_of() { tr '\0' '\n' <"/proc/$1/environ" | sed -n "s/^$2=//p"; }
# find_victim LUCK: one of the ranks at work, by turns from there.
find_victim() {
  local leases=("$results"/store/*/*.lease) i
  for i in "${!leases[@]}"; do
    lease=${leases[($1 + i) % ${#leases[@]}]}
    job=$(sed -n 's/^job //p' "$lease") pid=$(sed -n 's/^pid \([0-9]*\) .*/\1/p' "$lease")
    [[ $job == [0-9]* && $pid && ! -e $scratch/slow.$job ]] && node=$(env_of "$pid" SLURMD_NODENAME) && [[ $node ]] && return
  done
  return 1
} 2>/dev/null
# beside KIND COMMAND...: meanwhile nobody else strikes the victim's job.
beside() {
  : >"$scratch/slow.$job"
  {
    if "${@:2}"; then echo "$1" >>"$scratch/struck"; else echo "$1 did not strike job $job"; fi
    rm "$scratch/slow.$job"
  } &
}
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
  scontrol update JobId="$job" EndTime="$(in_end_time 45)" || { kill -CONT "$pid"; return 1; }
  beside warning is_warned "$(said "asked to stop by USR1")"
}
is_warned() {
  local status
  until_true says_again "asked to stop by USR1" "$1"
  status=$?
  kill -CONT "$pid" 2>/dev/null
  return $status
}
# The limit itself, reached by a job that has no minutes left for its warning.
strike_limit() {
  freeze || return 1
  scontrol update JobId="$job" EndTime="$(in_end_time 3)" || { kill -CONT "$pid"; return 1; }
  beside limit is_out_of_time "$(env_of "$pid" SLURM_JOB_ID)"
}
is_out_of_time() { until_true is_gone && grep -q "Time limit exhausted for JobId=.*\b$1\b" "$cluster/slurmctld.log"; }
# The warning comes, and a rank never answers: its job or another rank that did stop must end it.
strike_hang() {
  local before
  find_log
  before=$(said "asked to stop by USR1")
  freeze || return 1
  scancel --batch --signal=USR1 "$job" || { kill -CONT "$pid"; return 1; }
  beside hang is_given_up "$before"
}
is_given_up() { until_true says_again "asked to stop by USR1" "$1" && until_true is_gone; }

# ---- lost ----
strike_slurmd() {
  local one=node${node#n}
  tests/slurm/cluster.sh down "$cluster" "$one" && sleep 1 && tests/slurm/cluster.sh up "$cluster" "$one"
}
strike_node() { tests/slurm/cluster.sh lose "$cluster" "node${node#n}" && beside node is_missed; }
is_missed() {
  local status
  until_true is_down
  status=$?
  tests/slurm/cluster.sh up "$cluster" "node${node#n}"
  return $status
}
is_down() { sinfo --noheader --nodes="$node" --format=%T | grep -q down; }
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
