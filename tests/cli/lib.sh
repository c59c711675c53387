# Shared by the scripts here: TAP, and checks on what the program printed. Needs AUGMINT and runs in a folder of its own.
set -u
: "${AUGMINT:?the program}"
root=$PWD
work=$(mktemp -d "${AM_TEST_TMP:-/tmp}/cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
manifests=$root/data/manifests
count=0 failures=0

# check NAME CODE TEXT COMMAND...: the command ends with CODE and its output contains TEXT (an extended regular
# expression; empty: whatever it is).
check() {
  local name=$1 code=$2 text=$3 status
  shift 3
  "$@" >output 2>&1 </dev/null
  status=$?
  count=$((count + 1))
  if ((status == code)) && { [[ -z $text ]] || grep -qE -- "$text" output; }; then
    echo "ok $count - $name"
    return
  fi
  failures=$((failures + 1))
  echo "not ok $count - $name"
  echo "# $* ended with $status, expected $code and \"$text\":"
  head -n 20 output | sed 's/^/#   /'
}

finish() {
  echo "1..$count"
  ((failures == 0))
}
