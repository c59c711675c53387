#!/usr/bin/env python3
"""Makes nn.safetensors: what PyTorch computes for small networks, losses, optimisers and schedules.

    python3 tests/golden/make_nn.py        (PyTorch, safetensors)

Everything is computed in float64 from inputs that are exact in float32, so that the same file serves
devices of both types. Names are "<case>/<what>[/<parameter>]".
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

torch.manual_seed(20240501)
torch.set_default_dtype(torch.float64)
out = {}


def draw(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).float().double()


def put(name, tensor):
    assert name not in out
    out[name] = tensor.detach().clone().contiguous()


def put_state(prefix, module):
    for name, value in module.state_dict().items():
        put(f"{prefix}/{name}", value)


def put_grads(prefix, module):
    for name, value in module.named_parameters():
        put(f"{prefix}/{name}", value.grad)


def settle(module):
    """Weights that float32 holds exactly, far enough from the trivial 1 and 0 of BatchNorm."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_((p + 0.1 * torch.randn_like(p)).float().double())
    return module


# ---- a chain of every layer: two training passes, one evaluation pass ----

class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc1 = nn.Linear(6 * 4 * 4, 7)
        self.bn3 = nn.BatchNorm1d(7)
        self.fc2 = nn.Linear(7, 5, bias=False)

    def forward(self, x):
        x = F.leaky_relu(self.bn1(self.conv1(x)), 0.2)
        x = F.relu(self.bn2(self.up(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = torch.tanh(self.bn3(self.fc1(x.flatten(1))))
        return self.fc2(x)


chain = settle(Chain())
put_state("chain/start", chain)
target = torch.softmax(draw(4, 5), 1)
put("chain/target", target)
for step in range(2):
    x = draw(4, 3, 8, 8)
    put(f"chain/x{step}", x)
    chain.zero_grad()
    logits = chain(x)
    loss = F.cross_entropy(logits, target)
    loss.backward()
    put(f"chain/logits{step}", logits)
    put(f"chain/loss{step}", loss)
    put_grads(f"chain/grad{step}", chain)
put_state("chain/end", chain)
chain.eval()
put("chain/eval", chain(out["chain/x0"]))

# ---- losses ----

x, t = draw(6, 3, scale=2), torch.softmax(draw(6, 3), 1)
put("loss/x", x)
put("loss/target", t)
for name, loss in {
    "cross_entropy": F.cross_entropy,
    "double_softmax": lambda a, b: F.cross_entropy(torch.softmax(a, 1), b),
    "bce": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
}.items():
    leaf = x.clone().requires_grad_()
    value = loss(leaf, t)
    put(f"loss/{name}", value)
    put(f"loss/{name}_grad", torch.autograd.grad(value, leaf)[0])

# ---- a gradient penalty through convolution, BatchNorm and a smooth activation ----

class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 4, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 3, 3, padding=1)
        self.fc = nn.Linear(3 * 3 * 3, 1)

    def forward(self, x):
        x = F.softplus(self.bn(self.conv1(x)))
        x = F.leaky_relu(self.conv2(x), 0.2)
        return self.fc(x.flatten(1))


critic = settle(Critic())
put_state("penalty/start", critic)
x = draw(3, 2, 6, 6).requires_grad_()
put("penalty/x", x)
slope = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
put("penalty/slope", slope)
put("penalty/value", penalty)
for (name, _), g in zip(critic.named_parameters(), torch.autograd.grad(penalty, critic.parameters(), allow_unused=True)):
    put(f"penalty/grad/{name}", torch.zeros_like(dict(critic.named_parameters())[name]) if g is None else g)

# ---- DCGAN in small: five updates of both networks with Adam ----

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(5, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(4, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2),
            nn.Conv2d(8, 1, 4, 1, 0, bias=False))

    def forward(self, x):
        return self.main(x).flatten()


g, d = settle(Generator()), settle(Discriminator())
put_state("gan/g_start", g)
put_state("gan/d_start", d)
g_opt = torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.5, 0.999))
d_opt = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.5, 0.999))
bce = F.binary_cross_entropy_with_logits
real = torch.tanh(draw(3, 3, 16, 16)).float().double()
put("gan/real", real)
steps = 5
z_all = draw(steps, 3, 5, 1, 1)
put("gan/z", z_all)
losses = []
for z in z_all:
    d_opt.zero_grad()
    on_real = bce(d(real), torch.ones(3))
    on_real.backward()
    fake = g(z)
    on_fake = bce(d(fake.detach()), torch.zeros(3))
    on_fake.backward()
    d_opt.step()
    g_opt.zero_grad()
    fooled = bce(d(fake), torch.ones(3))
    fooled.backward()
    g_opt.step()
    losses.append([on_real.item(), on_fake.item(), fooled.item()])
put("gan/losses", torch.tensor(losses))
put_state("gan/g_end", g)
put_state("gan/d_end", d)

# ---- optimisers: ten steps on given gradients ----

start, grads = draw(17), draw(10, 17)
put("optim/start", start)
put("optim/grads", grads)
for name, make in {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd_dampening": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, dampening=0.3),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.5, 0.99), eps=1e-6, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02),
    "adamw_decay": lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.8, 0.95), weight_decay=0.2),
}.items():
    p = nn.Parameter(start.clone())
    opt = make([p])
    path = []
    for grad in grads:
        p.grad = grad.clone()
        opt.step()
        path.append(p.detach().clone())
    put(f"optim/{name}", torch.stack(path))

p = nn.Parameter(start.clone())
p.grad = grads[0].clone()
put("clip/norm", nn.utils.clip_grad_norm_([p], 1.5))
put("clip/grad", p.grad)

# ---- schedules: the rate of each of 40 steps, peak 0.1 ----

def rates(schedule):
    opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    sched = schedule(opt)
    seen = []
    for _ in range(40):
        seen.append(opt.param_groups[0]["lr"])
        opt.step()
        sched.step()
    return torch.tensor(seen)


sched = torch.optim.lr_scheduler
put("lr/step", rates(lambda o: sched.StepLR(o, 7, gamma=0.5)))
put("lr/multistep", rates(lambda o: sched.MultiStepLR(o, [5, 12, 30], gamma=0.1)))
put("lr/cosine", rates(lambda o: sched.CosineAnnealingLR(o, 40, eta_min=0.003)))


def cosine_with_warmup(step, warmup=6, total=40):
    """As get_cosine_schedule_with_warmup of transformers and diffusers, half a cycle."""
    if step < warmup:
        return step / warmup
    done = (step - warmup) / (total - warmup)
    return 0.5 * (1 + torch.cos(torch.tensor(torch.pi * done)).item())


put("lr/cosine_warmup", rates(lambda o: sched.LambdaLR(o, cosine_with_warmup)))

save_file(out, Path(__file__).with_name("nn.safetensors"))
