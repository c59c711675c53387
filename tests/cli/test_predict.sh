#!/usr/bin/env bash
# What a trained network says of photographs: without being told how it was trained, augmint predict gives the logits of
# the experiment's own evaluation.
source tests/cli/lib.sh
python=${PYTHON:-python3}
mkdir data
ln -s "$manifests" data/manifests
"$AUGMINT" run "$root/tests/cli/base.yaml" --results first >/dev/null 2>&1
"$AUGMINT" export first/cli/pools/gan/all --to imagefolder --out data/photos >/dev/null
printf 'layout: class_folders\n' >photos.yaml
cat >tune.yaml <<'END'
name: photos
question: Does predict see what training saw?
data:
  train: {manifest: photos.yaml, size: 16, shape: crop, short_side: 20, resize: bicubic}
  test: {manifest: signs, split: test, classes: [stop, yield], per_class: 3}
  normalize: {mean: [0.4, 0.5, 0.6], sd: [0.2, 0.25, 0.3]}
arms: {real: {train: [real]}}
models: {net: {kind: resnet18_cifar, width: 4}}
train: {epochs: 2, batch_size: 2}
evaluate: {metrics: [accuracy], splits: [train, test]}
END
check "an experiment on photographs" 0 'accuracy' "$AUGMINT" run tune.yaml
weights=$(find results/store -name model.safetensors)
check "its weights say what they see" 0 'preprocess: crop:16,short_side:20,filter:bicubic,mean:0.4/0.5/0.6,sd:0.2/0.25/0.3' \
  "$AUGMINT" weights show "$weights"
check "predict needs no more" 0 'wrote [0-9]+ x 2 logits' "$AUGMINT" predict --weights "$weights" --images data/photos --out p.h5
if "$python" -c 'import h5py' 2>/dev/null; then
  cat >compare.py <<'END'
import sys, h5py
ours, *evaluated = (h5py.File(f)["logits"][:] for f in sys.argv[1:])
theirs, = (e for e in evaluated if e.shape == ours.shape == (4, 2))  # the test set has 6 images
error = abs(ours - theirs).max() / abs(theirs).max()
names = [n.decode() if isinstance(n, bytes) else n for n in h5py.File(sys.argv[1])["class_name"][:]]
print("off by", error, names)
assert error < 1e-5 and names == ["stop", "yield"]
assert abs(ours[0] - ours[1]).max() > 0
END
  check "and gives the evaluation's logits" 0 'off by' "$python" compare.py p.h5 results/store/*/*/predictions.h5
else
  count=$((count + 1))
  echo "ok $count - and gives the evaluation's logits # SKIP skipped: $python has no h5py"
fi
predict() { "$AUGMINT" predict --weights "$weights" --images data/photos "$@"; }
check "decoding ahead changes nothing" 0 'wrote' predict --out q.h5 --decoders 3
check "to the last bit" 0 '' cmp p.h5 q.h5
check "nor does decoding in turn" 0 'wrote' predict --out q.h5 --decoders 0
check "to the last bit, too" 0 '' cmp p.h5 q.h5
mkdir -p others/below && cp "$(find data/photos -name '*.png' -o -name '*.jpg' | head -n 1)" others/below/ && touch others/below/{a.WEBP,b.tif,c.txt,.d.webp}
check "pictures that are not read are not left out silently" 0 'others: 2 pictures that are neither JPEG nor PNG are left out, such as below/a.WEBP' \
  "$AUGMINT" predict --weights "$weights" --images others --out o.h5
check "another recipe" 0 'wrote' predict --out r.h5 --preprocess stretch:32,mean:0.5
check "gives other logits" 1 'differ' cmp p.h5 r.h5
check "a mistyped word" 2 'preprocessing "strech:32" is not known' predict --out x.h5 --preprocess strech:32
check "a batch of nothing" 2 'batch 0' predict --out x.h5 --batch 0
finish
