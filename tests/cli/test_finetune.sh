#!/usr/bin/env bash
# Fine-tuning from given weights: what is frozen stays to the bit, what the weights are decides the address, and a file
# that is missing or another one is told.
source tests/cli/lib.sh
mkdir data
ln -s "$manifests" data/manifests
run() { "$AUGMINT" run "$@"; }
model_of() { ls -t "$1"/store/*/*/model.safetensors | head -n 1; }
# "name hash" of the tensors that a pattern matches.
tensors() { "$AUGMINT" weights show "$1" --hashes | grep -E "^($2) " | awk '{print $1, $NF}'; }
both() { [[ -n $(tensors "$1" "$3") && -n $(tensors "$2" "$3") ]]; }
same() { both "$@" && diff <(tensors "$1" "$3") <(tensors "$2" "$3"); }
differ() { both "$@" && ! comm -12 <(tensors "$1" "$3" | sort) <(tensors "$2" "$3" | sort) | grep .; }

experiment() {  # experiment NAME CLASSES MODEL-KEYS
  cat >"$1.yaml" <<END
name: $1
question: Does a network that starts from given weights keep what is frozen?
data:
  train: {manifest: signs, classes: [$2], split: train, size: 16, per_class: 4}
  test: {split: test, per_class: 2}
arms: {real: {train: [real]}}
models: {net: {kind: resnet18_cifar, width: 4, $3}}
train: {epochs: 2, batch_size: 4, slices: 2, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.01}}
evaluate: [accuracy]
END
}

experiment start 'stop, yield' ''
check "a network from its seed" 0 'accuracy' run start.yaml
cp "$(model_of results)" w.safetensors
sha=$(sha256sum w.safetensors | cut -c1-64)

experiment tune 'stop, yield, speed-50' "weights: w.safetensors, frozen: [conv1, bn1, layer1], lr: {layer4: 0.1, fc: 5}"
check "other classes need another head" 2 'head: replaced' run tune.yaml
check "and nothing was begun" 0 '' test ! -e results/tune
sed -i 's/frozen:/head: replaced, frozen:/' tune.yaml
check "fine-tuning runs" 0 'accuracy' run tune.yaml --results tuned
t=$(model_of tuned)
frozen='conv1.weight|bn1.(weight|bias)|layer1[.0-9]*[.](conv|bn)[12].(weight|bias)'
check "what is frozen is bit for bit the same" 0 '' same w.safetensors "$t" "$frozen"
check "there are twelve such tensors of layer1 and three before" 0 '^15$' eval "tensors '$t' '$frozen' | wc -l"
check "its running statistics go on" 0 '' differ w.safetensors "$t" 'bn1.running_mean|layer1.*running_(mean|var)'
check "the rest has learned" 0 '' differ w.safetensors "$t" 'layer[234][.0-9]*[.]conv[12].weight'
check "the head is a new one" 0 'fc.weight .*\(3, 32\)' "$AUGMINT" weights show "$t"
check "two ranks give the same bytes" 0 'accuracy' mpirun -n 2 "$AUGMINT" run tune.yaml --results two
check "to the last" 0 '' cmp "$t" "$(model_of two)"

sed 's/frozen:/freeze_bn: true, frozen:/' tune.yaml >held.yaml
check "BatchNorm can be frozen, too" 0 'accuracy' run held.yaml --results held
h=$(model_of held)
check "then its statistics stay" 0 '' same w.safetensors "$h" '(bn1|layer1[.0-9]*[.]bn[12]).(running_mean|running_var|num_batches_tracked)'
check "those of other parts go on" 0 '' differ w.safetensors "$h" 'layer2.*running_mean'

mkdir elsewhere && cp w.safetensors elsewhere/other.safetensors
sed 's/w.safetensors/elsewhere\/other.safetensors/' tune.yaml >moved.yaml
check "the path is not part of the meaning" 0 'nothing to do' run moved.yaml --results tuned
"$AUGMINT" run start.yaml --set seed=9 --results second >/dev/null 2>&1 && cp "$(model_of second)" elsewhere/other.safetensors
check "what is in the file is" 0 'done: [1-9]' run moved.yaml --results tuned
check "a pinned hash that fits" 0 'nothing to do' run tune.yaml --results tuned --set models.net.sha256="$sha"
check "a pinned hash that does not" 1 "has SHA-256 .*, expected $sha" run moved.yaml --results tuned --set models.net.sha256="$sha"
check "a hash that is none" 2 'models.net.sha256: expected the 64' run tune.yaml --set models.net.sha256=abc
check "weights of another network" 1 'conv1.weight. has shape \(4, 3, 3, 3\), the network' run tune.yaml --set models.net.width=8
check "a file that is not there" 1 'there is no file nowhere.safetensors' run tune.yaml --set models.net.weights=nowhere.safetensors
printf 'no weights at all' >text.safetensors
check "a file that is none" 1 'text.safetensors is not a safetensors file' run tune.yaml --set models.net.weights=text.safetensors

check "a pattern that matches nothing" 2 'layer9.* matches no parameter of resnet18_cifar' run tune.yaml --set 'models.net.frozen=[layer9]'
check "nothing left to train" 2 'leaves nothing' run tune.yaml --set 'models.net.frozen=["*"]' --set 'models.net.lr={}'
check "a learning rate of what is frozen" 2 'conv1.* matches no parameter .* that is trained' run tune.yaml --set 'models.net.lr={conv1: 2}'
check "a learning rate of nothing" 2 'above 0' run tune.yaml --set 'models.net.lr={fc: 0}'
check "a head without weights" 2 'no .weights. that it could speak of' run tune.yaml --set 'models.net={kind: resnet18_cifar, head: replaced}'
check "an unknown key" 2 'did you mean .frozen' run tune.yaml --set 'models.net.frosen=[conv1]'

mkdir -p known/weights store/weights
cat >known/weights/small-signs.yaml <<END
title: two road signs
sha256: $sha
source: the signs people
licence: free of charge
END
ln -s "$manifests"/signs.yaml known/
named() { run tune.yaml --results tuned --manifests known --data store --set models.net.weights="$1"; }
check "a missing file of a manifest is described" 1 "no file store/weights/small-signs.safetensors \(SHA-256 $sha\): two road signs, licence free of charge, from the signs people" named small-signs
cp w.safetensors store/weights/small-signs.safetensors
check "a manifest finds its file" 0 'nothing to do' named small-signs
cp elsewhere/other.safetensors store/weights/small-signs.safetensors
check "and knows its hash" 1 "expected $sha" named small-signs
check "an unknown name" 2 'did you mean "small-signs"' named small-sigsn
check "torchvision's are described" 1 'there is no file .*resnet18-imagenet.safetensors: ResNet-18 .*licence BSD' \
  run tune.yaml --set models.net='{kind: resnet18, head: replaced, weights: resnet18-imagenet}'
finish
