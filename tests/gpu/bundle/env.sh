# For the scripts beside it, which set `here`: this folder's libraries and Open MPI, wherever it lies. POSIX shell alone.
#
# The C library is the machine's own, and so are NVIDIA's: those of LD_LIBRARY_PATH, else of the CUDA toolkit, else of a
# Python's packages (PyTorch brings them). AUGMINT_NVIDIA=FOLDER:FOLDER names them outright.
export OPAL_PREFIX="$here" OPAL_SYSCONFDIR="$here/etc/openmpi"
export PMIX_MCA_mca_base_component_path="$here/lib/pmix2/lib/pmix"
# A process that no mpirun started is alone: it starts no daemon beside it.
export OMPI_MCA_ess_singleton_isolated=1

nvidia_folders() {
  for folder in /usr/local/cuda/lib64 /usr/local/nvidia/lib64; do
    [ -d "$folder" ] && printf ':%s' "$folder"
  done
  [ -n "${BENCH_PYTHON:-}" ] && set -- "$BENCH_PYTHON" || set -- python3
  command -v "$1" >/dev/null 2>&1 || return 0
  "$1" -c 'import glob, sys
print("".join(":" + f for p in sys.path for f in sorted(glob.glob(p + "/nvidia/*/lib"))), end="")' 2>/dev/null || :
}
# Looked for once, and only by what may need them.
find_nvidia() {
  [ -n "${AUGMINT_NVIDIA:-}" ] || AUGMINT_NVIDIA=$(nvidia_folders)
  export AUGMINT_NVIDIA LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${LD_LIBRARY_PATH:+:}${AUGMINT_NVIDIA#:}"
}
