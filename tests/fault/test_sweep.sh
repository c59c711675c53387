#!/usr/bin/env bash
# Allocations, writes, fsyncs and renames that fail anywhere in a run: one clear error, nothing half-written,
# and the next run ends with the bytes of a run in which nothing failed.
cd "$(dirname "$0")/../.." && . tests/tap.sh
experiment=tests/cli/base.yaml

"$AUGMINT" run "$experiment" --results "$scratch/whole" >/dev/null 2>&1

is_whole() {
  diff <(store_digest "$scratch/whole") <(store_digest "$scratch/hurt")
}

run_hurt() { "$AUGMINT" run "$experiment" --results "$scratch/hurt"; }
no_report_of_sanitizers() { ! grep -E 'Sanitizer|runtime error' "$scratch/out"; }

fails_cleanly() {  # fails_cleanly FAULT MESSAGE
  AUGMINT_FAULT=$1 ends_with 1 "$2" run_hurt && no_report_of_sanitizers && run_hurt && is_whole && rm -r "$scratch/hurt"
}

# What stages cost is written down by the clock: when it differs from what is known. A run that cannot do that says so and
# goes on, so from the first finished stage on it depends on the machine's load which of the two a number hits.
fails_cleanly_or_goes_on() {  # fails_cleanly_or_goes_on FAULT
  local status
  AUGMINT_FAULT=$1 run_hurt >"$scratch/out" 2>&1
  status=$?
  cat "$scratch/out"
  no_report_of_sanitizers || return 1
  case $status in
    0) grep -F "calibration.json: " "$scratch/out" || return 1 ;;
    1) grep -F "error: " "$scratch/out" && run_hurt || return 1 ;;
    *) echo "status is $status, expected 0 or 1"; return 1 ;;
  esac
  is_whole && rm -r "$scratch/hurt"
}

for n in 1 60 400 1500 4000 9000; do
  check "allocation $n fails" fails_cleanly "alloc:$n" "memory"
done
for n in 1 4 9 17; do  # of the first stage
  check "input or output $n fails" fails_cleanly "io:$n" "error: "
done
for n in 30 47 66 90 121; do
  check "input or output $n fails" fails_cleanly_or_goes_on "io:$n"
done
check "two ranks, one of which cannot write, end with one error" ends_with 1 "rank 1" \
  env AUGMINT_FAULT=io:12@1 mpirun -n 2 "$AUGMINT" run "$experiment" --results "$scratch/two"
finish
