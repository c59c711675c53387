#!/usr/bin/env bash
# doctor: every finding is one line with what to change, by sections, alone and on several ranks; Slurm's commands are
# stood for by scripts that print what real ones do.
cd "$(dirname "$0")/../.." && . tests/tap.sh
AUGMINT=$(realpath "$AUGMINT")
doctor() { "$AUGMINT" doctor --results "$scratch/results" "$@"; }
line() { grep -qE -- "$1" "$scratch/out"; }  # of the last output
no_line() { ! line "$1"; }

# Every line is a finding, the sum, or the error; whoever warns or fails says what to change.
well_formed() {
  local finding='^(ok   .{10} .+|(warn|fail) .{10} .+ -> .+|[0-9]+ failures?, [0-9]+ warnings?|augmint: error: .*|)$'
  ! grep -vE "$finding" "$scratch/out"
}

# ---- alone ----
check "everything that is quick" ends_with 0 "0 failures" doctor
check "each finding has its form" well_formed
check "with the sets of the manifests" line '^ok   data       signs: 1677 images'
check "with weights by manifest, and where people get them" line '^warn weights    resnet18-imagenet is not here -> .*download.pytorch.org'
check "and the folder of results" line '^ok   rename     moves a folder, and none over one that is there$'
left_nothing() { [[ ! -e $scratch/results ]] && ! find "$scratch" -name '.doctor-*' | grep .; }
check "nothing is left behind" left_nothing

check "results that cannot be made" ends_with 1 "-> choose another folder" "$AUGMINT" doctor --fs --results /proc/nowhere
check "one section alone" no_line '^ok   data'
check "memory is no place for results" ends_with 0 "warn fs         tmpfs: in memory" "$AUGMINT" doctor --fs --results /dev/shm/none
check "each finding has its form here, too" well_formed
check "GPUs: the truth" ends_with 0 "no experiment runs on a GPU here: " doctor --gpu
check "a device that is not there" ends_with 0 "rank 0 on" env CUDA_VISIBLE_DEVICES=93 "$AUGMINT" doctor --gpu
check "versions and launch" ends_with 0 "ok   launch     one rank" doctor --mpi

# ---- launched ----
check "two ranks" ends_with 0 "0 failures" mpirun -n 2 "$AUGMINT" doctor --mpi --gpu --fs --results "$scratch/results"
check "each finding has its form on two ranks" well_formed
check "they found each other" line '^ok   launch     2 ranks on 1 host: '
check "they add up" line '^(ok|warn) +all-reduce [0-9]+ MB/s of 16 MiB over 2 ranks; expected at least [0-9]+'
check "they see one folder" line '^(ok|warn) +sight      2 ranks on 1 host see a new file after at most'
check "one of them makes a file" line '^ok   race       1 of 2 ranks made the same file'
check "two ranks leave nothing behind, either" left_nothing
check "more threads than cores" ends_with 0 "threads on" mpirun -n 2 "$AUGMINT" doctor --mpi --threads 500
check "is worth a warning" line '^warn binding    rank 0 may run on .* but has 500 threads -> '
check "every rank fails when results cannot be made" ends_with 1 "1 failure," mpirun -n 2 "$AUGMINT" doctor --fs --results /proc/nowhere
check "processes that srun started apart" ends_with 1 "but SLURM_STEP_NUM_TASKS=4 were started" \
  env SLURM_STEP_NUM_TASKS=4 "$AUGMINT" doctor --mpi
check "are told how to start together" line '-> .*srun --mpi=pmix'
check "one process in a batch script is no mistake" ends_with 0 "one rank" env SLURM_NTASKS=4 SLURM_PROCID=0 "$AUGMINT" doctor --mpi

# ---- Slurm ----
mkdir "$scratch/bin" "$scratch/none"
fake() { printf '#!/bin/sh\n%s\n' "$2" >"$scratch/bin/$1" && chmod +x "$scratch/bin/$1"; }
fake sinfo 'case $1 in
  --version) echo "slurm 22.05.8" ;;
  *) echo "batch*|1-00:00:00|4|64|256000|(null)|up"; echo "gpu|2:00:00|2|48|500000+|gpu:a100:4(S:0-1),mps:400|up"; echo "old|infinite|1|8|32000|(null)|down" ;;
