"""Makes augment.safetensors: whole torchvision transforms, which draw their own parameters, on PIL images.
Needs torch, torchvision, Pillow >= 13 and safetensors; torch 2.15 and torchvision 0.29 made the stored file.

    python3 tests/golden/make_augment.py

torch's random functions are replaced by the Philox stream that the program uses for the same sample, so that the
sampling rules of torchvision's classes are what is compared, with the pixels they lead to.

file/<name>          bytes of a JPEG or PNG file
<case>/<name>/<k>    u8 (h, w, 3) or, of random_erasing, f32 (c, h, w): stream k of seed 7
"""
import io
import math
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision import transforms
from torchvision.transforms import InterpolationMode

SEED, AUGMENT, MASK = 7, 3, (1 << 32) - 1
torch.set_default_dtype(torch.float64)  # the program draws in double precision


class Philox:
    """Philox4x32-10 (Salmon et al., SC 2011) as src/base/rng.h describes its streams."""

    def __init__(self, seed, purpose, index):
        self.key = [seed & MASK, seed >> 32]
        self.counter = [0, purpose, index & MASK, index >> 32]
        self.words, self.spare = [], None

    def u32(self):
        if not self.words:
            c, k = list(self.counter), list(self.key)
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [p1 >> 32 ^ c[1] ^ k[0], p1 & MASK, p0 >> 32 ^ c[3] ^ k[1], p0 & MASK]
                k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
            self.words = c
            self.counter[0] += 1
        return self.words.pop(0)

    def u64(self):
        low = self.u32()
        return low | self.u32() << 32

    def uniform(self):
        return (self.u64() >> 11) * 2.0**-53

    def below(self, n):
        if n <= 1:
            return 0
        limit = (1 << 64) - 1 - ((1 << 64) - 1) % n
        while (x := self.u64()) >= limit:
            pass
        return x % n

    def normal(self):
        if self.spare is not None:
            x, self.spare = self.spare, None
            return x
        u, angle = 1.0 - self.uniform(), 6.283185307179586 * self.uniform()
        radius = math.sqrt(-2.0 * math.log(u))
        self.spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def run(transform, image, stream):
    rng = Philox(SEED, AUGMENT, stream)
    get_params = transforms.RandomErasing.get_params

    def noise_last(img, scale, ratio, value=None):
        """The program draws the noise after the place, torchvision before."""
        i, j, h, w, v = get_params(img, scale, ratio, value)
        if value is None and v is not img:
            v = torch.tensor([rng.normal() for _ in range(v.numel())]).reshape(v.shape)
        return i, j, h, w, v

    with mock.patch("torch.rand", lambda n: torch.tensor([rng.uniform()])), \
            mock.patch("torch.randint", lambda low, high, size: torch.tensor([low + rng.below(high - low)])), \
            mock.patch("torch.Tensor.uniform_", lambda t, a, b: a + (b - a) * torch.tensor([rng.uniform()])), \
            mock.patch("torch.Tensor.normal_", lambda t: t), \
            mock.patch.object(transforms.RandomErasing, "get_params", staticmethod(noise_last)):
        return transform(image)


def picture(width, height, seed):
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, 3))
    waves = [np.sin(x / 9 + seed), np.cos(y / 7 - x / 15), np.sin((x + y) / 11)]
    return Image.fromarray(np.clip(128 + 90 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8))


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return np.frombuffer(out.getvalue(), np.uint8)


NORMALIZED = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
CASES = {
    "resized": (8, transforms.RandomResizedCrop(24)),
    "resized_fallback": (2, transforms.RandomResizedCrop(16, scale=(0.9, 1.0), ratio=(6.0, 7.0))),
    "resized_bicubic": (4, transforms.Compose([
        transforms.RandomResizedCrop(20, scale=(0.3, 1.0), interpolation=InterpolationMode.BICUBIC),
        transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip(0.3)])),
    "resize_center": (1, transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28)])),
    "resize_crop": (3, transforms.Compose([transforms.Resize(30), transforms.RandomCrop(26, padding=2, fill=51)])),
    "center_pad": (1, transforms.CenterCrop(50)),
    "erase": (6, transforms.Compose([transforms.Resize(16), transforms.CenterCrop(16), *NORMALIZED,
                                     transforms.RandomErasing(0.7)])),
    "erase_random": (3, transforms.Compose([transforms.Resize(16), transforms.CenterCrop(16), *NORMALIZED,
                                            transforms.RandomErasing(1.0, (0.1, 0.4), (0.5, 2.0), "random")])),
}


def main():
    files = {
        "wide.jpg": encoded(picture(97, 61, 1), "JPEG", quality=92),
        "tall.jpg": encoded(picture(45, 110, 2), "JPEG", quality=80, subsampling=0),
        "grey.jpg": encoded(picture(70, 52, 3).convert("L"), "JPEG", quality=90),
        "small.png": encoded(picture(41, 47, 4), "PNG"),
    }
    out = {f"file/{name}": data for name, data in files.items()}
    for case, (streams, transform) in CASES.items():
        for name, data in files.items():
            image = Image.open(io.BytesIO(data.tobytes())).convert("RGB")
            for k in range(streams):
                got = run(transform, image, k)
                out[f"{case}/{name}/{k}"] = np.array(got) if isinstance(got, Image.Image) else \
                    got.to(torch.float32).numpy()
    save_file(out, Path(__file__).with_name("augment.safetensors"))


if __name__ == "__main__":
    main()
