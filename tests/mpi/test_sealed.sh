#!/usr/bin/env bash
# A whole experiment on a device whose memory the host cannot touch (tests/on_host/sealed.c): every stage gives the bytes of
# the cpu device, on any number of ranks and after kill -9. What reads or writes such memory in place dies here.
cd "$(dirname "$0")/../.." && . tests/tap.sh
export AUGMINT_BACKENDS
AUGMINT_BACKENDS=$(cd "$(dirname "$AUGMINT")" && pwd)/tests/on_host/sealed
experiment=tests/mpi/signs.yaml
augment="[horizontal_flip, random_crop, {color_jitter: {hue: 0.1}}, gaussian_blur, rotation, random_erasing]"
options=(--tiny --set "arms.gan.augment=$augment" --set train.ema=0.9 --set train.accumulate=2 --set train.reduce=ordered)

run_on() {  # run_on RANKS RESULTS DEVICE
  mpirun -n "$1" "$AUGMINT" run "$experiment" "${options[@]}" --results "$2" --device "$3"
}
same_as_cpu() { diff <(store_digest "$scratch/cpu") <(store_digest "$1"); }

check "the cpu runs it" run_on 1 "$scratch/cpu" cpu
for ranks in 1 2 3; do
  check "$ranks ranks run it on sealed devices" ends_with 0 "memory that the host cannot read" run_on $ranks "$scratch/r$ranks" cuda
  check "with the bytes of the cpu" same_as_cpu "$scratch/r$ranks"
done

# Clipping adds squares on the device, in f32: not the cpu's bits, but those of one rank. Pools and unclipped trainings are there.
clip_on() {  # clip_on RANKS
  cp -r "$scratch/r1" "$scratch/clipped$1" &&
    mpirun -n "$1" "$AUGMINT" run "$experiment" "${options[@]}" --set train.clip_norm=0.5 --results "$scratch/clipped$1" --device cuda
}
same_as_one() { diff <(store_digest "$scratch/clipped1") <(store_digest "$scratch/clipped$1"); }
more_than_unclipped() { (($(store_digest "$scratch/clipped1" | wc -l) > $(store_digest "$scratch/r1" | wc -l))); }
check "one rank clips gradients" clip_on 1
check "in trainings of their own" more_than_unclipped
for ranks in 2 3; do
  check "$ranks ranks clip them" clip_on $ranks
  check "with the bytes of one" same_as_one $ranks
done

said() { "$AUGMINT" -v run "$experiment" "${options[@]}" --results "$scratch/said" --device "$@"; }
check "a card augments" ends_with 0 ": the device augments" said cuda
check "but for what it cannot do" ends_with 0 "the host augments: no device does its random_erasing" said cuda \
  --set "arms.gan.augment=[{random_erasing: {fill: random}}]"
quiet() { said cpu --results "$scratch/quiet" >"$scratch/out" 2>&1 && ! grep augments "$scratch/out"; }
check "on the cpu nobody asks" quiet

# Each round two ranks get further, until one of them dies at its next fault point or all is done.
killed_and_resumed() {
  local round status deaths=0
  for ((round = 0; round < 40; round++)); do
    AUGMINT_FAULT=die:$((9 + round))@1 run_on 2 "$scratch/killed" cuda
    status=$?
    ((status == 0)) && break
    deaths=$((deaths + 1))
  done
  echo "$deaths deaths"
  ((status == 0 && deaths > 0))
}
check "killed again and again, it ends" killed_and_resumed
check "with the same bytes as well" same_as_cpu "$scratch/killed"

sample_on() {
  "$AUGMINT" sample --weights "$(grep -rl dcgan_p4_g "$scratch/cpu/store" --include='*.safetensors' | sort | head -n 1)" --count 5 \
    --out "$scratch/samples-$1" --device "$1"
}
check "samples are drawn on the cpu" sample_on cpu
check "and on a sealed device" sample_on cuda
same_samples() { diff <(cd "$scratch/samples-cpu" && sha256sum ./*.h5) <(cd "$scratch/samples-cuda" && sha256sum ./*.h5); }
check "with the same bytes" same_samples

# ---- ranks that do not fit together ----
mixed() { mpirun -n 1 "$AUGMINT" run "$experiment" --results "$scratch/mixed" --device cuda : -n 1 "$AUGMINT" run "$experiment" \
  --results "$scratch/mixed" --device cpu; }
check "ranks on two kinds of devices are refused" ends_with 2 "rank 0 on cuda: --device says one kind for all" mixed
check "auto is the cpu" ends_with 0 "device: cpu" "$AUGMINT" run "$experiment" "${options[@]}" --results "$scratch/auto"

for row in resnet18-32 dcgan-1 predict-1; do
  check "bench $row runs on it" "$AUGMINT" bench "$row" --tiny --here --device cuda
done
check "and op by op" "$AUGMINT" bench dcgan-1 --tiny --here --device cuda:eager
check "a device without engines to measure says so" ends_with 1 "device cuda chooses nothing by timing" \
  "$AUGMINT" bench resnet18-32 --tiny --here --device cuda --measured
check "and on two ranks" mpirun -n 2 "$AUGMINT" bench resnet18-32-ranks --tiny --here --device cuda
finish