esac'
fake scontrol 'echo "Configuration data as of now"; echo "JobRequeue              = 1"; echo "MaxArraySize            = 1001"; echo "MpiDefault              = none"'
fake srun 'echo "MPI plugin types are..."; echo "	none"; echo "	pmix"; echo "specific pmix plugin versions available: pmix_v4" >&2'
slurm() { PATH=$scratch/bin:$PATH "$AUGMINT" doctor --slurm "$@"; }
site() { printf '%s\n' "$@" >"$scratch/site.yaml"; }

check "without Slurm" ends_with 1 "fail slurm      there is no sinfo in PATH -> log in to the cluster" \
  env PATH="$scratch/none" "$AUGMINT" doctor --slurm
check "with Slurm, no profile" ends_with 0 "ok   slurm      slurm 22.05.8" slurm
check "its lines have their form" well_formed
check "the default partition is shown" line '^ok   partition  batch is up: 4 nodes of 64 cores'
check "a profile is asked for" line '^warn profile    .* -> --profile P'
site 'partition: batch' 'nodes: 4' 'ranks_per_node: 64' 'memory: 3500' 'time_limit: 1440' 'max_array: 1001'
check "a profile that fits" ends_with 0 "0 failures, 0 warnings" slurm --profile "$scratch/site.yaml"
site 'partition: batch' 'nodes: 5' 'ranks_per_node: 65' 'memory: 4000' 'time_limit: 2000' 'max_array: 5000' 'gpus_per_node: 0'
check "a profile that asks for too much" ends_with 1 "5 failures" slurm --profile "$scratch/site.yaml"
check "its lines say what to change" well_formed
check "nodes" line '^fail nodes      the profile asks for 5 of 4 -> nodes: at most 4'
check "cores" line '^fail cores      the profile asks for 65 of 64 ->'
check "memory" line '^fail memory     the profile asks for 260000 of 256000 ->'
check "time" line '^fail time       the profile asks for 2000 of 1440 ->'
check "arrays" line '^fail arrays     MaxArraySize 1001, the profile has max_array 5000 -> max_array: 1001 in the profile'
site 'partition: gpu' 'gpus_per_node: 8' 'gres: gpu:a100' 'time_limit: 60' 'memory: 100000'
check "GPUs" ends_with 1 "fail GPUs       the profile asks for 8 of 4" slurm --profile "$scratch/site.yaml"
check "nodes of several kinds are a warning" line '^warn memory     the profile asks for 800000; some nodes have 500000 -> .*constraint'
site 'partition: old'
check "a partition that is down" ends_with 1 "fail partition  old is down" slurm --profile "$scratch/site.yaml"
site 'partition: nowhere'
check "a partition that is not there" ends_with 1 "fail partition  there is no nowhere" slurm --profile "$scratch/site.yaml"
check "a profile that is not there" ends_with 2 "there is no slurm/profiles/none-such.yaml" slurm --profile none-such
site 'partition: batch' 'requeue: true' 'mpi: pmix_v9'
fake scontrol 'echo "JobRequeue = 0"; echo "MaxArraySize = 1001"'
check "srun without the wanted PMIx" ends_with 1 "fail launcher   srun --mpi=list does not have pmix_v9 -> launcher: mpirun" \
  slurm --profile "$scratch/site.yaml"
check "a site that does not requeue" line '^warn requeue    JobRequeue 0, the profile wants it -> requeue: false'
site 'launcher: mpirun'
check "mpirun needs no PMIx of Slurm's" ends_with 0 "ok   launcher   mpirun" slurm --profile "$scratch/site.yaml"
fake scontrol 'echo "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)" >&2; exit 1'
check "a controller that does not answer" ends_with 1 "fail controller scontrol: slurm_load_ctl_conf error: Unable to contact" slurm
fake scontrol 'echo "MaxArraySize"; echo "="; printf "\\377\\n"'
fake sinfo 'case $1 in --version) echo "slurm 99" ;; *) echo "a|b"; echo "*"; echo ; printf "|||||||\\n" ;; esac'
check "nonsense is told, too" ends_with 1 "fail partition" slurm
check "--profile without its section" ends_with 2 "--profile is for --slurm" doctor --mpi --profile x
finish
