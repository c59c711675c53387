#!/usr/bin/env bash
# analysis/convert_weights.py: what people have of weights becomes what augmint reads. Needs torch in $PYTHON.
source tests/cli/lib.sh
python=${PYTHON:-python3}
convert=$root/analysis/convert_weights.py

check "the help teaches" 0 'weights_only=True' "$python" "$convert" --help
if ! "$python" -c 'import torch, safetensors' 2>/dev/null; then
  count=$((count + 1))
  echo "ok $count - conversions # SKIP skipped: $python has no torch and safetensors"
  finish
  exit
fi

# A network that augmint has too, in the forms in which it is met.
"$python" - <<'END' || exit 1
import hashlib, os, torch
from safetensors.torch import save_file
nn = torch.nn
torch.manual_seed(1)
state = {"conv1.weight": torch.randn(64, 3, 3, 3)}
def bn(name, n):
    state.update({f"{name}.weight": torch.rand(n), f"{name}.bias": torch.randn(n), f"{name}.running_mean": torch.randn(n),
                  f"{name}.running_var": torch.rand(n), f"{name}.num_batches_tracked": torch.tensor(7)})
inputs = 64
for stage in range(4):
    for block in range(2):
        outputs, p = 64 * 2**stage, f"layer{stage + 1}.{block}"
        bn(f"{p}.bn1", inputs)
        state[f"{p}.conv1.weight"] = torch.randn(outputs, inputs, 3, 3)
        bn(f"{p}.bn2", outputs)
        state[f"{p}.conv2.weight"] = torch.randn(outputs, outputs, 3, 3)
        if inputs != outputs:
            state[f"{p}.shortcut.0.weight"] = torch.randn(outputs, inputs, 1, 1)
        inputs = outputs
state |= {"linear.weight": torch.randn(5, 512), "linear.bias": torch.randn(5)}
save_file(state, "want.safetensors", metadata={"format": "pt"})
wrapped = {"module." + k: v for k, v in state.items()}
torch.save(state, "plain.pth")
torch.save(wrapped, "wrapped.bin")
torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {"lr": 0.1}}, "checkpoint.pt")
other = {k: v + 1 for k, v in state.items()}
torch.save({"model": other, "ema": {"n_averaged": torch.tensor(2), **wrapped}}, "averaged.pth")
torch.save(state, "old.pth", _use_new_zipfile_serialization=False)
torch.save({"conv": {k: v.t() if v.ndim == 2 else v for k, v in state.items()}}, "views.pth")
torch.save(nn.Sequential(nn.Linear(2, 2)), "whole.pth")
digest = hashlib.sha256(open("plain.pth", "rb").read()).hexdigest()
os.link("plain.pth", f"net-{digest[:8]}.pth")
os.link("plain.pth", "wrong-01234567.pth")
END

for form in plain.pth wrapped.bin checkpoint.pt old.pth net-*.pth; do
  check "$form is converted" 0 'tensors, SHA-256' "$python" "$convert" $form out.safetensors --force
  check "with the bytes of the reference writer" 0 '' cmp out.safetensors want.safetensors
done
check "augmint reads them" 0 'fits preact_resnet18 with 5 classes' "$AUGMINT" weights check out.safetensors --model preact_resnet18
check "and writes the same bytes" 0 'wrote' "$AUGMINT" weights check out.safetensors --model preact_resnet18 --out again.safetensors
check "to the last" 0 '' cmp out.safetensors again.safetensors
check "an average is taken when asked for" 0 'SHA-256' "$python" "$convert" averaged.pth ema.safetensors --key ema
check "and is another network than the last one" 0 '' cmp ema.safetensors want.safetensors
check "what a file holds is listed" 0 '^ema: state dict of 103 entries' "$python" "$convert" averaged.pth --list
check "views are written" 0 'SHA-256' "$python" "$convert" views.pth views.safetensors --key conv
check "an unknown entry" 1 "no entry 'emma'" "$python" "$convert" averaged.pth x.safetensors --key emma
check "nothing is replaced unasked" 1 'exists' "$python" "$convert" plain.pth out.safetensors
check "a whole model is refused" 1 'whole pickled model' "$python" "$convert" whole.pth x.safetensors
check "a file whose name states another hash" 1 'its name begins with' "$python" "$convert" wrong-01234567.pth x.safetensors
echo nothing >no.pth
check "what is no such file" 1 'no.pth' "$python" "$convert" no.pth x.safetensors
check "a missing file" 1 'missing.pth' "$python" "$convert" missing.pth x.safetensors
check "no half file is left" 0 '' test ! -e x.safetensors
finish
