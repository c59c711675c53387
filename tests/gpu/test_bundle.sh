#!/usr/bin/env bash
# `make bundle` runs where there is nothing but a C library and a shell; what check-gpu says with and without a card. Another
# device takes the card's place, so this shows that the script works, not that a card does.
cd "$(dirname "$0")/../.." && . tests/tap.sh
[[ $AUGMINT == */build/augmint || $AUGMINT == build/augmint ]] || { skip "the bundle" "it is made of the release build alone"; finish; }
bundle=$PWD/build/bundle
check "make bundle" make -s bundle
((tap_failed == 0)) || finish

# ---- an empty root ----
root=$scratch/root
in_root() { unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"' "$root" "$@"; }
make_root() {
  local file libc
  libc=$(dirname "$(ldd /bin/sh | awk '/libc.so/ {print $3}')")
  mkdir -p "$root"/{proc,sys,dev,etc,tmp,bin,lib64,lib/x86_64-linux-gnu}
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  for file in libc libm libdl libpthread librt libresolv libutil; do
    cp -L "$libc"/$file.so.[0-9] "$root/lib/x86_64-linux-gnu"
  done
  cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64"
  cp -L /bin/sh "$root/bin/sh"
  for file in null zero urandom; do cp -a /dev/$file "$root/dev" 2>/dev/null || mknod "$root/dev/$file" c 1 3; done
  cp -r "$bundle" "$root/bundle"
}
if ((EUID == 0)) && make_root 2>"$scratch/why" && in_root /bin/sh -c : 2>"$scratch/why"; then
  run=/bundle/augmint
  # Open MPI leaves out a plug-in whose library is missing, unless it is asked to say so.
  whole() { in_root /bin/sh -c "OMPI_MCA_mca_base_component_show_load_errors=1 $*" >"$scratch/said" 2>&1 || { cat "$scratch/said"; return 1; }
            cat "$scratch/said"; ! grep -iE "cannot open shared object|unable to open|sorry" "$scratch/said"; }
  # Each file by itself, those too that nothing above opens; NVIDIA's plug-in has a check of its own.
  closed() {
    in_root /bin/sh -c 'cd /bundle; export LD_LIBRARY_PATH=/bundle/lib
      for f in bin/* tests/*/test_* lib/*.so* lib/*/openmpi/lib/openmpi3/*.so lib/pmix2/lib/pmix/*.so; do
        [ -d "$f" ] || /lib64/ld-linux-x86-64.so.2 --list "$f" || echo "in $f"; done' >"$scratch/said" 2>&1
    ! grep -E "not found|cannot open|^in " "$scratch/said"
  }
  check "the program starts in an empty root" whole "$run --version"
  check "every file finds its libraries" closed
  check "doctor runs there" whole "$run doctor --results /tmp/r"
  check "an experiment runs there" whole "$run run /bundle/tests/gpu/signs.yaml --results /tmp/r --device cpu"
  check "and is verified there" whole "$run verify /bundle/tests/gpu/signs.yaml --results /tmp/r"
  here=$("$bundle/augmint" run tests/gpu/signs.yaml --results "$scratch/here" --device cpu >/dev/null 2>&1 && store_digest "$scratch/here")
  check "with the bytes that it gives here" test "$here" = "$(store_digest "$root/tmp/r")"
  check "two ranks of its own mpirun run there" \
    whole "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 /bundle/mpirun --oversubscribe --bind-to none -n 2 $run run /bundle/tests/gpu/signs.yaml --results /tmp/r2 --device cpu"
  check "a test program runs there" whole "/bundle/tests/ops/test_agree --device cpu --every 50"
  if [[ -e $bundle/bin/backends/cuda.so ]]; then
    check "the plug-in names the library of NVIDIA's that is missing" ends_with 1 "libcudart.so" \
      in_root "$run" bench sgd --tiny --here --device cuda --results /tmp/r
  fi
  lost() { rm "$root/bundle/lib/$2" && ! "$1" "$run --version"; }
  check "without a plug-in's library the test above fails" lost closed libmca_common_ompio.so.41
  check "and without one of the program's it does not start" lost whole libjansson.so.4
else
  skip "the bundle in an empty root" "no chroot here: $(head -n 1 "$scratch/why" 2>/dev/null)"
fi

# ---- check-gpu ----
on() { AUGMINT_GPU_DEVICE=$1 "$bundle/check-gpu" --out "$scratch/check" "${@:2}"; }
if [[ ! -e /dev/nvidiactl ]]; then
  check "without a card check-gpu says so in one line" ends_with 3 "no card: " on cuda
  check "and nothing else" test "$(wc -l <"$scratch/out")" = 1
  check "make check-gpu fails with it" ends_with 2 "no card: " make -s check-gpu
fi
export AUGMINT_GPU_TRAIN="--steps 6 --width 8"
check "check-gpu holds on the processor" ends_with 0 "all parts held" on cpu
check "it names what was not run" grep -q "not run: device cpu is none of its" "$scratch/check/check-gpu.md"
if [[ -e build/tests/on_host/cuda.so ]]; then
  export AUGMINT_BACKENDS=$PWD/build/tests/on_host
  check "the kernels alone, as loops, are not a whole device" ends_with 1 "lacks" on cuda --seconds 20
  check "and the part that fails is named" grep -q "| ops in fp32 | FAIL | .*matmul" "$scratch/check/check-gpu.md"
fi
finish
