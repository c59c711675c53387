"""Makes state_dicts.txt: "model name shape" of every entry, in order, as torchvision's ResNets, preact_resnet.py and PyTorch's
DCGAN example (with the papers' changes) have them. Needs torch and torchvision.

    python3 tests/golden/make_state_dicts.py
"""
from pathlib import Path

import torch
import torchvision
from torch import nn

from preact_resnet import PreActResNet18

def dcgan_generator(latent, width=64, size=64, channels=3):
    doublings = (size // 4).bit_length() - 1
    layers, inputs = [], latent
    for i in range(doublings):
        outputs = width * 2 ** (doublings - 1 - i)
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2 if i else 1, 1 if i else 0, bias=False),
                   nn.BatchNorm2d(outputs), nn.ReLU(True)]
        inputs = outputs
    return named([*layers, nn.ConvTranspose2d(inputs, channels, 4, 2, 1, bias=False), nn.Tanh()])


def dcgan_discriminator(slope=0.02, dropout=0.0, width=64, size=64, channels=3):
    doublings = (size // 4).bit_length() - 1
    layers, inputs = [], channels
    for i in range(doublings):
        outputs = width * 2**i
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(outputs)] if i else []
        layers += [nn.LeakyReLU(slope, inplace=True)] + ([nn.Dropout(dropout)] if dropout else [])
        inputs = outputs
    return named([*layers, nn.Conv2d(inputs, 1, 4, 1, 0, bias=False)])  # the sigmoid belongs to the loss


def named(layers):
    model = nn.Module()
    model.main = nn.Sequential(*layers)
    model.forward = model.main.forward
    return model


if __name__ == "__main__":
    models = {
        "resnet18": torchvision.models.resnet18(),
        "resnet50": torchvision.models.resnet50(),
        "preact_resnet18": PreActResNet18(),
        "dcgan_p4_g": dcgan_generator(10),
        "dcgan_p4_d": dcgan_discriminator(),
        "dcgan_p2_g": dcgan_generator(256),
        "dcgan_p2_d": dcgan_discriminator(dropout=0.2),
    }
    with open(Path(__file__).with_name("state_dicts.txt"), "w") as out:
        for model, network in models.items():
            for name, value in network.state_dict().items():
                print(model, name, "x".join(map(str, value.shape)) or "scalar", file=out)
