#!/usr/bin/env bash
# Two runs of one experiment on one store at once: each stage is made once, whoever comes first, whoever
# dies or sleeps meanwhile; and the result is that of one run.
cd "$(dirname "$0")/../.." && . tests/tap.sh
experiment=tests/mpi/signs.yaml
name=signs-test

start() {  # start LOG RANKS RESULTS [options]: a run beside this script, its pid in $!
  local log=$1 ranks=$2 results=$3
  shift 3
  rm -f "$log"  # whoever waits for a line of it must not find that of the run before
  if ((ranks > 1)); then
    setsid mpirun -n "$ranks" "$AUGMINT" run "$experiment" --results "$results" "$@" >"$log" 2>&1 &
  else
    "$AUGMINT" run "$experiment" --results "$results" "$@" >"$log" 2>&1 &
  fi
}
digest() {
  store_digest "$1"
  cut -d, -f1-11 "$1/$name/table.csv"
}
same() { diff <(digest "$scratch/one") <(digest "$1"); }
no_leftovers() { ! find "$1/store" \( -name '*.part*' -o -name '*.lease*' -o -name '*.failed' \) | grep .; }
# The stages that were made, once for each time.
made() { sed -n 's/.* made \(.*\) in [0-9.]* s$/\1/p' "$1/$name"/log/*.log; }
made_once() {
  [[ -z $(made "$1" | sort | uniq -d) ]] || { made "$1" | sort | uniq -d; return 1; }
  [[ $(made "$1" | wc -l) == $(made "$scratch/one" | wc -l) ]]
}
done_stages() { (($(find "$1/store" -name DONE 2>/dev/null | wc -l) >= $2)); }
both_end() {
  local a=0 b=0
  wait "$1" || a=$?
  wait "$2" || b=$?
  tail -n 3 "$scratch/a" "$scratch/b"
  ((a == 0 && b == 0))
}

"$AUGMINT" run "$experiment" --results "$scratch/one" >/dev/null 2>&1

for ranks in 1 2; do
  store=$scratch/both$ranks
  start "$scratch/a" $ranks "$store"; a=$!
  start "$scratch/b" $ranks "$store"; b=$!
  check "two runs of $ranks ranks at once both end well" both_end $a $b
  check "each stage was made once" made_once "$store"
  check "the result is that of one run" same "$store"
  check "nothing is left behind" no_leftovers "$store"
done

# kill -9 of one, at a random moment; the other goes on with what it held.
for ranks in 1 2; do
  store=$scratch/killed$ranks
  start "$scratch/a" $ranks "$store"; a=$!
  start "$scratch/b" $ranks "$store"; b=$!
  until_true done_stages "$store" $((2 + RANDOM % 25))
  # mpirun and its ranks are one session, but not one process group.
  if ((ranks > 1)); then kill -9 $(ps -o pid= -s $a); else kill -9 $a; fi
  wait $a 2>/dev/null
  other_ends() { wait $b; local status=$?; cat "$scratch/b"; return $status; }
  check "kill -9 of one of two runs of $ranks ranks: the other ends well" other_ends
  check "with the same bytes" same "$store"
  check "and leaves nothing unfinished" nothing_unfinished "$store"
done

# One that is alive but holds a stage: the other says whom it waits for.
store=$scratch/stalled
AUGMINT_FAULT=stall:20 "$AUGMINT" run "$experiment" --results "$store" >/dev/null 2>&1 &
holder=$!
until_true done_stages "$store" 4
start "$scratch/b" 1 "$store"; b=$!
waits_and_says() {
  until_true grep -q "waiting for 1 stage of other jobs: .* is held by .*pid $holder," "$scratch/b"
}
check "a run that waits says what for and who holds it" waits_and_says
cat "$scratch/b" >"$scratch/log"
check "it has done all that it could meanwhile" done_stages "$store" 20
kill -9 $holder
wait $holder 2>/dev/null
check "when the holder is gone, it ends well" wait $b
check "with the same bytes" same "$store"

# One that sleeps longer than its lease lasts is overtaken; awake again, it finds all done.
store=$scratch/asleep
start "$scratch/a" 1 "$store" --lease-sec 1; a=$!
until_true done_stages "$store" 6
kill -STOP $a
start "$scratch/b" 1 "$store"; b=$!
overtakes() { wait $b; local status=$?; cat "$scratch/b"; return $status; }
check "a run overtakes one that sleeps" overtakes
kill -CONT $a
check "which ends well, too" wait $a
check "with the same bytes" same "$store"
check "and nothing is left behind" no_leftovers "$store"

stopped_while_waiting() {
  AUGMINT_FAULT=stall:20 "$AUGMINT" run "$experiment" --results "$scratch/wait" >/dev/null 2>&1 &
  holder=$!
  until_true done_stages "$scratch/wait" 4
  start "$scratch/b" 1 "$scratch/wait"
  b=$!
  until_true grep -q "waiting for" "$scratch/b"
  kill -USR1 $b
  wait $b
  local status=$?
  kill -9 $holder
  wait $holder 2>/dev/null
  cat "$scratch/b"
  ((status == 75))
}
check "a run that waits stops at a signal with status 75" stopped_while_waiting

# ---- two users ----
# Their results are a folder of one group, which may write there whatever the umask says (sweep/store.h).
as_user() {  # as_user UID COMMAND...
  local uid=$1
  shift
  (umask 022; exec setpriv --reuid="$uid" --regid=61000 --clear-groups env HOME="$shared" "$@")
}
run_as() {
  as_user "$1" "$shared/augmint" run "$shared/signs.yaml" --manifests "$shared/manifests" --results "$shared/results"
}
both_had_a_share() {
  (($(find "$shared/results/store" -mindepth 2 -maxdepth 2 -type d -printf '%u\n' | sort -u | wc -l) == 2))
}
if ((EUID == 0)) && command -v setpriv >/dev/null; then
  # The folder of this test is root's alone.
  shared=$(mktemp -d)
  trap 'rm -rf "$scratch" "$shared"' EXIT
  cp -r "$AUGMINT" "$experiment" data/manifests "$shared"
  mkdir -p "$shared/results/store"
  chmod -R a+rX "$shared"
  chgrp -R 61000 "$shared/results" && chmod -R g+ws "$shared/results"
  run_as 61001 >"$scratch/a" 2>&1 & a=$!
  run_as 61002 >"$scratch/b" 2>&1 & b=$!
  check "two users who run one file at once both end well" both_end $a $b
  check "each had a share of the work" both_had_a_share
  check "each stage was made once" made_once "$shared/results"
  check "the result is that of one run" same "$shared/results"
  check "nothing is left behind" no_leftovers "$shared/results"
else
  skip "two users" "this needs root and setpriv"
fi
finish
