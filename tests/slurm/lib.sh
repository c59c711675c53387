# For the tests on a real Slurm: TAP, and a cluster that ends with the script. Where there can be none, the script ends
# with one skipped test that says why.
#   cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh
. tests/tap.sh
why_not=$(tests/slurm/cluster.sh missing)
if [[ -n $why_not ]]; then
  skip "$(basename "$0")" "$why_not"
  finish
fi
cluster=$scratch/cluster
trap 'tests/slurm/cluster.sh stop "$cluster"; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
tests/slurm/cluster.sh start "$cluster" 2 || { echo "not ok 1 - the test cluster starts"; exit 1; }
. "$cluster/env"
