#!/usr/bin/env python3
"""Writes datasets.safetensors: small files in the true format of packed data sets, and what torchvision reads in them.

usage: make_datasets.py OUT.safetensors [MNIST_FOLDER]      (needs numpy, torch, torchvision, safetensors)

file/<data set>/<path> is a file as people download it, cut down to a few images. label/<manifest>/<split> (n, i64) has
the labels (-1: none) in the order of torchvision, sha256/<manifest>/<split> (n, 32) the SHA-256 of
"rgb WIDTH x HEIGHT\n" and the pixels of image.convert("RGB"). CIFAR's binary files are made from the same arrays as
the pickled ones that torchvision reads. EMNIST's images are turned here, which torchvision leaves to its users.

folder/paths are the files of a tree in class folders, folder/samples what ImageFolder lists there: "LABEL PATH" lines.

With MNIST_FOLDER (the four published files, gzip) real/mnist/<split> (32) is the SHA-256 of the whole split: label and
grey pixels of every image, sorted by label, otherwise in the order of the file.
"""
import gzip
import hashlib
import pickle
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from torchvision import datasets

MNIST_FILES = {True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
               False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}
rng = np.random.default_rng(11)
files, arrays = {}, {}


def idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def record(manifest, split, items, turned=False):
    labels, hashes = [], []
    for image, label in items:
        image = image.convert("RGB")
        if turned:
            image = image.transpose(Image.Transpose.TRANSPOSE)
        hashes.append(hashlib.sha256(f"rgb {image.width} x {image.height}\n".encode() + image.tobytes()).digest())
        labels.append(int(label))
    arrays[f"label/{manifest}/{split}"] = np.array(labels, np.int64)
    arrays[f"sha256/{manifest}/{split}"] = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)


