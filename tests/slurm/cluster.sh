#!/usr/bin/env bash
# A real Slurm for the tests: munge, slurmctld and some slurmd on this machine, from Debian's packages.
#
#   cluster.sh start DIR [NODES]      everything it writes is below DIR; NODES (default 2) nodes of 2 cores each,
#                                     with 2 pretended GPUs
#   . DIR/env                         the variables that make sbatch, squeue, srun and mpirun use it
#   cluster.sh down DIR ctld|nodeN [KILL]   that daemon ends (jobs of a node go on under their slurmstepd). By KILL,
#                                     slurmctld forgets what happened in the last seconds.
#   cluster.sh up DIR ctld|nodeN      it is started again
#   cluster.sh lose DIR nodeN         the node is gone, with everything that runs on it
#   cluster.sh stop DIR               ends jobs and daemons, whatever state they are in
#   cluster.sh missing                prints why it cannot run here (nothing: it can)
#
# Needs root. No file outside DIR is touched, ports are free ones. `stop` finds what belongs to this cluster, and nothing
# else: daemons and slurmstepd by their open logs below DIR, jobs by SLURM_CONF in their environment.
set -uo pipefail
die() { echo "cluster.sh: $*" >&2; exit 1; }

missing() {
  local program
  for program in munged mungekey slurmctld slurmd sbatch srun; do
    command -v "$program" >/dev/null || PATH=$PATH:/usr/sbin command -v "$program" >/dev/null ||
      { echo "Slurm's packages are absent (no $program): .ci/install slurm"; return; }
  done
  ((EUID == 0)) || echo "the test cluster needs root"
}

free_port() {  # free_port FIRST: the first port from there that nobody listens on
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

write_config() {
  local nodes=$1 host base last ctld_port cgroup=v1
  host=$(hostname -s)
  base=$((20000 + RANDOM % 20000))
  ctld_port=$(free_port $base)
  # A block of free ports for the nodes.
  local first=$((ctld_port + 1)) i=0
  while ((i < nodes)); do
    if (($(free_port $((first + i))) == first + i)); then i=$((i + 1)); else first=$((first + i + 1)) i=0; fi
  done
  last=$((nodes - 1))
  [[ -e /sys/fs/cgroup/cgroup.controllers ]] && cgroup=v2
  echo "CgroupPlugin=cgroup/$cgroup" >"$dir/cgroup.conf"
  # Two device files that every machine has stand for two GPUs: Slurm only counts them.
  printf 'NodeName=n[0-%d] Name=gpu File=/dev/%s\n' "$last" null "$last" zero >"$dir/gres.conf"
  # One TmpFS for each node: the PMIx servers of two nodes on one machine collide in a common one.
  cat >"$dir/slurm.conf" <<END
ClusterName=augmint-test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$ctld_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
SlurmdParameters=config_overrides
TmpFS=$dir/tmp.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1,requeue_delay=1
MaxArraySize=1001
MaxJobCount=10000
ReturnToService=2
KillWait=5
SlurmdTimeout=30
InactiveLimit=0
MinJobAge=30
MessageTimeout=20
JobRequeue=1
LaunchParameters=enable_nss_slurm
NodeName=n[0-$last] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$first-$((first + last))] CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 Gres=gpu:2
PartitionName=batch Nodes=ALL Default=YES MaxTime=60 DefaultTime=10 State=UP OverSubscribe=NO
END
  cat >"$dir/env" <<END
export SLURM_CONF='$dir/slurm.conf'
# Two nodes share this machine's name, so Open MPI must not take them for one.
export OMPI_MCA_btl=self,tcp OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_oversubscribe=1
END
}

wait_for() {  # wait_for SECONDS COMMAND...
  local i
  for ((i = 0; i < $1 * 10; i++)); do
    "${@:2}" >/dev/null 2>&1 && return
    sleep 0.1
  done
  return 1
}

