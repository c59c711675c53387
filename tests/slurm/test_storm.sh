#!/usr/bin/env bash
# A sweep on a real Slurm in a storm: ranks, steps and scripts are killed, jobs cancelled, requeued and out of time, nodes
# lost, the controller restarted, at moments that a seed draws (AM_STORM_SEED). It ends complete, each stage made once, with
# the bytes of a local run in calm weather.
cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh && . tests/slurm/sweep.sh && . tests/slurm/storm.sh
seed=${AM_STORM_SEED:-5}
# Jobs of one rank, and of two on different nodes. Every step takes its time, so that the sweep lasts as long as the storm
# on any machine.
narrow=$scratch/narrow.yaml wide=$scratch/wide.yaml
sed "/^nodes:/d; s/^ranks_per_node:.*/ranks_per_node: 1/; \$ a environment: {AUGMINT_FAULT: 'slow:200'}" slurm/profiles/test.yaml >"$narrow"
sed '$ a nodes: 2' "$narrow" >"$wide"
# A node that is gone is noticed soon.
sed -i 's/^SlurmdTimeout=.*/SlurmdTimeout=10/' "$cluster/slurm.conf" && scontrol reconfigure
: >"$scratch/struck" >"$scratch/submits" >"$scratch/resumed"

# ---- what happens when ----
# Moments are numbers of finished stages, not seconds: so every blow falls on a sweep that is at work.
# The first one finds fits at work, which two ranks can share: other numbers of ranks continue them.
early=(rank step cancel requeue controller)
late=(warning limit hang rank script requeue slurmd node memory cancel step)
RANDOM=$seed
draw() { drawn=$((RANDOM % $1)); }
shuffle() {  # shuffle ARRAY
  local -n of=$1
  local i kept
  for ((i = ${#of[@]} - 1; i > 0; i--)); do
    draw $((i + 1))
    kept=${of[i]} of[i]=${of[drawn]} of[drawn]=$kept
  done
}
shuffle early
shuffle late
blows=(cancel_all "${early[@]}" "${late[@]}" cancel_all)
moments=() lucks=()
for i in "${!blows[@]}"; do
  draw 3
  moments+=($((i <= ${#early[@]} ? 2 + i * 3 + drawn : 10 + i * 3 + drawn)))
  draw 32768
  lucks+=("$drawn")
done

# ---- whoever submitted it looks after it ----
queued_once() {
  squeue --noheader --array --format='%j|%K' | python3 -c '
import collections, glob, json, sys
tasks, count = {}, collections.Counter()
for file in glob.glob(sys.argv[1] + "/slurm/*/submission.json"):
    arrays = json.load(open(file))["arrays"]
    tasks.update({a["name"]: arrays[a["of"]]["tasks"] for a in arrays})
for line in sys.stdin:
    name, task = line.strip().split("|")
    if task.isdigit() and tasks.get(name): count.update(tasks[name][int(task)]["stages"])
sys.exit(any(n > 1 for n in count.values()))' "$results"
}
resubmit() {
  echo submit >>"$scratch/submits"
  submit "$profile" || echo failed >>"$scratch/submits"
  queued_once || echo double >>"$scratch/submits"
}
count_in() { grep -cx "$1" "$scratch/$2"; }  # count_in WORD FILE
# An empty queue is filled. What Slurm holds is released; a node that it drained (a controller without memory starts a job
# a second time) is put back, as an administrator would.
look_after() {
  local held node_left
  (($(date +%s) >= ${looks_at:-0})) || return
  looks_at=$(($(date +%s) + 2))
  queue_is_empty && ! all_done && resubmit
  held=$(squeue --noheader --array --states=PENDING --format='%i %r' | awk '/held/ {print $1}')
  [[ -z $held ]] || scontrol release $held
  for node_left in $(sinfo --noheader --Node --states=drain --format=%N | sort -u); do
    scontrol update NodeName="$node_left" State=RESUME && echo "$node_left" >>"$scratch/resumed"
  done
}
some_are_done() { (($(done_stages) >= $1)) || { look_after; false; }; }

# ---- the storm ----
check "the sweep runs here" run_here
profile=$narrow
check "it is submitted" resubmit
# strike KIND LUCK: tries until it strikes somebody, or nobody is left. There are moments in which only the last ranks of
# jobs that are ending are at work, so it does not give up after some tries at once.
strike() {
  try=-1
  until_true strikes "$1" "$2" && ! all_done
}
strikes() {
  try=$((try + 1))
  all_done && return
  find_victim $(($2 + try)) && "strike_$1" && return
  look_after
  false
}
slow=(warning limit hang node)
blow() {  # blow KIND LUCK
  echo "$(date +%T) $(done_stages) stages done: $1"
  strike "$1" "$2" || { echo "struck nobody in $((try + 1)) tries"; squeue; return; }
  echo "struck job $job, pid $pid, at try $((try + 1))"
  [[ " ${slow[*]} " == *" $1 "* ]] || echo "$1" >>"$scratch/struck"
}
# Other blows on its node or the controller can forestall a slow one: it comes again.
slow_again() {
  local kind
  wait
  for kind in "${slow[@]}"; do (($(count_in "$kind" struck))) || blow "$kind" 0; done
  wait
}
storm() {
  local i try
  for i in "${!blows[@]}"; do
    until_true some_are_done "${moments[i]}" || { echo "no progress"; squeue; return 1; }
    ((i == ${#blows[@]} - 1)) && slow_again
    blow "${blows[i]}" "${lucks[i]}"
  done
}
calm() {
  local i
  for ((i = 0; i < 600; i++)); do
    queue_is_empty && all_done && return
    look_after
    sleep 0.5
  done
  squeue
  return 1
}
check "the storm passes over it" storm
cp "$scratch/log" "$scratch/storm"
check "the queue empties, and all is done" calm

# ---- what it was, and what is left of it ----
kinds=$(printf '%s\n' "${blows[@]}" | sort -u)
for kind in $kinds; do
  tried=$(printf '%s\n' "${blows[@]}" | grep -cx "$kind") struck=$(count_in "$kind" struck)
  counts+=" $kind $struck/$tried,"
done
note "seed $seed; blows that struck a job at work, of those drawn:${counts%,}"
job_logs() { cat "$results"/slurm/*/log/*.log; }
requeues() { job_logs | grep -c ' start [1-9]'; }
note "$(count_in submit submits) submits, $(taken_jobs) calls of sbatch that Slurm took," \
  "$(job_logs | grep -c ' start [0-9]') starts of jobs, $(requeues) of them after a requeue; $(wc -l <"$scratch/resumed") drained nodes put back"
begun() { rank_logs | sed -n 's/^[^ ]* begins \(.*\) on \([0-9]*\) ranks$/\1|\2/p'; }
several_sizes() { begun | sort -u | cut -d'|' -f1 | uniq -d | wc -l; }
note "$stages stages were begun $(begun | wc -l) times, continued from a checkpoint $(rank_logs | grep -c ': continues at')" \
  "times; $(several_sizes) of them on different numbers of ranks;" \
  "$(made | wc -l) times made and published, $(rank_logs | grep -c ' in vain: ') times made in vain"

every_kind_struck() {
  local kind
  for kind in $kinds; do
    (($(count_in $kind struck))) && continue
    cat "$scratch/storm"
    echo "$kind struck nobody"
    return 1
  done
}
check "every kind of blow struck a job at work" every_kind_struck
check "jobs were requeued" test "$(requeues)" -ge 3
check "stages went on, on another number of ranks too" test "$(several_sizes)" -ge 1
check "every submit was answered" test "$(count_in failed submits)" = 0
check "and put no stage into the queue that was there" test "$(count_in double submits)" = 0
check "no stage is lost" test "$(done_stages)" = "$stages"
check "none was made twice" test -z "$(made_twice)"
# Whoever is killed between publishing a stage and saying so says nothing.
each_was_made() { (($(made | wc -l) <= stages && stages - $(made | wc -l) <= $(wc -l <"$scratch/struck"))); }
check "and each once" each_was_made
check_sameness
check "verify reads every artefact again" ends_with 0 " 0 bad" "$AUGMINT" verify "$experiment" --results "$results"
check "nothing unfinished is left behind" nothing_unfinished "$results"
check "then there is nothing to submit" ends_with 0 "nothing to submit: " submit $wide
finish
