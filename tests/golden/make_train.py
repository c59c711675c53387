"""Makes train.safetensors: whole trainings of a small classifier and a small GAN as PyTorch runs them,
in f64, from the same images, initial weights, orders and latents. The random numbers are Philox4x32-10
written out again below, so the file also pins the streams. Slices are written out as the ranks of
DistributedDataParallel: BatchNorm of each part by itself, gradients weighted by the rows of the part.
Needs torch, numpy, safetensors; torch 2.15 made the stored file.

    python3 tests/golden/make_train.py
"""
import copy
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy

from make_state_dicts import dcgan_discriminator, dcgan_generator

INIT, ORDER, NOISE, LABEL_NOISE, TEST = 1, 2, 5, 6, 12
SIZE, IMAGES, BATCH, MASK = 16, 22, 8, 0xFFFFFFFF


class Stream:
    """The stream (seed, purpose, index) of base/rng.h."""

    def __init__(self, seed, purpose, index):
        self.key = (seed & MASK, seed >> 32)
        self.counter, self.out, self.spare = [0, purpose, index & MASK, index >> 32], [], None

    def u32(self):
        if not self.out:
            (c0, c1, c2, c3), (k0, k1) = self.counter, self.key
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
                c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
                k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
            self.out = [c0, c1, c2, c3]
            self.counter[0] += 1
        return self.out.pop(0)

    def u64(self):
        low = self.u32()
        return low | self.u32() << 32

    def uniform(self, lo=0.0, hi=1.0):
        return lo + (hi - lo) * ((self.u64() >> 11) * 2.0**-53)

    def below(self, bound):
        limit = 2**64 - 1 - (2**64 - 1) % bound
        while (x := self.u64()) >= limit:
            pass
        return x % bound

    def normal(self):
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        u, angle = 1.0 - self.uniform(), 6.283185307179586 * self.uniform()
        radius = math.sqrt(-2.0 * math.log(u))
        self.spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def permutation(stream, n):
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = stream.below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def images():
    """The pictures of tests/mpi/tiny_training.h, u8 (n, c, h, w), and their labels."""
    pixels, labels = [], [int(i % 3 == 0) for i in range(IMAGES)]
    half = SIZE * SIZE * 3 // 2
    for i, label in enumerate(labels):
        s = Stream(99, TEST, i)
        pixels.append([s.below(156) + (100 if (p < half) == (label == 1) else 0) for p in range(2 * half)])
    x = torch.tensor(pixels, dtype=torch.float64).reshape(IMAGES, SIZE, SIZE, 3)
    x = x.permute(0, 3, 1, 2).contiguous()
    return x, torch.tensor(labels)


def initialise(network, seed, draw):
    """draw(name, tensor) gives a function of a stream, or None to keep the value; f32 as the suite has it."""
    with torch.no_grad():
        for index, (name, p) in enumerate(network.state_dict().items()):
            rule = draw(name, p)
            if rule:
                s = Stream(seed, INIT, index)
                drawn = torch.tensor([rule(s) for _ in range(p.numel())])
                p.copy_(drawn.reshape(p.shape).to(torch.float32))
    return network.double()


def parts(rows, slices):
    first = 0
    for k in range(slices):
        count = rows // slices + (k < rows % slices)
        yield first, first + count
        first += count


def batches(seed, epoch):
    order = permutation(Stream(seed, ORDER, epoch), IMAGES)
    return [order[i:i + BATCH] for i in range(0, IMAGES, BATCH)]


def slice_pass(network, k, run):
    """Only slice 0 moves the running statistics."""
    kept = copy.deepcopy({n: b for n, b in network.named_buffers()})
    out = run()
    if k:
        for name, b in network.named_buffers():
            b.data.copy_(kept[name])  # .data: the backward pass to come does not read them
    return out


# ---- classifier ----

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 3, 2, 1, bias=False)
        self.bn = torch.nn.BatchNorm2d(6)
        self.fc = torch.nn.Linear(6 * 64, 2)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).flatten(1))


