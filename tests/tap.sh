# For test scripts: results in TAP, a folder of the script's own, and $AUGMINT, the program.
#   . tests/tap.sh; check "what holds" COMMAND...; finish
# check runs the command with its output in $scratch/log and shows that when it fails.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
AUGMINT=${AUGMINT:-build/augmint}
scratch=$(mktemp -d "${AM_TEST_TMP:-/tmp}/am-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
tap_count=0 tap_failed=0

check() {
  local tap_name=$1  # commands see the locals of their caller
  shift
  tap_count=$((tap_count + 1))
  if "$@" >"$scratch/log" 2>&1; then
    echo "ok $tap_count - $tap_name"
  else
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $tap_name"
    tail -n 20 "$scratch/log" | sed 's/^/# /'
  fi
}

skip() {
  tap_count=$((tap_count + 1))
  echo "ok $tap_count - $1 # SKIP skipped: $2"
}

# A number that the reader of a passing test wants to see; tests/run.sh shows it.
note() { echo "# note: $*"; }

# The command ends with this status and its output (both streams) holds the text.
ends_with() {
  local want=$1 text=$2 status
  shift 2
  "$@" >"$scratch/out" 2>&1
  status=$?
  cat "$scratch/out"
  if ((status != want)); then echo "status is $status, expected $want"; return 1; fi
  if ! grep -qF -- "$text" "$scratch/out"; then echo "the output does not hold: $text"; return 1; fi
}

# Hashes of everything in a store that must not depend on who made it: artefacts without their notes.
store_digest() {
  (cd "$1/store" && find . -type f ! -name provenance.json ! -name MANIFEST ! -name DONE ! -name '*.lease*' ! -path '*.part.*' |
    sort | xargs sha256sum)
}

# Tries a command until it holds, for as long as a test may take that goes on beside the script.
until_true() {
  local tap_try
  for ((tap_try = 0; tap_try < 2400; tap_try++)); do "$@" && return; sleep 0.05; done
  return 1
}

# A kill may strike between the publishing of an artefact and the end of its lease and work folder.
nothing_unfinished() {  # nothing_unfinished RESULTS
  local left
  for left in $(find "$1/store" -maxdepth 2 \( -name '*.part*' -o -name '*.lease*' -o -name '*.failed' \)); do
    [[ $left != *.failed && -f ${left%%.part*}/DONE || -f ${left%%.lease*}/DONE ]] || { echo "$left"; return 1; }
  done
}

finish() {
  echo "1..$tap_count"
  exit $((tap_failed > 0))
}
