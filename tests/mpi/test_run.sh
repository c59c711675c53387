#!/usr/bin/env bash
# A whole experiment: the same bytes on any number of ranks, after kill -9 at random moments, and after a
# signal; nothing done twice; nothing half-written.
cd "$(dirname "$0")/../.." && . tests/tap.sh
experiment=tests/mpi/signs.yaml
name=signs-test

run_on() {  # run_on RANKS RESULTS [options]
  local ranks=$1 results=$2
  shift 2
  mpirun -n "$ranks" "$AUGMINT" run "$experiment" --results "$results" "$@"
}

# The artefacts and the table.
digest() {
  store_digest "$1"
  cut -d, -f1-11 "$1/$name/table.csv"
}
same_as_one_rank() { diff <(digest "$scratch/one") <(digest "$1"); }
# Waits until a run that goes on beside this script has finished this many stages.
until_done() {  # until_done RESULTS STAGES
  for ((i = 0; i < 1200; i++)); do
    (($(find "$1/store" -name DONE 2>/dev/null | wc -l) >= $2)) && return
    sleep 0.05
  done
}
no_leftovers() { ! find "$1/store" \( -name '*.part*' -o -name '*.lease*' -o -name '*.tmp*' -o -name '*.failed' \) | grep .; }

check "one process without mpirun runs the experiment" "$AUGMINT" run "$experiment" --results "$scratch/one"
check "nothing unfinished is left behind" no_leftovers "$scratch/one"
for ranks in 2 3; do
  check "$ranks ranks run it" run_on $ranks "$scratch/r$ranks"
  check "$ranks ranks give the same bytes and the same table" same_as_one_rank "$scratch/r$ranks"
done

check "a second run does nothing and says so" ends_with 0 "nothing to do: all" "$AUGMINT" run "$experiment" \
  --results "$scratch/one"
check "it prints the table again" grep -q "sliced" "$scratch/out"
on_one() { "$AUGMINT" "$1" "$experiment" --results "$scratch/one" "${@:2}"; }
check "verify finds nothing wrong" ends_with 0 " 0 bad" on_one verify
check "plan knows that all is done" ends_with 0 "device time left: none, all" on_one plan
check "status lists no failure" ends_with 0 "evaluate" on_one status
check "a tiny run is stored and marked apart" ends_with 0 "TINY" on_one run --tiny
check "the tiny table has a folder of its own" test -s "$scratch/one/$name-tiny/table.csv"
rm -r "$scratch/one/$name-tiny"
find "$scratch/one/store" -name stage.json -exec grep -l '"tiny":true' {} + | xargs -n1 dirname | xargs rm -r

# ---- other configurations share what they can ----
check "another metric needs no stage" ends_with 0 "nothing to do" on_one run \
  --set "evaluate.metrics=[accuracy, loss, f1, ece]"
check "and is in the table" grep -q ",ece," "$scratch/one/$name/table.csv"
# 5 arms x 2 draws, each trained and evaluated twice
check "one more seed trains only its own cells" \
  ends_with 0 "done: 30 stages" run_on 1 "$scratch/r3" --set seeds=2
check "the first configuration is still whole" ends_with 0 "nothing to do" on_one run

# ---- kill -9 ----
for round in 1 2 3 4; do
  AUGMINT_FAULT="die:$((round * 11 + RANDOM % 30))@$((round % 2))" run_on 2 "$scratch/killed" >/dev/null 2>&1
done
check "after ranks died at four random moments it goes on" run_on 2 "$scratch/killed"
check "and ends with the same bytes" same_as_one_rank "$scratch/killed"
check "and leaves nothing behind" no_leftovers "$scratch/killed"

kill_job() {
  setsid mpirun -n 3 "$AUGMINT" run "$experiment" --results "$scratch/job" >/dev/null 2>&1 &
  local job=$!
  until_done "$scratch/job" "$1"
  kill -9 -- "-$job" 2>/dev/null
  wait "$job" 2>/dev/null
}
for stages in $((RANDOM % 4)) $((4 + RANDOM % 12)) $((16 + RANDOM % 20)); do kill_job $stages; done
check "after kill -9 of the whole job it goes on" run_on 3 "$scratch/job"
check "and ends with the same bytes again" same_as_one_rank "$scratch/job"

dies_with_one_message() {
  local start=$SECONDS
  AUGMINT_FAULT=die:30@1 run_on 2 "$scratch/lost"
  local status=$?
  ((status != 0 && SECONDS - start < 15))
}
check "a lost rank ends the job soon" dies_with_one_message

# ---- signals ----
stop_with() {
  "$AUGMINT" run "$experiment" --results "$scratch/stopped" >"$scratch/signal" 2>&1 &
  local job=$!
  until_done "$scratch/stopped" "$2"
  kill "-$1" "$job"
  wait "$job"
  local status=$?
  cat "$scratch/signal"
  ((status == 75))
}
check "SIGUSR1 stops a run with status 75" stop_with USR1 5
check "SIGTERM does, too" stop_with TERM 20
check "the same command goes on" "$AUGMINT" run "$experiment" --results "$scratch/stopped"
check "and ends with the same bytes as well" same_as_one_rank "$scratch/stopped"

# ---- damage ----
damage() {
  local shard
  shard=$(find "$scratch/job/store" -name 'block-*.h5' | sort | head -n 1)
  printf 'x' | dd of="$shard" bs=1 seek=$(($(stat -c %s "$shard") - 40)) conv=notrunc status=none
}
damage
check "verify finds a changed shard" ends_with 1 "bad: " "$AUGMINT" verify --results "$scratch/job"
check "a folder that cannot be written is one clear error" \
  ends_with 1 "/proc/nowhere" run_on 2 /proc/nowhere
finish