up() {
  local one=$1
  case $one in
    ctld) setsid slurmctld -D -f "$dir/slurm.conf" </dev/null >>"$dir/slurmctld.out" 2>&1 9>&- & ;;
    node*)
      mkdir -p "$dir/tmp.n${one#node}" "$dir/spool.n${one#node}"
      setsid slurmd -D -N "n${one#node}" -f "$dir/slurm.conf" </dev/null >>"$dir/slurmd.out" 2>&1 9>&- &
      ;;
    *) die "no daemon called $one" ;;
  esac
  echo $! >"$dir/$one.pid"
}

down() {
  local pid
  pid=$(cat "$dir/$1.pid") || exit 1
  kill "-$2" "$pid"
  wait_for 20 gone "$pid" || die "$1 does not end"
}
# A process that nobody has waited for yet is gone as well.
gone() { [[ ! -r /proc/$1/stat || $(sed 's/.*) //' "/proc/$1/stat") == Z* ]]; }

start() {
  local nodes=${1:-2} n
  [[ ! -e $dir/slurm.conf ]] || die "$dir holds a cluster already"
  mkdir -p "$dir/state"
  chmod 755 "$dir"
  write_config "$nodes"
  mungekey -c -k "$dir/munge.key" || die "mungekey failed"
  setsid munged --foreground --force --key-file "$dir/munge.key" --socket "$dir/munge.socket" --pid-file "$dir/munge.pid" \
    --log-file "$dir/munge.log" --seed-file "$dir/munge.seed" </dev/null >"$dir/munge.out" 2>&1 9>&- &
  wait_for 10 munge -S "$dir/munge.socket" -n || die "munged did not start: $(tail -n 3 "$dir/munge.out" "$dir/munge.log")"
  up ctld
  for ((n = 0; n < nodes; n++)); do up "node$n"; done
  wait_for 30 all_idle "$nodes" || die "the nodes did not come up: $(tail -n 5 "$dir"/slurm*.log "$dir"/*.out)"
}

all_idle() { (($(sinfo -h -N -t idle -o %N | sort -u | wc -l) == $1)); }

# Every process of this cluster.
members() {
  local process
  for process in /proc/[0-9]*; do
    case $(cat "$process/comm") in
      munged | slurm*) ls -l "$process/fd" | grep -qF -e " $dir/" ;;
      *) grep -qzxF "SLURM_CONF=$dir/slurm.conf" "$process/environ" && grep -qz '^SLURM_JOB_ID=' "$process/environ" ;;
    esac && echo "${process#/proc/}"
  done 2>/dev/null
}

# Those of one node: its daemons have its log open, its jobs know its name.
on_node() {
  local pid
  for pid in $(members); do
    if [[ $(cat "/proc/$pid/comm") == slurm* ]]; then
      ls -l "/proc/$pid/fd" | grep -qF " $dir/slurmd.$1.log"
    else
      grep -qzxF "SLURMD_NODENAME=$1" "/proc/$pid/environ"
    fi && echo "$pid"
  done 2>/dev/null
}

end_all() {  # end_all COMMAND...: kills what the command lists, until it lists nothing
  local round pids
  for round in 1 2 3 4 5; do
    pids=$("$@")
    [[ -n $pids ]] || return 0
    kill -9 $pids 2>/dev/null
    sleep 0.2
  done
  die "these processes do not end: $pids"
}

export PATH=$PATH:/usr/sbin:/sbin
[[ ${1:-} == missing ]] && { missing; exit 0; }
[[ $# -ge 2 ]] || die "usage: cluster.sh start|stop|lose|down|up DIR ..., or cluster.sh missing"
mkdir -p "$2" && dir=$(cd "$2" && pwd -P) || exit 1
export SLURM_CONF=$dir/slurm.conf
case $1 in
  start) start "${3:-2}" || exit 1 ;;
  stop) end_all members ;;
  lose) end_all on_node "n${3#node}" ;;
  down) down "$3" "${4:-TERM}" ;;
  up) up "$3" ;;
  *) die "unknown command $1" ;;
esac
