"""Compares `augmint predict` with torchvision on photographs of your own: every ResNet, decode and resize included.

    python3 tests/golden/check_predict.py DIR [--networks resnet18,resnet50] [--images 50] [--train]

For each network: torchvision's initial weights with BatchNorm statistics taken from some of the photographs and then
shaken, saved by safetensors.torch; the largest error of a logit relative to the image's largest one (the suite
promises 1e-4), by how much PyTorch itself is off in f32 (against f64, on two photographs), and whether augmint writes
the file again byte for byte. The last BatchNorm of every block is small, as training leaves it: with weights about 1
there, ResNet-152 amplifies rounding until PyTorch's f32 is off by 1e-4 itself. --train also trains a ResNet-18 and a ResNet-50
with augmint on the drawn road signs for an epoch, loads the results into torchvision with strict=True and compares
the same way. Needs torch, torchvision, Pillow, h5py and safetensors; AUGMINT is the program (build/augmint).
Exit status 1 when something disagrees.
"""
import argparse
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import transforms

AUGMINT = os.environ.get("AUGMINT", "build/augmint")
NETWORKS = "resnet18,resnet34,resnet50,resnet101,resnet152"
PROMISE = 1e-4
IMAGENET = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
                               transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
SIGNS = """
name: {kind}
question: Do weights trained here give the same logits in torchvision?
data:
  train: {{manifest: signs, split: train, size: 64, per_class: 8}}
  test: {{split: test, per_class: 4}}
arms: {{real: {{train: [real], augment: [horizontal_flip]}}}}
models: {{net: {{kind: {kind}}}}}
train: {{epochs: 1, batch_size: 8, optimizer: {{kind: sgd, lr: 0.02, momentum: 0.9}}}}
evaluate: [accuracy]
"""
SEEN = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])


def run(*words):
    done = subprocess.run([AUGMINT, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{AUGMINT} {' '.join(map(str, words))}\n{done.stderr}")


def load(files, way):
    return torch.stack([way(Image.open(f).convert("RGB")) for f in files])


def shaken(name, files, seed):
    """torchvision's network as it starts, its BatchNorms calibrated on a few photographs and then shaken."""
    torch.manual_seed(seed)
    model = getattr(torchvision.models, name)()
    norms = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    last = "bn3" if "layer1.0.bn3" in norms else "bn2"
    with torch.no_grad():
        for n, m in norms.items():
            m.momentum = None  # plain averages
            m.weight.uniform_(0.1, 0.4) if n.endswith(last) else m.weight.uniform_(0.5, 1.5)
            m.bias.normal_(0, 0.1)
        model.train()(load(files[:8], IMAGENET))
        for m in norms.values():
            m.running_mean += 0.1 * m.running_var.sqrt() * torch.randn_like(m.running_mean)
            m.running_var *= torch.empty_like(m.running_var).uniform_(0.8, 1.25)
    return model.eval()


def predicted(weights, folder, out, *more):
    run("predict", "--weights", weights, "--images", folder, "--out", out, "--threads", os.cpu_count(), *more)
    with h5py.File(out) as f:
        names = [n.decode() if isinstance(n, bytes) else n for n in f["file"][:]]
        return names, f["logits"][:]


def largest_error(model, folder, names, logits, way):
    worst = 0
    for at in range(0, len(names), 8):
        with torch.no_grad():
            want = model(load([folder / n for n in names[at:at + 8]], way)).numpy()
        got = logits[at:at + 8]
        worst = max(worst, (np.abs(got - want).max(1) / np.abs(want).max(1)).max())
    return worst


def own_error(model, folder, names, way):
    """How far PyTorch's f32 is from its f64."""
    x = load([folder / n for n in names[:2]], way)
    with torch.no_grad():
        single, double = model(x).double(), copy.deepcopy(model).double()(x.double())
    return ((single - double).abs().amax(1) / double.abs().amax(1)).max().item()


def report(name, what, error, own, good):
    print(f"{name:10s} {what:46s} off by {error:.1e} (PyTorch's f32 by {own:.1e}){'' if good else '   WRONG'}", flush=True)
    return good


def check_given(name, folder, files, scratch):
    weights, again = scratch / "w.safetensors", scratch / "again.safetensors"
    model = shaken(name, files, 1)
    save_file(model.state_dict(), weights)
    names, logits = predicted(weights, folder, scratch / "p.h5", "--model", name)
    error = largest_error(model, folder, names, logits, IMAGENET)
    run("weights", "check", weights, "--model", name, "--out", again)
    same = weights.read_bytes() == again.read_bytes()
    what = f"{len(names)} photographs; written again " + ("byte for byte" if same else "with OTHER BYTES")
    return report(name, what, error, own_error(model, folder, names, IMAGENET), error < PROMISE and same)


def check_trained(name, folder, scratch):
    experiment = scratch / "signs.yaml"
    experiment.write_text(SIGNS.format(kind=name))
    run("run", experiment, "--results", scratch / name)
    weights, = (scratch / name).glob("store/*/*/model.safetensors")
    state = load_file(weights)
    model = getattr(torchvision.models, name)(num_classes=state["fc.weight"].shape[0])
    model.load_state_dict(state, strict=True)
    names, logits = predicted(weights, folder, scratch / "p.h5")
    error = largest_error(model.eval(), folder, names, logits, SEEN)
    return report(name, "trained here, strict=True", error, own_error(model, folder, names, SEEN), error < PROMISE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, help="photographs, JPEG or PNG, with everything below")
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--images", type=int, default=50, help="at most so many of them, spread over all")
    parser.add_argument("--train", action="store_true", help="also networks that are trained here")
    args = parser.parse_args()
    files = sorted(f for f in args.folder.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        sys.exit(f"{args.folder} holds no photographs")
    files = files[::max(1, -(-len(files) // args.images))]
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folder = scratch / "photos"
        for f in files:
            place = folder / f.relative_to(args.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f, place)
        for name in args.networks.split(","):
            good &= check_given(name, folder, [folder / f.relative_to(args.folder) for f in files], scratch)
        for name in ("resnet18", "resnet50") if args.train else ():
            good &= check_trained(name, folder, scratch)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
