#!/usr/bin/env bash
# A short run of every fuzz target. Long ones: make fuzz FUZZ_SEC=600
shopt -s nullglob
targets=(tests/fuzz/fuzz_*.c)
echo "1..1"
if ! command -v clang >/dev/null; then
  echo "# skipped: clang is not installed"
  echo "ok 1 - fuzz # SKIP clang is not installed"
  exit 0
fi
if report=$(make --no-print-directory fuzz FUZZ_SEC="${FUZZ_SEC:-5}" 2>&1) && [[ $(grep -c 'no finding' <<<"$report") == "${#targets[@]}" ]]; then
  echo "ok 1 - fuzz"
else
  echo "not ok 1 - fuzz"
fi
echo "$report" | tail -n 40
