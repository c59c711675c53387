#!/usr/bin/env bash
# Shards of files against shards of pixels, and transforms that want a whole photograph.
source tests/cli/lib.sh

cat >real.yaml <<'YAML'
name: real
data:
  train: {manifest: signs, classes: [stop, yield], split: train, size: 16, per_class: 4}
  test: {split: test, per_class: 3}
arms:
  plain: {train: [real]}
  moved: {train: [real], augment: [random_crop, horizontal_flip, color_jitter]}
models: {net: {kind: p3_cnn}}
train: {epochs: 2, batch_size: 4}
evaluate: [accuracy, loss]
YAML
# The distinct weights that trainings below these folders ended with.
weights() { find "${@/%//store}" -name model.safetensors -exec sha256sum {} + | cut -d' ' -f1 | sort -u; }
same_weights() { cmp <(weights "$1") <(weights "$2") && weights "$1" | wc -l; }
count_weights() { weights "$@" | wc -l; }

check "pixels in the shards" 0 'accuracy' "$AUGMINT" run real.yaml --results pixels
check "files in the shards" 0 'accuracy' "$AUGMINT" run real.yaml --results files --set data.train.store=files --set data.test.store=files
check "give the same weights" 0 '^2$' same_weights pixels files
sed 's/random_crop, /random_resized_crop, vertical_flip, /; s/color_jitter/color_jitter, normalize, random_erasing/' real.yaml >resized.yaml
check "a crop of the prepared image" 0 'accuracy' "$AUGMINT" run resized.yaml --results pixels
check "a crop of the file" 0 'accuracy' "$AUGMINT" run resized.yaml --results files --set data.train.store=files
check "is another picture" 0 '^4$' count_weights pixels files  # plain, moved and the two of moved in resized.yaml
check "another short side" 0 'accuracy' "$AUGMINT" run real.yaml --results side --set data.test.shape=crop --set data.test.short_side=20
check "short_side without a crop" 2 'short_side: shape "stretch" has no use for it' "$AUGMINT" plan real.yaml --set data.train.short_side=20
check "too short a side" 2 '15, less than the size of 16' "$AUGMINT" plan real.yaml --set data.train.shape=crop --set data.train.short_side=15
sed 's/random_crop, /color_jitter, random_resized_crop, /' real.yaml >late.yaml
check "a resize after colours" 2 'late.yaml:7:.*"random_resized_crop" works on 8-bit pixels: it must come before "color_jitter"' "$AUGMINT" plan late.yaml
sed 's/random_crop, /resize, /' real.yaml >sizes.yaml
check "images that still differ in size" 2 'before "color_jitter" the images need one size' "$AUGMINT" plan sizes.yaml
check "every transform is in the schema" 0 'random_erasing' "$AUGMINT" schema augment
finish
