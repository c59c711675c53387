#!/usr/bin/env python3
"""Makes ops.safetensors: what PyTorch computes for the ops whose formulas are easy to get wrong.

    python3 tests/golden/make_ops.py        (PyTorch, safetensors)

Everything is computed in float64 from inputs that are exact in float32, so that the same file serves
devices of both types. Names are "<op>/<case>/<what>"; "desc" holds the op's settings as numbers.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

torch.manual_seed(20240611)
torch.set_default_dtype(torch.float64)
out = {}


def draw(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).float().double()


def put(prefix, **arrays):
    for name, value in arrays.items():
        key = f"{prefix}/{name}"
        assert key not in out
        out[key] = torch.as_tensor(value, dtype=torch.float64).detach().clone().contiguous()


def grads(y, dy, *leaves):
    return torch.autograd.grad(y, leaves, dy)


# n, ci, h, w, co, (kh, kw), stride, pad, dilation, groups
CONVS = [
    (2, 3, 6, 7, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, 4, 7, 9, 6, (3, 3), (2, 2), (1, 1), (1, 1), 2),
    (2, 2, 9, 8, 3, (3, 2), (2, 3), (2, 0), (2, 1), 1),
    (1, 4, 6, 6, 8, (4, 4), (2, 2), (1, 1), (1, 1), 4),
    (2, 3, 5, 5, 3, (3, 3), (1, 1), (2, 2), (2, 2), 3),
    (2, 5, 4, 4, 1, (4, 4), (1, 1), (0, 0), (1, 1), 1),
    (1, 2, 8, 8, 2, (2, 2), (3, 3), (0, 0), (1, 1), 1),
]
for i, (n, ci, h, w, co, kernel, stride, pad, dilation, groups) in enumerate(CONVS):
    x = draw(n, ci, h, w).requires_grad_()
    weight = draw(co, ci // groups, *kernel).requires_grad_()
    y = F.conv2d(x, weight, None, stride, pad, dilation, groups)
    dy = draw(*y.shape)
    dx, dw = grads(y, dy, x, weight)
    put(f"conv/{i}", desc=[*stride, *pad, *dilation, groups], x=x, w=weight, y=y, dy=dy, dx=dx, dw=dw)

# n, ci, h, w, co, kernel, stride, pad, output_pad, dilation, groups
TRANSPOSED = [
    (2, 5, 1, 1, 4, 4, 1, 0, 0, 1, 1),
    (1, 4, 4, 4, 3, 4, 2, 1, 0, 1, 1),
    (2, 4, 3, 5, 6, 3, 2, 1, 1, 1, 2),
    (1, 2, 4, 3, 2, 3, 2, 2, 1, 2, 1),
]
for i, (n, ci, h, w, co, kernel, stride, pad, output_pad, dilation, groups) in enumerate(TRANSPOSED):
    x = draw(n, ci, h, w)
    weight = draw(ci, co // groups, kernel, kernel)
    y = F.conv_transpose2d(x, weight, None, stride, pad, output_pad, groups, dilation)
    desc = [stride, stride, pad, pad, dilation, dilation, groups]
    put(f"conv_transpose/{i}", desc=desc, x=x, w=weight, y=y)

# n, c, h, w, kernel, stride, pad
POOLS = [
    (2, 3, 6, 7, (2, 2), (2, 2), (0, 0)),
    (1, 2, 7, 7, (3, 3), (2, 2), (1, 1)),
    (2, 2, 5, 6, (3, 2), (1, 2), (1, 0)),
    (1, 3, 4, 4, (4, 4), (4, 4), (0, 0)),
    (1, 2, 8, 7, (2, 3), (3, 2), (1, 1)),
]
for i, (n, c, h, w, kernel, stride, pad) in enumerate(POOLS):
    # Whole numbers, so that windows hold equal maxima and their place is told apart.
    x = torch.randint(-2, 3, (n, c, h, w)).double().requires_grad_()
    y, index = F.max_pool2d(x, kernel, stride, pad, return_indices=True)
    dy = draw(*y.shape)
    desc = [*kernel, *stride, *pad]
    put(f"max_pool/{i}", desc=desc, x=x, y=y, index=index, dy=dy, dx=grads(y, dy, x)[0])
    for include in (False, True):
        x = draw(n, c, h, w).requires_grad_()
        y = F.avg_pool2d(x, kernel, stride, pad, count_include_pad=include)
        dy = draw(*y.shape)
        put(f"avg_pool/{2 * i + include}", desc=desc + [include], x=x, y=y, dy=dy, dx=grads(y, dy, x)[0])

for i, (shape, eps) in enumerate([((5, 3), 1e-5), ((2, 4, 3, 5), 1e-5), ((3, 2, 4), 1e-3)]):
    x = (draw(*shape) * 2 + 3).float().double().requires_grad_()
    gamma, beta = draw(shape[1]).requires_grad_(), draw(shape[1]).requires_grad_()
    y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
    dy = draw(*y.shape)
    dx, dgamma, dbeta = grads(y, dy, x, gamma, beta)
    axes = [d for d in range(x.dim()) if d != 1]
    mean, inv_std = x.mean(axes), 1 / torch.sqrt(x.var(axes, unbiased=False) + eps)
    put(f"batch_norm/{i}", desc=[eps], x=x, gamma=gamma, beta=beta, y=y, mean=mean, inv_std=inv_std,
        dy=dy, dx=dx, dgamma=dgamma, dbeta=dbeta)

x = draw(4, 11, scale=20)
put("log_softmax/0", x=x, y=F.log_softmax(x, 1))

x = torch.cat([draw(20), draw(20, scale=30), torch.tensor([0.0, 1.0, -1.0])])
put("unary/tanh", x=x, y=torch.tanh(x))
put("unary/sigmoid", x=x, y=torch.sigmoid(x))
put("unary/softplus", x=x, y=torch.logaddexp(x, torch.zeros(())))
put("unary/leaky_relu", x=x, y=F.leaky_relu(x, 0.2))
put("unary/clamp", x=x, y=torch.clamp(x, -0.5, 0.75))
put("unary/sign", x=x, y=torch.sign(x))

# Movement, sums and products, where an axis or an order could be mistaken.
x = draw(2, 3, 4, 5)
put("permute/0", desc=[2, 0, 3, 1], x=x, y=x.permute(2, 0, 3, 1))
put("permute/1", desc=[0, 2, 3, 1], x=x, y=x.permute(0, 2, 3, 1))
put("slice/0", desc=[1, 1, 3], x=x, y=x[:, 1:3])
put("slice/1", desc=[3, 0, 4], x=x, y=x[..., 0:4])
put("pad/0", desc=[2, 1, 2], x=x, y=F.pad(x, (0, 0, 1, 2)))
put("pad/1", desc=[0, 0, 1], x=x, y=F.pad(x, (0, 0, 0, 0, 0, 0, 0, 1)))
other = draw(2, 2, 4, 5)
put("concat/0", desc=[1], x=x, q=other, y=torch.cat([x, other], 1))
put("broadcast_to/0", x=x[:1, :, :1], y=x[:1, :, :1].expand(2, 3, 4, 5))
for i, axes in enumerate([(0,), (1, 3), (2, 3), (0, 1, 2, 3)]):
    bits = sum(1 << a for a in axes)
    put(f"sum/{i}", desc=[bits], x=x, y=x.sum(axes, keepdim=True))
    put(f"max/{i}", desc=[bits], x=x, y=x.amax(axes, keepdim=True))
for axis in range(4):
    put(f"argmax/{axis}", desc=[1 << axis], x=x, index=x.argmax(axis, keepdim=True))
for i, q in enumerate([draw(3, 1, 1), draw(2, 1, 4, 1), draw(()), draw(5)]):
    put(f"binary/{i}", x=x, q=q, sub=x - q, div=x / q, max=torch.maximum(x, q), reverse=q - x)
scale, shift = draw(3), draw(3)
put("scale_shift/0", x=x, scale=scale, shift=shift, y=x * scale.view(3, 1, 1) + shift.view(3, 1, 1))
rows = torch.tensor([2, 0, 2, 4])
x = draw(5, 3)
put("gather_rows/0", x=x, index=rows, y=x[rows])
x = draw(4, 3)
put("scatter_rows/0", desc=[5], x=x, index=rows, y=torch.zeros(5, 3).index_add(0, rows, x))
for i, (ta, tb) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
    a, b = draw(2, 3, 4), draw(2, 4, 5)
    put(f"matmul/{i}", desc=[ta, tb], x=a.mT if ta else a, q=b.mT if tb else b, y=a @ b)

STEPS, SIZE = 4, 9


def updates(prefix, make, desc, *state):
    """Several steps of an optimiser from given gradients; `state` names what it keeps, after the last."""
    param = torch.nn.Parameter(draw(SIZE))
    start, gradient = param.detach().clone(), draw(STEPS, SIZE)
    optimizer = make([param])
    after = []
    for g in gradient:
        param.grad = g.clone()
        optimizer.step()
        after.append(param.detach().clone())
    kept = {name: optimizer.state[param][name] for name in state}
    put(prefix, desc=desc, start=start, grad=gradient, param=torch.stack(after), **kept)


SGD = [  # lr, momentum, dampening, weight_decay, nesterov
    (0.1, 0, 0, 0, False),
    (0.1, 0, 0, 0.02, False),
    (0.05, 0.9, 0, 5e-4, False),
    (0.05, 0.9, 0.4, 0, False),
    (0.05, 0.8, 0, 5e-4, True),
]
for i, (lr, momentum, dampening, decay, nesterov) in enumerate(SGD):
    updates(f"sgd/{i}", lambda p: torch.optim.SGD(p, lr, momentum, dampening, decay, nesterov),
            [lr, momentum, dampening, decay, nesterov], *(["momentum_buffer"] if momentum else []))
ADAM = [  # lr, beta1, beta2, eps, weight_decay, decoupled
    (1e-3, 0.9, 0.999, 1e-8, 0, False),
    (2e-4, 0.5, 0.999, 1e-8, 0, False),
    (1e-2, 0.9, 0.99, 1e-6, 0.05, False),
    (1e-2, 0.9, 0.99, 1e-6, 0.05, True),
]
for i, (lr, beta1, beta2, eps, decay, decoupled) in enumerate(ADAM):
    rule = torch.optim.AdamW if decoupled else torch.optim.Adam
    updates(f"adam/{i}", lambda p: rule(p, lr, (beta1, beta2), eps, decay),
            [lr, beta1, beta2, eps, decay, decoupled], "exp_avg", "exp_avg_sq")

save_file(out, Path(__file__).with_name("ops.safetensors"))