def mnist(root, manifest, kind):
    for train, count in ((True, 7), (False, 4)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.concatenate([np.arange(10), np.arange(10)])[3:3 + count].astype(np.uint8)
        for name, array in zip(MNIST_FILES[train], (images, labels)):
            put(root / kind.__name__ / "raw" / name, idx(array))
            packed = train or "labels" in name  # gzip and plain files side by side
            data = gzip.compress(idx(array), mtime=0) if packed else idx(array)
            files[f"{manifest}/{name}{'.gz' if packed else ''}"] = data
    for train in (True, False):
        record(manifest, "train" if train else "test", kind(root, train=train))


def emnist(root):
    for train in (True, False):
        split, count = ("train", 5) if train else ("test", 2)
        arrays_ = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.array([1, 26, 2, 25, 3][:count], np.uint8)
        for name, array in zip(("images-idx3", "labels-idx1"), arrays_):
            file = f"emnist-letters-{split}-{name}-ubyte"
            put(root / "EMNIST" / "raw" / file, idx(array))
            files[f"emnist/gzip/{file}.gz"] = gzip.compress(idx(array), mtime=0)
    for train in (True, False):
        # torchvision numbers the letters from 1: class 0 is "N/A".
        items = [(image, label - 1) for image, label in datasets.EMNIST(root, "letters", train=train)]
        record("emnist-letters", "train" if train else "test", items, turned=True)


def cifar(root, kind, manifests, names, label_keys, folder):
    """names: (pickled, binary, train) of each file; manifests: manifest of each label key."""
    batches = {}
    for pickled, binary, train in names:
        data = rng.integers(0, 256, (2, 3072), dtype=np.uint8)
        labels = {key: rng.integers(0, top, 2).tolist() for key, top in label_keys.items()}
        put(root / kind.base_folder / pickled, pickle.dumps({"data": data, **labels}))
        rows = [bytes(labels[key][i] for key in label_keys) + data[i].tobytes() for i in range(2)]
        files[f"{folder}/{binary}"] = b"".join(rows)
        batches.setdefault(train, []).append((pickled, md5(root / kind.base_folder / pickled)))
    meta = root / kind.base_folder / kind.meta["filename"]
    put(meta, pickle.dumps({kind.meta["key"]: [str(i) for i in range(100)]}))
    for key, manifest in manifests.items():
        fields = {"train_list": batches[True], "test_list": batches[False], "meta": {**kind.meta, "md5": md5(meta)}}
        here = type("Here", (kind,), fields)
        for train in (True, False):
            items = [image for image, _ in here(root, train=train)]
            targets = [t for pickled, _ in batches[train]
                       for t in pickle.loads((root / kind.base_folder / pickled).read_bytes())[key]]
            if key in ("labels", "fine_labels"):
                assert targets == here(root, train=train).targets
            record(manifest, "train" if train else "test", zip(items, targets))


def stl10(root):
    folder = root / "stl10_binary"
    for name, count in (("train", 2), ("test", 1), ("unlabeled", 1)):
        put(folder / f"{name}_X.bin", rng.integers(0, 256, count * 96 * 96 * 3, dtype=np.uint8).tobytes())
        if name != "unlabeled":
            put(folder / f"{name}_y.bin", bytes([10, 1][:count]))
    put(folder / "class_names.txt", b"".join(b"%d\n" % i for i in range(10)))

    class Here(datasets.STL10):
        train_list = [[n, md5(folder / n)] for n in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")]
        test_list = [[n, md5(folder / n)] for n in ("test_X.bin", "test_y.bin")]

    for path in folder.glob("*.bin"):
        files[f"stl10/stl10_binary/{path.name}"] = path.read_bytes()
    for split in ("train", "test", "unlabeled"):
        record("stl10", split, Here(root, split=split))


def image_folder(root):
    """Empty files: the paths of a tree (text, one a line) and the samples of ImageFolder, as paths and classes."""
    classes, names = ["n02100735", "n01443537", "n15075141"], ["_9.JPEG", "_10.JPEG", "_100.jpeg", "_2.JPEG", "_b.png"]
    paths = [f"train/{c}/images/{c}{n}" for c in classes for n in names[:3 + classes.index(c)]]
    for path in paths + [f"train/{classes[0]}/{classes[0]}_boxes.txt"]:
        put(root / path, b"")
    samples = datasets.ImageFolder(root / "train").samples
    listed = "".join(f"{label} {Path(path).relative_to(root)}\n" for path, label in samples)
    arrays["folder/paths"] = np.frombuffer("\n".join(paths).encode() + b"\n", np.uint8)
    arrays["folder/samples"] = np.frombuffer(listed.encode(), np.uint8)


def real_mnist(root, source):
    for name in sum(MNIST_FILES.values(), ()):
        put(root / "MNIST" / "raw" / name, gzip.decompress((source / f"{name}.gz").read_bytes()))
    for train in (True, False):
        data = datasets.MNIST(root, train=train)
        whole = hashlib.sha256()
        for i in np.argsort(data.targets.numpy(), kind="stable"):
            image, label = data[i]
            whole.update(bytes([label]) + image.tobytes())
        arrays[f"real/mnist/{'train' if train else 'test'}"] = np.frombuffer(whole.digest(), np.uint8)


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        mnist(root, "mnist", datasets.MNIST)
        mnist(root, "fashion-mnist", datasets.FashionMNIST)
        mnist(root, "kmnist", datasets.KMNIST)
        emnist(root)
        cifar(root, datasets.CIFAR10, {"labels": "cifar10"},
              [(f"data_batch_{i}", f"data_batch_{i}.bin", True) for i in range(1, 6)]
              + [("test_batch", "test_batch.bin", False)], {"labels": 10}, "cifar10/cifar-10-batches-bin")
        cifar(root, datasets.CIFAR100, {"coarse_labels": "cifar100-coarse", "fine_labels": "cifar100"},
              [("train", "train.bin", True), ("test", "test.bin", False)],
              {"coarse_labels": 20, "fine_labels": 100}, "cifar100/cifar-100-binary")
        stl10(root)
        image_folder(root / "folder")
        if len(sys.argv) > 2:
            real_mnist(root / "real", Path(sys.argv[2]))
    out = {f"file/{name}": np.frombuffer(data, np.uint8) for name, data in sorted(files.items())}
    save_file({**arrays, **out}, sys.argv[1])


if __name__ == "__main__":
    main()
