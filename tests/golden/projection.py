"""What make_resnet.py and make_dcgan.py share with projection.h: numbers by formula in place of stored
weights, and tensors reduced to their norm and two projections."""
import numpy as np
import torch

IMAGES, LATENT, PROJECTION = 1 << 20, 1 << 21, 1 << 22


def noise(stream, count):
    """count numbers in [-1, 1), exact in f32: the 32-bit finaliser of MurmurHash3 over a counter."""
    h = np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B9 * (stream + 1) & 0xFFFFFFFF)
    h &= np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None)):
        h ^= h >> np.uint64(shift)
        if factor:
            h = h * np.uint64(factor) & np.uint64(0xFFFFFFFF)
    return (h >> np.uint64(8)).astype(np.float64) * 2.0**-23 - 1.0


def fill(state):
    """Sets every floating entry of a state dict from its place in it."""
    for k, (name, value) in enumerate(state.items()):
        if not value.is_floating_point():
            continue
        u = noise(k, value.numel()).reshape(value.shape)
        if value.ndim > 1:  # convolutions and linear layers: variance 2 / fan_in
            value.copy_(torch.from_numpy((u * np.sqrt(6.0 / (value.numel() // value.shape[0]))).astype(np.float32)))
        elif name.endswith("bn3.weight"):  # bottlenecks near their shortcut: else 50 layers amplify rounding 1000 times
            value.copy_(torch.from_numpy((0.125 + 0.03125 * u).astype(np.float32)))
        elif name.endswith("running_var") or name.endswith("weight"):  # BatchNorm: small, so that depth stays tame
            value.copy_(torch.from_numpy((0.5 + 0.125 * u).astype(np.float32)))
        else:
            value.copy_(torch.from_numpy((0.1 * u).astype(np.float32)))


def project(tensors):
    """(len, 3): norm, two projections, all in f64."""
    rows = []
    for k, t in enumerate(tensors):
        v = t.detach().double().numpy().ravel()
        rows.append([np.linalg.norm(v)] + [float(v @ noise(PROJECTION + 2 * k + j, v.size)) for j in range(2)])
    return torch.tensor(rows, dtype=torch.float64)


def with_errors(exact, single):
    """The f64 results, and beside each `<name>.error`, for orientation: how far PyTorch in f32 is from it, relative to
    the norm for projections and to the largest value otherwise."""
    out = {}
    for name, want in exact.items():
        difference = (single[name].double() - want).abs()
        scale = want[:, :1] if want.ndim == 2 and want.shape[1] == 3 else want.abs().max()
        out[name] = want.contiguous()
        out[name + ".error"] = (difference / scale).max().reshape(1)
        print(f"{name:12s} {tuple(want.shape)}  f32 error {out[name + '.error'].item():.2e}")
    return out
