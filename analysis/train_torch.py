#!/usr/bin/env python3
"""Trains a classifier in PyTorch by the recipe of an experiment of experiments/beside-pytorch/.

The peer of `augmint run` on that file: the same network, data, batches, optimiser and schedule, other
random numbers. Prints one line of JSON for each seed, with the accuracy on the test split after the last
epoch and the seconds of training (decoding and evaluation apart).

    python3 analysis/train_torch.py mnist-p3cnn --data DIR --seeds 3
    python3 analysis/train_torch.py cifar10jpg-resnet18 --data DIR --seeds 3 --precision bf16

Needs torch, torchvision and Pillow; nothing else of the project does.
"""
import argparse
import gzip
import json
import math
import pathlib
import time

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn import functional as F


def idx(path):
    """A gzipped IDX file as an array of uint8."""
    raw = gzip.open(path).read()
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def mnist(data, train):
    """Zero-padded from 28 to 32 px, grey repeated: paper P3's form."""
    prefix = "train" if train else "t10k"
    image = idx(data / "mnist" / f"{prefix}-images-idx3-ubyte.gz")
    label = idx(data / "mnist" / f"{prefix}-labels-idx1-ubyte.gz")
    image = np.pad(image, ((0, 0), (2, 2), (2, 2)))[:, None].repeat(3, 1)
    return torch.from_numpy(image), torch.from_numpy(label.astype(np.int64))


def folders(root):
    image, label = [], []
    for k, folder in enumerate(sorted(p for p in root.iterdir() if p.is_dir())):
        for file in sorted(folder.iterdir()):
            image.append(np.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1))
            label.append(k)
    return torch.from_numpy(np.stack(image)), torch.tensor(label)


def cifar10_jpg(data, train):
    return folders(data / "cifar10-jpg" / ("train" if train else "test"))


def p3_cnn():
    layers, channels = [], 3
    for width in (32, 64, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, 10))


def resnet18_cifar():
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return net


def flip_and_crop(image, padding=4):
    """torchvision's RandomHorizontalFlip and RandomCrop(32, padding=4), a whole batch at once."""
    n, _, h, w = image.shape
    flipped = torch.rand(n) < 0.5
    image = torch.where(flipped[:, None, None, None], image.flip(3), image)
    padded = F.pad(image, (padding,) * 4)
    top = torch.randint(0, 2 * padding + 1, (n, 1))
    left = torch.randint(0, 2 * padding + 1, (n, 1))
    rows = (top + torch.arange(h))[:, None, :, None].expand(-1, 3, -1, w)
    cols = (left + torch.arange(w))[:, None, None, :].expand(-1, 3, h, -1)
    batch = torch.arange(n)[:, None, None, None]
    channel = torch.arange(3)[None, :, None, None]
    return padded[batch, channel, rows, cols]


RECIPES = {
    "mnist-p3cnn": dict(
        data=mnist, model=p3_cnn, epochs=3, batch=128, augment=None,
        optimizer=lambda p: torch.optim.Adam(p, lr=1e-3), cosine=False),
    "cifar10jpg-resnet18": dict(
        data=cifar10_jpg, model=resnet18_cifar, epochs=10, batch=128, augment=flip_and_crop,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=5e-4), cosine=True),
}


def prepare(image, channels_last):
    x = image.float().div_(255).sub_(0.5).div_(0.5)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def accuracy(net, image, label, amp, channels_last):
    net.eval()
    right = 0
    with torch.inference_mode(), amp():
        for at in range(0, len(image), 500):
            logits = net(prepare(image[at:at + 500], channels_last))
            right += (logits.argmax(1) == label[at:at + 500]).sum().item()
    return right / len(image)


def train(recipe, train_set, test_set, seed, args):
    torch.manual_seed(seed)
    image, label = train_set
    net = recipe["model"]()
    if args.channels_last:
        net = net.to(memory_format=torch.channels_last)
    optimizer = recipe["optimizer"](net.parameters())
    peak = optimizer.param_groups[0]["lr"]
    steps = math.ceil(len(image) / recipe["batch"])
    amp = lambda: torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    begin, step = time.perf_counter(), 0
    for epoch in range(args.epochs or recipe["epochs"]):
        net.train()
        for batch in torch.randperm(len(image)).split(recipe["batch"]):
            x = image[batch]
            if recipe["augment"]:
                x = recipe["augment"](x)
            if recipe["cosine"]:
                total = steps * (args.epochs or recipe["epochs"])
                optimizer.param_groups[0]["lr"] = peak * 0.5 * (1 + math.cos(math.pi * step / total))
            optimizer.zero_grad(set_to_none=True)
            with amp():
                loss = F.cross_entropy(net(prepare(x, args.channels_last)), label[batch])
            loss.backward()
            optimizer.step()
            step += 1
    seconds = time.perf_counter() - begin
    return accuracy(net, *test_set, amp, args.channels_last), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the image sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="0: those of the recipe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: autocast")
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = RECIPES[args.recipe]
    train_set, test_set = (recipe["data"](args.data, train) for train in (True, False))
    for seed in range(args.seeds):
        value, seconds = train(recipe, train_set, test_set, seed, args)
        print(json.dumps(dict(recipe=args.recipe, precision=args.precision, threads=args.threads, seed=seed,
                              accuracy=value, train_seconds=round(seconds, 1), torch=torch.__version__)), flush=True)


if __name__ == "__main__":
    main()
