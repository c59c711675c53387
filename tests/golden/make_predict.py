"""Makes photos/* and predict.safetensors: pictures of the kinds in which photographs come, and the logits that
torchvision's ResNets give for them, decoded by Pillow and preprocessed by torchvision, in f64 after the preprocessing.
Needs torch, torchvision, numpy, Pillow, safetensors; torch 2.15, torchvision 0.29 and Pillow 12 made the stored files.

    python3 tests/golden/make_predict.py

Weights come from the formula in projection.py. Pictures that are there are kept: encoders differ in the last bit.
"""
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms

from projection import fill, with_errors

HERE = Path(__file__).parent
CLASSES = 10
WAYS = {  # name in the file: resize, crop, filter
    "imagenet": (256, 224, transforms.InterpolationMode.BILINEAR),
    "v2": (232, 224, transforms.InterpolationMode.BILINEAR),
    "bicubic": (120, 96, transforms.InterpolationMode.BICUBIC),
}


def picture(seed, width, height):
    """Smooth light, a few sharp shapes, some grain: what antialiasing, chroma and rounding show on."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.stack([128 + 90 * np.sin(x / rng.uniform(20, 90) + c) * np.cos(y / rng.uniform(20, 90)) for c in range(3)], -1)
    for _ in range(12):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 60)
        out[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.uniform(0, 255, 3)
        a, b = sorted(rng.integers(0, height, 2))
        out[a:a + 1 + (b - a) // 12, ::3] = rng.uniform(0, 255, 3)
    return Image.fromarray(np.clip(out + rng.normal(0, 6, out.shape), 0, 255).astype(np.uint8))


def draw():
    folder = HERE / "photos"
    folder.mkdir(exist_ok=True)
    kinds = {
        "landscape.jpg": lambda p: (picture(1, 391, 260), {"quality": 88}),
        "portrait.jpg": lambda p: (picture(2, 250, 333), {"quality": 75, "progressive": True}),
        "grey.jpg": lambda p: (picture(3, 300, 257).convert("L"), {"quality": 80}),
        "small.png": lambda p: (picture(4, 90, 131), {"optimize": True}),
    }
    for name, make in kinds.items():
        path = folder / name
        if not path.exists():
            image, how = make(path)
            image.save(path, **how)
    return sorted(folder.iterdir(), key=lambda p: p.name)


def inputs(files, resize, crop, mode):
    way = transforms.Compose([
        transforms.Resize(resize, interpolation=mode), transforms.CenterCrop(crop), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    return torch.stack([way(Image.open(f).convert("RGB")) for f in files])


def logits(name, x, dtype):
    model = getattr(torchvision.models, name)(num_classes=CLASSES)
    with torch.no_grad():
        fill(model.state_dict())
        return model.to(dtype).eval()(x.to(dtype))


def main():
    files, exact, single = draw(), {}, {}
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        for way in WAYS if name == "resnet18" else ("imagenet",):
            x = inputs(files, *WAYS[way])
            exact[f"{name}.{way}"], single[f"{name}.{way}"] = (logits(name, x, t) for t in (torch.float64, torch.float32))
    save_file(with_errors(exact, single), HERE / "predict.safetensors")


if __name__ == "__main__":
    main()
