#!/usr/bin/env python3
"""Makes resample.safetensors: interpolation and its gradient as PyTorch computes them, and upfirdn2d after its definition in
NVIDIA's stylegan2-ada-pytorch (torch_utils/ops/upfirdn2d.py), put together from zeros, padding and conv2d.

    python3 tests/golden/make_resample.py        (PyTorch, safetensors)

Everything is computed in float64 from inputs that are exact in float32; names are as in make_ops.py.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

torch.manual_seed(20240612)
torch.set_default_dtype(torch.float64)
out = {}


def draw(*shape):
    return torch.randn(*shape).float().double()


def put(prefix, **arrays):
    for name, value in arrays.items():
        key = f"{prefix}/{name}"
        assert key not in out
        out[key] = torch.as_tensor(value, dtype=torch.float64).detach().clone().contiguous()


def upfirdn2d(x, f, up, down, pad, flip_filter, gain):
    """up, down: (h, w); pad: (top, bottom, left, right)."""
    n, c, h, w = x.shape
    wide = torch.zeros(n, c, h * up[0], w * up[1])
    wide[:, :, ::up[0], ::up[1]] = x
    top, bottom, left, right = pad
    wide = F.pad(wide, (left, right, top, bottom))  # negative ones crop
    taps = (f if flip_filter else f.flip(0, 1)) * gain
    y = F.conv2d(wide, taps.expand(c, 1, *f.shape), groups=c)
    return y[:, :, ::down[0], ::down[1]]


BINOMIAL = torch.tensor([1.0, 3, 3, 1])
SMOOTH = BINOMIAL.outer(BINOMIAL) / 64
# n, c, h, w, filter (its size, or itself), up, down, pad, flip_filter, gain
FIRS = [
    (1, 2, 4, 5, SMOOTH, (2, 2), (1, 1), (2, 1, 2, 1), False, 4),
    (2, 2, 6, 4, SMOOTH, (1, 1), (2, 2), (1, 1, 1, 1), False, 1),
    (1, 2, 5, 5, SMOOTH, (1, 1), (1, 1), (1, 1, 1, 1), False, 4),
    (1, 2, 4, 4, (3, 2), (2, 3), (3, 2), (1, 2, 3, 0), False, 1),
    (1, 2, 4, 4, (3, 2), (2, 3), (3, 2), (1, 2, 3, 0), True, -1.5),
    (1, 1, 7, 8, (2, 4), (1, 1), (2, 3), (-2, 1, 0, -3), False, 1),
    (1, 3, 3, 9, (1, 12), (1, 2), (1, 1), (0, 0, 6, 5), True, 2),
    (1, 1, 1, 1, (3, 3), (2, 2), (1, 1), (2, 2, 3, 1), False, 1),
]
for i, (n, c, h, w, f, up, down, pad, flip, gain) in enumerate(FIRS):
    x = draw(n, c, h, w).requires_grad_()
    f = f if torch.is_tensor(f) else draw(*f)
    y = upfirdn2d(x, f, up, down, pad, flip, gain)
    dy = draw(*y.shape)
    put(f"upfirdn/{i}", desc=[*up, *down, *pad, flip, gain], x=x, f=f, y=y, dy=dy, dx=torch.autograd.grad(y, x, dy)[0])

# n, c, h, w, size
SIZES = [(2, 3, 4, 5, (8, 10)), (1, 2, 8, 6, (4, 3)), (1, 2, 5, 7, (9, 4)), (1, 1, 3, 3, (3, 3)), (1, 2, 1, 4, (3, 1)),
         (1, 1, 7, 3, (26, 14)), (1, 1, 2, 2, (1, 1))]
for i, (n, c, h, w, size) in enumerate(SIZES):
    for kind, mode in enumerate(["nearest", "bilinear"]):
        x = draw(n, c, h, w).requires_grad_()
        y = F.interpolate(x, size, mode=mode)
        dy = draw(*y.shape)
        put(f"resample/{2 * i + kind}", desc=[kind], x=x, y=y, dy=dy, dx=torch.autograd.grad(y, x, dy)[0])

# Lengths for which PyTorch, which divides and multiplies in float32, takes another pixel than whole numbers would.
PAIRS = [(26, 22), (14, 46), (39, 33), (30, 58), (21, 69), (52, 44), (2, 82), (24, 123)]
for i, (length, size) in enumerate(PAIRS):
    x = draw(1, 1, 1, length)
    y = F.interpolate(x, (1, size), mode="nearest")
    assert not torch.equal(y.flatten(), x.flatten()[torch.arange(size) * length // size])
    put(f"nearest/{i}", x=x, y=y)

save_file(out, Path(__file__).with_name("resample.safetensors"))
