"""Makes transforms.safetensors: torchvision's transforms on a float tensor for given parameters.
Needs torch, torchvision and safetensors; torch 2.15 and torchvision 0.29 made the stored file.

    python3 tests/golden/make_transforms.py

image        (3, 13, 16) in [0, 1]; smooth, with some grey, black, white and saturated pixels
<case>.args  (k, a) parameters, <case>.out (k, c, h, w) results
"""
from pathlib import Path

import torch
import torchvision.transforms.functional as TF
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode

H, W = 13, 16
y, x = torch.meshgrid(torch.arange(H, dtype=torch.float64), torch.arange(W, dtype=torch.float64), indexing="ij")
image = torch.stack([
    0.5 + 0.5 * torch.sin(0.7 * x + 0.2 * y),
    0.5 + 0.4 * torch.cos(0.5 * y - 0.3 * x + 1),
    0.45 + 0.45 * torch.sin(0.15 * x * y + 2),
]).to(torch.float32)
image[:, 0, 0] = 0.0
image[:, 0, 1] = 1.0
image[:, 0, 2] = 0.25
for k, colour in enumerate([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1), (0.5, 0.5, 0.2)]):
    image[:, 1, k] = torch.tensor(colour, dtype=torch.float32)

out = {"image": image}


def case(name, args, function):
    out[f"{name}.args"] = torch.tensor(args, dtype=torch.float64)
    out[f"{name}.out"] = torch.stack([function(image, *a) for a in args]).contiguous()


case("brightness", [[0.0], [0.5], [1.3]], TF.adjust_brightness)
case("contrast", [[0.0], [0.6], [1.5]], TF.adjust_contrast)
case("contrast_grey", [[0.6]], lambda im, f: TF.adjust_contrast(im[:1], f))
case("saturation", [[0.0], [0.4], [1.5]], TF.adjust_saturation)
case("hue", [[-0.5], [-0.1], [0.03], [0.1], [0.5]], TF.adjust_hue)
case("blur", [[3, 0.8], [5, 0.1], [5, 2.0], [9, 1.3]],
     lambda im, k, s: TF.gaussian_blur(im, [int(k)] * 2, [s, s]))
case("rotate_nearest", [[0.0], [17.3], [-33.0], [90.0], [180.0], [251.5]],
     lambda im, a: TF.rotate(im, a, InterpolationMode.NEAREST, fill=[0.25] * 3))
case("rotate_bilinear", [[17.3], [-90.0]], lambda im, a: TF.rotate(im, a, InterpolationMode.BILINEAR, fill=[0.25] * 3))
case("flip", [[]], TF.hflip)
# padding, top, left, height, width
case("crop", [[4, 0, 0, 13, 16], [4, 8, 8, 13, 16], [2, 3, 1, 13, 16]],
     lambda im, p, t, l, h, w: TF.crop(TF.pad(im, [int(p)] * 4, fill=0.5), int(t), int(l), int(h), int(w)))
case("normalize", [[0.485, 0.456, 0.406, 0.229, 0.224, 0.225]],
     lambda im, *a: TF.normalize(TF.to_tensor((im * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()),
                                 list(a[:3]), list(a[3:])))

save_file(out, Path(__file__).with_name("transforms.safetensors"))
