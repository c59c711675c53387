#!/usr/bin/env bash
# The test cluster itself: both launchers run MPI with parallel HDF5 over two nodes, and nothing of it stays behind.
cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh

build() {
  mpicc $(pkg-config --cflags hdf5-openmpi) tests/slurm/mpi_hdf5.c -o "$scratch/mpi_hdf5" $(pkg-config --libs hdf5-openmpi)
}
# Each GPU is a device file of gres.conf; a job sees as many as it asked for.
gpus() { [[ $(srun -n1 --gres=gpu:2 printenv CUDA_VISIBLE_DEVICES) == 0,1 ]]; }
restart() {
  tests/slurm/cluster.sh down "$cluster" "$@" && tests/slurm/cluster.sh up "$cluster" "$1"
}
leaves_nothing() {
  local other=$scratch/other
  tests/slurm/cluster.sh start "$other" 2 || return 1
  (. "$other/env" && sbatch -o /dev/null --wrap 'srun sleep 1000' && sleep 1 && srun -N2 -n2 true) || return 1
  tests/slurm/cluster.sh stop "$other" || return 1
  ! grep -lzF "$other" /proc/[0-9]*/environ 2>/dev/null | grep .
}

check "an MPI program with parallel HDF5 builds" build
check "srun runs it on two nodes" ends_with 0 "4 ranks on 2 nodes" srun -N2 -n4 --mpi=pmix "$scratch/mpi_hdf5" "$scratch/a.h5"
check "mpirun in an allocation does, too" \
  ends_with 0 "4 ranks on 2 nodes" salloc -N2 -n4 mpirun "$scratch/mpi_hdf5" "$scratch/b.h5"
check "pretended GPUs are handed out" gpus
check "slurmctld is restarted" restart ctld
check "a node dies and comes back" restart node1 KILL
check "both work afterwards" ends_with 0 "4 ranks on 2 nodes" srun -N2 -n4 --mpi=pmix "$scratch/mpi_hdf5" "$scratch/c.h5"
check "another cluster beside it, stopped in the middle of jobs, leaves nothing" leaves_nothing
check "the first one did not notice" ends_with 0 "2 ranks on 1 nodes" srun -N1 -n2 "$scratch/mpi_hdf5" "$scratch/d.h5"
finish
