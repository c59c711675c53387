#!/usr/bin/env bash
# The GPU's part is a shared object: what is said where it is missing, foreign, or finds no driver.
source tests/cli/lib.sh
object=$(cd "$(dirname "$AUGMINT")" && pwd)/backends/cuda.so
on_cuda() { env ${1:+AUGMINT_BACKENDS="$1"} "$AUGMINT" bench sgd --tiny --here --device cuda; }

mkdir none foreign other
check "a missing object is named, with how it comes about" 1 "there is no none/cuda.so; \`make\` builds it" on_cuda none
echo nonsense >foreign/cuda.so
check "what is no object is named" 1 "foreign/cuda.so: file too short" on_cuda foreign
echo 'const unsigned long long am_plugin_entry[2] = {1, 0};' >other.c
gcc -shared -fPIC other.c -o other/cuda.so
check "an object of another build is refused" 1 "other/cuda.so is of another build" on_cuda other
check "nothing else needs it" 0 "" env AUGMINT_BACKENDS=none "$AUGMINT" bench sgd --tiny --here --device cpu

if [[ ! -e $object ]]; then
  count=$((count + 1))
  echo "ok $count - the object loads # SKIP $(make -s -C "$root" info | sed -n 's/^cuda *//p')"
elif [[ -e /dev/nvidiactl ]]; then
  check "the object loads, and a card computes" 0 "sgd" on_cuda ""
else
  check "the object loads, and says that there is no driver" 1 "no NVIDIA driver on this machine" on_cuda ""
fi
finish
