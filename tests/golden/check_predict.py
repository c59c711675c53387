"""Compares `augmint predict` with torchvision on photographs of your own: every ResNet, decode and resize included.

    python3 tests/golden/check_predict.py DIR... [--networks resnet18,resnet50] [--images 50]

Each line is one set of weights: the largest error of a logit relative to the image's largest one (the suite promises
1e-4), beside it by how much PyTorch itself is off in f32 (against f64, on two photographs).

- given: torchvision's initial weights with BatchNorm statistics taken from some of the photographs and then shaken,
  saved by safetensors.torch; augmint has to write the file again byte for byte. The last BatchNorm of every block is
  small, as training leaves it: with weights about 1 there, ResNet-152 amplifies rounding until PyTorch's f32 is off by
  1e-4 itself.
- a checkpoint, through analysis/convert_weights.py: wrapped as training programs do, in half, bfloat16 or double, with
  another number of classes.
- trained here: an epoch on the drawn road signs; has to load into torchvision with strict=True.

Beside the photographs lie some of them in every form that Pillow writes (grey, CMYK, palette, alpha, progressive,
turned by EXIF) and in odd sizes; last, a broken one among them has to be named. Needs torch, torchvision, Pillow, h5py
and safetensors; AUGMINT is the program (build/augmint). Exit status 1 when something disagrees.
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
SUFFIXES = (".jpg", ".jpeg", ".png")
CONVERT = Path(__file__).parents[2] / "analysis/convert_weights.py"
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


def call(*words):
    return subprocess.run([*map(str, words)], capture_output=True, text=True)


def run(*words):
    done = call(*words)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr}")


def craft(source, folder):
    """One photograph in many forms and sizes."""
    folder.mkdir(parents=True)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: torchvision's loaders leave it alone
    photo = Image.open(source).convert("RGB")
    forms = {"grey.jpg": "L", "cmyk.jpg": "CMYK", "rgb.png": "RGB", "grey.png": "L", "alpha.png": "RGBA",
             "grey-alpha.png": "LA", "palette.png": "P", "bits.png": "1"}
    for name, mode in forms.items():
        photo.convert(mode).save(folder / name)
    jpegs = {"progressive": {"progressive": True}, "444": {"subsampling": 0}, "422": {"subsampling": 1},
             "coarse": {"quality": 5}, "turned": {"exif": turned}, "restarts": {"restart_marker_rows": 1}}
    for name, options in jpegs.items():
        photo.save(folder / f"{name}.jpeg", "JPEG", **options)
    photo.save(folder / "named-otherwise.JPEG", "PNG")
    for width, height in ((1, 1), (64, 64), (37, 301), (301, 37), (255, 257), (1023, 769)):
        photo.resize((width, height)).save(folder / f"{width}x{height}.JPG", "JPEG", quality=92)


def load(files, way):
    return torch.stack([way(Image.open(f).convert("RGB")) for f in files])


def shaken(name, files, seed, classes=1000):
    """torchvision's network as it starts, its BatchNorms calibrated on a few photographs and then shaken."""
    torch.manual_seed(seed)
    model = getattr(torchvision.models, name)(num_classes=classes)
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
    run(AUGMINT, "predict", "--weights", weights, "--images", folder, "--out", out, "--threads", os.cpu_count(), *more)
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


def report(name, what, error, own):
    good = error < PROMISE and "OTHER" not in what
    print(f"{name:14s} {what:56s} off by {error:.1e} (PyTorch's f32 by {own:.1e}){'' if good else '   WRONG'}", flush=True)
    return good


def comes_again(weights, name, scratch):
    """Says whether augmint writes a file of weights as it was."""
    again = scratch / "again.safetensors"
    run(AUGMINT, "weights", "check", weights, "--model", name, "--out", again)
    return "written again " + ("byte for byte" if weights.read_bytes() == again.read_bytes() else "with OTHER BYTES")


def check_given(name, folder, files, scratch):
    weights = scratch / "w.safetensors"
    model = shaken(name, files, 1)
    save_file(model.state_dict(), weights)
    names, logits = predicted(weights, folder, scratch / "p.h5", "--model", name)
    error = largest_error(model, folder, names, logits, IMAGENET)
    what = f"{len(names)} images; {comes_again(weights, name, scratch)}"
    return report(name, what, error, own_error(model, folder, names, IMAGENET))


