"""Makes resnet18.safetensors and resnet50.safetensors: a training step (loss, logits, all gradients, running statistics)
and SGD steps of torchvision's networks, computed in f64. Needs torch, torchvision, numpy, safetensors; torch 2.15
and torchvision 0.29 made the stored files.

    python3 tests/golden/make_resnet.py                    make the files
    python3 tests/golden/make_resnet.py check W.safetensors [resnet18]   load weights that augmint saved, strict=True

Weights, images and projection vectors come from the formula in projection.py, so nothing large is stored.
"""
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file

from projection import IMAGES, fill, noise, project, with_errors

BATCH, SIZE, CLASSES = 4, 64, 10


def run(name, dtype, steps):
    model = getattr(torchvision.models, name)(num_classes=CLASSES)
    with torch.no_grad():
        fill(model.state_dict())
    model = model.to(dtype)
    images = torch.from_numpy(noise(IMAGES, BATCH * 3 * SIZE * SIZE).reshape(BATCH, 3, SIZE, SIZE)).to(dtype)
    labels = torch.tensor([3 * i % CLASSES for i in range(BATCH)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.05)
    start = [p.detach().clone() for p in model.parameters()]
    running = [b for b in model.buffers() if b.is_floating_point()]
    out, losses = {}, []
    for step in range(steps):
        logits = model(images)
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
    with torch.no_grad():
        out["logits_eval"] = model(images)
    out["loss"] = torch.tensor(losses, dtype=torch.float64)
    return out


def main():
    here = Path(__file__).parent
    if len(sys.argv) > 2 and sys.argv[1] == "check":
        name = sys.argv[3] if len(sys.argv) > 3 else "resnet18"
        state = load_file(sys.argv[2])
        model = getattr(torchvision.models, name)(num_classes=state["fc.weight"].shape[0])
        print(model.load_state_dict(state, strict=True))
        return
    # ResNet-50 with so few pixels amplifies rounding at every step: one step says whether it is the same network.
    for name, steps in (("resnet18", 10), ("resnet50", 1)):
        print(name)
        exact, single = (run(name, dtype, steps) for dtype in (torch.float64, torch.float32))
        save_file(with_errors(exact, single), here / f"{name}.safetensors")


if __name__ == "__main__":
    main()
