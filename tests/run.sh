#!/usr/bin/env bash
# Runs test programs and scripts and counts what they report. The last line is
#   N passed, N failed, N skipped
# and the exit status is non-zero when anything failed, nothing ran, or a program did not report.
#
#   tests/run.sh BUILD_DIR [PATTERN]     PATTERN: only paths that contain it. tests/slurm runs only when it is meant.
#
# A C test prints TAP. Its first line may say "// ranks: 1 2 3": it then runs under mpirun at each of these
# sizes. Scripts (tests/*/test_*.sh) print TAP too and get AUGMINT=path of the program.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
pattern=${2:-}
export CMOCKA_MESSAGE_OUTPUT=TAP
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
# HDF5, Open MPI and oneDNN keep memory of their own until the process ends.
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_odr_violation=0}
export AUGMINT=$PWD/$build/augmint
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0 skipped=0

# run_one NAME COMMAND...: runs, shows failures, adds to the counts.
run_one() {
  local name=$1 log=$scratch/log status ok not_ok skips
  shift
  mkdir -p "$scratch/tmp"
  AM_TEST_TMP=$scratch/tmp timeout "${AM_TEST_TIMEOUT:-600}" "$@" >"$log" 2>&1 </dev/null
  status=$?
  ok=$(grep -cE '^ok ' "$log")
  not_ok=$(grep -cE '^not ok ' "$log")
  skips=$(grep -ciE '^(not )?ok .*# *skip' "$log")
  # A skipped test is printed as "ok ... # SKIP" (or "not ok" by old versions of cmocka).
  ok=$((ok - $(grep -ciE '^ok .*# *skip' "$log")))
  not_ok=$((not_ok - $(grep -ciE '^not ok .*# *skip' "$log")))
  if ((not_ok == 0 && status != 0 && ok + skips == 0)) || ((not_ok == 0 && status != 0)); then
    not_ok=1
    echo "     $name ended with status $status"
  fi
  if ((ok + not_ok + skips == 0)); then
    not_ok=1
    echo "     $name reported no test"
  fi
  passed=$((passed + ok)) failed=$((failed + not_ok)) skipped=$((skipped + skips))
  if ((not_ok)); then
    echo "FAIL $name"
    sed 's/^/     /' "$log" | tail -n 60
  else
    echo "ok   $name ($ok passed$( ((skips)) && echo ", $skips skipped: $(grep -m1 -oE 'skipped: .*' "$log")"))"
    sed -n 's/^# note: /     /p' "$log"
  fi
  rm -rf "$scratch/tmp"
}

for source in tests/unit/*.c tests/ops/*.c tests/golden/*.c tests/fault/*.c tests/mpi/*.c; do
  [[ -e $source && $source == *"$pattern"* ]] || continue
  grep -q "^int main" "$source" || continue  # shared parts of a test program
  program=$build/${source%.c}
  ranks=$(sed -n '1s|^// ranks: ||p' "$source")
  if [[ -z $ranks ]]; then
    run_one "$source" "$program"
  else
    for n in $ranks; do run_one "$source on $n ranks" mpirun -n "$n" "$program"; done
  fi
done
for script in tests/*/test_*.sh; do
  [[ -e $script && $script == *"$pattern"* ]] || continue
  [[ $script == tests/slurm/* && $pattern != *slurm* ]] && continue
  run_one "$script" bash "$script"
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed + skipped > 0))
