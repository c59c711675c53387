#!/usr/bin/env python3
"""Writes resize.safetensors: a small picture and what Pillow and torchvision make of it.

usage: make_resize.py OUT.safetensors      (needs numpy, Pillow >= 13, torchvision, safetensors)
"""
import sys

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from torchvision import transforms

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
# Shrinking, growing, both ways at once, one axis only, lines first (Pillow 13), to one pixel.
SIZES = [(16, 16), (71, 60), (12, 90), (90, 12), (37, 20), (20, 53), (1, 1)]
# left, top, right, bottom; "cut" rounds them and crops.
BOXES = {"middle": (3.25, 10.5, 30.75, 41.0), "corner": (0, 0, 17, 13.375), "edge": (20.5, 2.25, 37, 53)}


def main():
    rng = np.random.default_rng(7)
    picture = rng.integers(0, 256, (53, 37, 3), dtype=np.uint8)
    picture[10:30, 5:20] = (255, 0, 128)  # an edge, so that bicubic and lanczos overshoot
    image = Image.fromarray(picture)
    out = {"picture": picture}
    for name, kind in FILTERS.items():
        for width, height in SIZES:
            out[f"{name}/{width}x{height}"] = np.array(image.resize((width, height), kind))
    for name, box in BOXES.items():
        for kind in ("bilinear", "bicubic", "nearest"):
            out[f"part/{name}/{kind}"] = np.array(image.resize((17, 13), FILTERS[kind], box))
            whole = tuple(round(x) for x in box)
            out[f"cut/{name}/{kind}"] = np.array(image.crop(whole).resize((17, 13), FILTERS[kind]))
    for side in (8, 40):
        out[f"short/{side}"] = np.array(transforms.Resize(side)(image))
    for height, width in ((20, 20), (21, 40), (60, 10), (80, 81)):
        out[f"center/{width}x{height}"] = np.array(transforms.CenterCrop((height, width))(image))
    save_file(out, sys.argv[1])


if __name__ == "__main__":
    main()
