#!/usr/bin/env bash
# doctor on a real cluster: what Slurm says against a profile, ranks that find each other, and ranks that do not.
cd "$(dirname "$0")/../.." && . tests/slurm/lib.sh
AUGMINT=$(realpath "$AUGMINT")
doctor() { "$AUGMINT" doctor --results "$scratch/results" "$@"; }
line() { grep -qE -- "$1" "$scratch/out"; }  # of the last output

check "the test profile fits the test cluster" ends_with 0 "0 failures" doctor --slurm --profile test
check "its partition" line '^ok   partition  batch is up: 2 nodes of 2 cores'
check "its launcher" line '^ok   launcher   srun --mpi=pmix'
printf 'partition: batch\nnodes: 3\nranks_per_node: 2\nmax_array: 2000000\n' >"$scratch/site.yaml"
check "a profile that asks for too much" ends_with 1 "fail nodes      the profile asks for 3 of 2" doctor --slurm \
  --profile "$scratch/site.yaml"
check "ranks on two nodes find each other" ends_with 0 "ok   launch     2 ranks on" srun -N2 -n2 --mpi=pmix \
  "$AUGMINT" doctor --mpi --fs --results "$scratch/results"
check "and see one folder" line '^ok   race       1 of 2 ranks'
check "without PMIx they are two programs, and hear so" ends_with 1 "rank 0 of 1, but SLURM_STEP_NUM_TASKS=2 were started" \
  srun -N1 -n2 --mpi=none "$AUGMINT" doctor --mpi
gpu_step() { srun -N1 -n1 --gres=gpu:1 --mpi=none "$AUGMINT" doctor --gpu; }
check "a step's GPUs are named" ends_with 0 "CUDA_VISIBLE_DEVICES 0, SLURM_STEP_GPUS" gpu_step
tests/slurm/cluster.sh down "$cluster" ctld
check "a controller that is away" ends_with 1 "fail controller scontrol: " doctor --slurm
finish