# Label, type of the weights, what torch.save gets.
CHECKPOINTS = [
    ("state dict", torch.float32, lambda w: w),
    ("state_dict, module., half", torch.float16,
     lambda w: {"epoch": 3, "state_dict": {"module." + k: v for k, v in w.items()}, "optimizer": {"lr": 0.1}}),
    ("model, bfloat16", torch.bfloat16, lambda w: {"model": w, "args": {"depth": 18}}),
    ("_orig_mod.module., double", torch.float64, lambda w: {"_orig_mod.module." + k: v for k, v in w.items()}),
]


def check_checkpoints(folder, files, scratch):
    """What people have of a network of seven classes."""
    good, name = True, "resnet18"
    model = shaken(name, files, 2, classes=7)
    given = {k: v.double() * (1 + 1e-9) if v.is_floating_point() else v.clone() for k, v in model.state_dict().items()}
    for what, dtype, wrap in CHECKPOINTS:
        state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in given.items()}
        torch.save(wrap(state), scratch / "given.pt")
        run(sys.executable, CONVERT, scratch / "given.pt", scratch / "w.safetensors", "--force")
        model.load_state_dict(state)  # rounded, and f32 again
        names, logits = predicted(scratch / "w.safetensors", folder, scratch / "p.h5", "--model", name)
        error = largest_error(model, folder, names, logits, IMAGENET)
        good &= report(name, f"checkpoint: {what}", error, own_error(model, folder, names, IMAGENET))
    return good


def check_broken(folder, scratch):
    """Half a photograph among whole ones."""
    whole = photographs(folder)[0]
    shutil.copytree(folder, scratch / "broken")
    (scratch / "broken" / "half.jpg").write_bytes(whole.read_bytes()[:whole.stat().st_size // 2])
    done = call(AUGMINT, "predict", "--model", "resnet18", "--weights", scratch / "w.safetensors", "--images",
                scratch / "broken", "--out", scratch / "none.h5")
    good = done.returncode == 1 and "half.jpg" in done.stderr and not (scratch / "none.h5").exists()
    print(f"{'half a photograph':71s} {done.stderr.strip() if good else 'is not refused by name   WRONG'}")
    return good


def small_stem(name, classes):
    """torchvision's network with the stem that small images get."""
    model = getattr(torchvision.models, name.removesuffix("_cifar"))(num_classes=classes)
    if name.endswith("_cifar"):
        model.conv1, model.maxpool = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False), torch.nn.Identity()
    return model


def check_trained(name, folder, scratch):
    experiment = scratch / "signs.yaml"
    experiment.write_text(SIGNS.format(kind=name))
    run(AUGMINT, "run", experiment, "--results", scratch / name)
    weights, = (scratch / name).glob("store/*/*/model.safetensors")
    state = load_file(weights)
    model = small_stem(name, state["fc.weight"].shape[0])
    model.load_state_dict(state, strict=True)
    names, logits = predicted(weights, folder, scratch / "p.h5")
    error = largest_error(model.eval(), folder, names, logits, SEEN)
    what = f"trained here, strict=True; {comes_again(weights, name, scratch)}"
    return report(name, what, error, own_error(model, folder, names, SEEN))


def photographs(folder):
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)


def take(source, folder, most):
    """Copies at most so many photographs, spread over all."""
    files = photographs(source)
    if not files:
        sys.exit(f"{source} holds no photographs")
    for f in files[::max(1, -(-len(files) // most))]:
        place = folder / f.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f, place)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="+", help="photographs, JPEG or PNG, and all below")
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--images", type=int, default=50, help="at most so many of each DIR, spread over all")
    args = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folder = scratch / "photos"
        for number, source in enumerate(args.folder):
            take(source, folder / f"{number}-{source.name}", args.images)
        files = photographs(folder)
        craft(files[-1], folder / "crafted")
        for name in args.networks.split(","):
            good &= check_given(name, folder, files, scratch)
        good &= check_checkpoints(folder, files, scratch)
        for name in ("resnet18", "resnet18_cifar", "resnet50"):
            good &= check_trained(name, folder, scratch)
        good &= check_broken(folder, scratch)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