def fine_tuned(net, frozen, hold, factors, lr):
    """One group of parameters for each module, with its own factor of the learning rate; frozen ones in none."""
    groups = []
    for name, module in net.named_children():
        if name in frozen:
            module.requires_grad_(False)
            if hold and isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        else:
            groups.append({"params": list(module.parameters()), "lr": lr, "factor": factors.get(name, 1)})
    return groups


def train_classifier(slices, frozen=(), hold=False, factors={}, adam=False):
    bounds = {"conv.weight": 27**-0.5, "fc.weight": 384**-0.5, "fc.bias": 384**-0.5}

    def weights(name, p):
        return (lambda s: s.uniform(-bounds[name], bounds[name])) if name in bounds else None
    net = initialise(Tiny(), 5, weights)
    x, y = images()
    x = x / 128 - 1
    epochs, accumulate, warmup, lr, min_lr = 4, 2, 1, 0.05, 0.005
    groups = fine_tuned(net, frozen, hold, factors, lr)
    optim = (torch.optim.Adam(groups, weight_decay=1e-3) if adam else
             torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=1e-3))
    shadow = [p.detach().clone() for p in net.parameters()]
    updates = 2  # per epoch: batches of 8, 8 and 6 images in groups of two
    history, update = [], 0
    for epoch in range(epochs):
        todo, loss_sum, correct = batches(11, epoch), 0.0, 0
        for group in (todo[0:accumulate], todo[accumulate:]):
            rows = sum(len(b) for b in group)
            optim.zero_grad()
            for batch in group:
                for k, (first, end) in enumerate(parts(len(batch), slices)):
                    item = batch[first:end]
                    logits = slice_pass(net, k, lambda: net(x[item]))
                    loss = cross_entropy(logits, y[item], label_smoothing=0.1)
                    (loss * len(item) / rows).backward()
                    loss_sum += loss.item() * len(item)
                    correct += (logits.argmax(1) == y[item]).sum().item()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            if update < warmup * updates:
                now = lr * update / (warmup * updates)
            else:
                done = (update - warmup * updates) / ((epochs - warmup) * updates)
                now = min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))
            for g in optim.param_groups:
                g["lr"] = now * g["factor"]
            optim.step()
            update += 1
            with torch.no_grad():
                for s, p in zip(shadow, net.parameters()):
                    s.mul_(0.9).add_(p, alpha=0.1)
        raw = [p.detach().clone() for p in net.parameters()]
        with torch.no_grad():
            for s, p in zip(shadow, net.parameters()):
                p.copy_(s)
            net.eval()
            logits = net(x)
            net.train()
            fine_tuned(net, frozen, hold, factors, lr)
        history.append([epoch + 1, now, loss_sum / IMAGES, correct / IMAGES, cross_entropy(logits, y).item(),
                        (logits.argmax(1) == y).double().mean().item()])
        if epoch < epochs - 1:
            with torch.no_grad():
                for r, p in zip(raw, net.parameters()):
                    p.copy_(r)
    return net, history


# ---- GAN ----

