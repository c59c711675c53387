#!/usr/bin/env bash
# A packed data set from its files to logits: check, show, a run with grey images, export, predict.
source tests/cli/lib.sh

# idx NAME HEADER VALUES...: a file of one byte for each value behind its header
idx() {
  local name=$1 header=$2
  shift 2
  { printf "$header"; printf '%b' "$(printf '\\x%02x' "$@")"; } >"sets/dots/$name"
}
mkdir -p sets/dots
pixels=()
digits=()
for ((i = 0; i < 12; i++)); do
  digits+=($((i % 2)))
  for ((p = 0; p < 16 * 16; p++)); do pixels+=($(((i % 2 * 128 + i * 5 + p * 7) % 256))); done
done
idx train-images '\0\0\x08\x03\0\0\0\x0c\0\0\0\x10\0\0\0\x10' "${pixels[@]}"
idx train-labels '\0\0\x08\x01\0\0\0\x0c' "${digits[@]}"
gzip -9 sets/dots/train-images
cat >dots.yaml <<'YAML'
layout: idx
classes: [dark, light]
files: train-images
labels: train-labels
images: 12
divide: {fractions: {train: 0.5, test: 0.5}}
YAML
cat >grey.yaml <<'YAML'
name: grey
data:
  train: {manifest: dots.yaml, split: train, size: 16, channels: 1}
  test: {split: test}
arms: {real: {train: [real]}}
models: {net: {kind: resnet18_cifar, width: 4}}
train: {epochs: 1, batch_size: 4}
evaluate: [accuracy]
YAML

check "data check" 0 '12 images, 12 distinct' "$AUGMINT" data check dots.yaml --data sets
cp dots.yaml sums.yaml
echo "name: dots
checksums: {train-labels: md5:$(md5sum <sets/dots/train-labels | cut -d' ' -f1), all.tar: md5:00000000000000000000000000000000}" >>sums.yaml
check "checksums agree" 0 'checksums: 1 agree, 0 differ, 1 are of files that are not here' "$AUGMINT" data check sums.yaml --data sets
sed -i 's/md5:[0-9a-f]*,/md5:00000000000000000000000000000000,/' sums.yaml
check "or differ" 1 'md5 of train-labels is [0-9a-f]{32}, published is 0000' "$AUGMINT" data check sums.yaml --data sets
check "data show" 0 'light +6' "$AUGMINT" data show dots.yaml --data sets --out dots.png
check "a run with grey images" 0 'accuracy' "$AUGMINT" run grey.yaml --data sets
check "one with RGB images" 0 'accuracy' "$AUGMINT" run grey.yaml --data sets --results rgb --set data.train.channels=3
check "two channels" 2 'channels: 2, expected 1 or 3' "$AUGMINT" plan grey.yaml --data sets --set data.train.channels=2
check "a split with other channels" 2 'channels is 3, train has 1' "$AUGMINT" plan grey.yaml --data sets --set data.test.channels=3
weights=$(find results/store -name model.safetensors)
check "export" 0 'wrote 6 images' "$AUGMINT" export "$(dirname "$(find results/store -name 'block-*.h5' | head -n 1)")" --out images
check "the weights say that they see grey" 0 'wrote 6 x 2 logits' "$AUGMINT" predict --weights "$weights" --images images --preprocess half --out grey.h5
check "ImageNet's mean has three channels" 2 'are for images of 1 channels' "$AUGMINT" predict --weights "$weights" --images images --preprocess imagenet --out x.h5
rgb=$(find rgb/store -name model.safetensors)
check "the others that they see RGB" 0 'wrote 6 x 2 logits' "$AUGMINT" predict --weights "$rgb" --images images --preprocess half --out rgb.h5

check "logits of a data set" 0 'wrote 6 x 2 logits' "$AUGMINT" predict --weights "$weights" --manifest dots.yaml --split test --data sets --out set.h5
check "neither a folder nor a set" 2 'either --images DIR or --manifest NAME' "$AUGMINT" predict --weights "$weights" --out x.h5
check "a split of nothing" 2 'give --manifest too' "$AUGMINT" predict --weights "$weights" --images images --split test --out x.h5
echo '[horizontal_flip]' >policy.yaml
check "augment a data set" 0 'wrote 12 images' "$AUGMINT" augment --policy policy.yaml --manifest dots.yaml --split test --data sets --copies 2 --out seen
check "by the numbers of its images" 0 'train-images#[0-9]{7}-1.png' ls seen

gunzip sets/dots/train-images.gz
check "unpacked, it is the same set" 0 'nothing to do' "$AUGMINT" run grey.yaml --data sets
printf x >>sets/dots/train-images
check "a byte too much" 1 'train-images: its header says 12 x 16 x 16, which is 3088 bytes, but the file has 3089' "$AUGMINT" data check dots.yaml --data sets
rm sets/dots/train-images
check "no file" 1 'there is no file sets/dots/train-images' "$AUGMINT" data check dots.yaml --data sets
finish
