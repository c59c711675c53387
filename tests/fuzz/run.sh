#!/usr/bin/env bash
# Runs every fuzz target in a folder for so many seconds, starting from the files of tests/fuzz/corpus/<target>/.
# A finding is kept as tests/fuzz/found-* and ends the run.
set -uo pipefail
cd "$(dirname "$0")/../.."
folder=$1 seconds=$2 status=0
for target in "$folder"/fuzz_*; do
  [[ -x $target ]] || continue
  name=$(basename "$target")
  work=$(mktemp -d)
  corpus=(tests/fuzz/corpus/"${name#fuzz_}")
  [[ -d ${corpus[0]} ]] || corpus=()
  if ASAN_OPTIONS=allocator_may_return_null=1 "$target" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 \
      -print_final_stats=1 -artifact_prefix=tests/fuzz/found- "$work" "${corpus[@]}" >"$work.log" 2>&1; then
    echo "$name: $(grep -oE 'stat::number_of_executed_units: *[0-9]+' "$work.log" | grep -oE '[0-9]+$') inputs, no finding"
  else
    echo "$name: a finding"
    tail -n 40 "$work.log"
    status=1
  fi
  rm -rf "$work" "$work.log"
done
exit $status