def fit_gan(slices):
    seed, latent, lr = 17, 6, 0.02
    def weights(name, p):
        if name.endswith("weight"):
            return (lambda s: 0.02 * s.normal()) if p.ndim == 4 else (lambda s: 1 + 0.02 * s.normal())
        return None
    g = initialise(dcgan_generator(latent, 4, SIZE), 3, weights)
    d = initialise(dcgan_discriminator(0.02, 0.0, 4, SIZE), 4, weights)
    x, _ = images()
    x = (x / 255 - 0.5) / 0.5
    optim_d, optim_g = (torch.optim.SGD(m.parameters(), lr=lr, momentum=0.9) for m in (d, g))
    history, step = [], 0
    for epoch in range(3):
        sums = [0.0] * 4
        for batch in batches(seed, epoch):
            rows = len(batch)
            z, real, fake = [], [], []
            for r in range(rows):
                s = Stream(seed, NOISE, (step << 20) + r)
                z.append([s.normal() for _ in range(latent)])
                s = Stream(seed, LABEL_NOISE, (step << 20) + r)
                as_real, as_fake = s.uniform(0.8, 1.0), s.uniform(0.0, 0.2)
                swap_real, swap_fake = s.uniform() < 0.3, s.uniform() < 0.3
                real.append(as_fake if swap_real else as_real)
                fake.append(as_real if swap_fake else as_fake)
            z = torch.tensor(z, dtype=torch.float32).double().reshape(rows, latent, 1, 1)
            real, fake = (torch.tensor(t, dtype=torch.float32).double() for t in (real, fake))
            optim_d.zero_grad()
            made = []
            for k, (a, b) in enumerate(parts(rows, slices)):
                logits = slice_pass(d, k, lambda: d(x[batch[a:b]]).flatten())
                (bce(logits, real[a:b]) * (b - a) / rows).backward()
                sums[0] += bce(logits, real[a:b], reduction="sum").item()
                sums[2] += torch.sigmoid(logits).sum().item()
                made.append(slice_pass(g, k, lambda: g(z[a:b])))
                logits = slice_pass(d, k, lambda: d(made[k].detach()).flatten())
                (bce(logits, fake[a:b]) * (b - a) / rows).backward()
                sums[0] += bce(logits, fake[a:b], reduction="sum").item()
                sums[3] += torch.sigmoid(logits).sum().item()
            optim_d.step()
            optim_g.zero_grad()
            for k, (a, b) in enumerate(parts(rows, slices)):
                logits = slice_pass(d, k, lambda: d(made[k]).flatten())
                (bce(logits, torch.ones_like(logits)) * (b - a) / rows).backward()
                sums[1] += bce(logits, torch.ones_like(logits), reduction="sum").item()
            optim_g.step()
            step += 1
        history.append([epoch + 1] + [s / IMAGES for s in sums])
    return g, d, history


# In test_train.c, too.
FINE_TUNINGS = {
    "finetune_stem": {"slices": 1, "frozen": ("conv",), "factors": {"bn": 0.5, "fc": 3}},
    "finetune_head": {"slices": 2, "frozen": ("conv", "bn"), "hold": True, "factors": {"fc": 0.25}, "adam": True},
    "finetune_lr": {"slices": 1, "factors": {"conv": 0.1, "bn": 0.1}, "adam": True},
    "finetune_statistics": {"slices": 2, "frozen": ("conv", "bn")},
}


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors if t.dtype == torch.float64])


def main():
    out = {}
    for slices in (1, 2, 3):
        net, history = train_classifier(slices)
        out[f"classifier{slices}.values"] = flat(net.parameters())
        out[f"classifier{slices}.buffers"] = flat(net.buffers())
        out[f"classifier{slices}.history"] = torch.tensor(history, dtype=torch.float64)
    for name, how in FINE_TUNINGS.items():
        net, history = train_classifier(**how)
        state = net.state_dict(keep_vars=True).values()
        out[f"{name}.values"] = flat(t for t in state if t.requires_grad)
        out[f"{name}.buffers"] = flat(t for t in state if not t.requires_grad)
        out[f"{name}.history"] = torch.tensor(history, dtype=torch.float64)
    for slices in (1, 2):
        g, d, history = fit_gan(slices)
        for name, m in (("g", g), ("d", d)):
            out[f"gan{slices}.{name}.values"] = flat(m.parameters())[::5].contiguous()
            out[f"gan{slices}.{name}.buffers"] = flat(m.buffers())
        out[f"gan{slices}.history"] = torch.tensor(history, dtype=torch.float64)
    save_file(out, Path(__file__).with_name("train.safetensors"))


if __name__ == "__main__":
    main()
