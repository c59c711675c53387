"""Makes resnet18.safetensors, resnet50.safetensors and preact_resnet18.safetensors: a training step (loss, logits,
every gradient, running statistics) and ten SGD steps of torchvision's networks and of preact_resnet.py's, computed in
f64, and beside it (`<name>.bf16`) what PyTorch makes of it under autocast to bf16. Needs torch, torchvision, numpy, safetensors; torch 2.15 and torchvision 0.29 made the stored files.

    python3 tests/golden/make_resnet.py [NAME...]

Weights, images and projection vectors come from the formula in projection.py, so nothing large is stored.
"""
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file

from preact_resnet import PreActResNet18
from projection import IMAGES, fill, noise, project, with_errors

BATCH, CLASSES, STEPS = 4, 10, 10
# Image size, stream of the images, learning rate. A nearly tied ReLU that falls on the other side in another correct
# implementation is worth 5e-3 of a gradient: PreActResNet's images are those of 64 streams whose first step stays
# furthest from ties, and ResNet-50's learning rate is small so that differences do not grow into ties.
NETWORKS = {
    "resnet18": (torchvision.models.resnet18, 64, IMAGES, 0.01),
    "resnet50": (torchvision.models.resnet50, 64, IMAGES, 0.001),
    "preact_resnet18": (PreActResNet18, 32, IMAGES + 39, 0.01),
}


def run(network, size, stream, lr, dtype):
    """dtype bfloat16: the parameters are f32, and autocast computes."""
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    dtype = torch.float32 if dtype == torch.bfloat16 else dtype
    model = network(num_classes=CLASSES)
    with torch.no_grad():
        fill(model.state_dict())
    model = model.to(dtype)
    images = torch.from_numpy(noise(stream, BATCH * 3 * size * size).reshape(BATCH, 3, size, size)).to(dtype)
    labels = torch.tensor([3 * i % CLASSES for i in range(BATCH)])
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=0.05)
    start = [p.detach().clone() for p in model.parameters()]
    running = [b for b in model.buffers() if b.is_floating_point()]
    out, losses = {}, []
    for step in range(STEPS):
        with autocast:
            logits = model(images)
        logits = logits.to(dtype)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            out["logits"] = logits.detach().clone()
            out["grad"] = project([p.grad for p in model.parameters()])
            out["stats_first"] = project(running)
        optimizer.step()
    out["update"] = project([p.detach() - s for p, s in zip(model.parameters(), start)])
    out["stats_last"] = project(running)
    model.eval()
    with torch.no_grad(), autocast:
        out["logits_eval"] = model(images)
    out["loss"] = torch.tensor(losses, dtype=torch.float64)
    return out


def main():
    for name in sys.argv[1:] or NETWORKS:
        print(name)
        exact, single, half = (run(*NETWORKS[name], dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16))
        out = with_errors(exact, single) | {name + ".bf16": value.double().contiguous() for name, value in half.items()}
        save_file(out, Path(__file__).with_name(f"{name}.safetensors"))


if __name__ == "__main__":
    main()
