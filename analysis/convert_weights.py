#!/usr/bin/env python3
"""Turns PyTorch weights (.pt, .pth, .bin) into the safetensors form that augmint reads.

    python3 convert_weights.py IN.pth OUT.safetensors

IN is what torch.save wrote: a state dict, or a checkpoint that holds one beside optimiser state and other things
(under state_dict, model, ... ; --list shows what there is, --key chooses). It is read with weights_only=True, so
nothing in the file is executed. A whole pickled model is therefore refused: load it in the project it came from and
save model.state_dict() there.

Names lose the prefixes that wrappers put before all of them (module. of DataParallel, _orig_mod. of torch.compile).
Types and values stay as they are. Equal weights give equal bytes, so the SHA-256 printed at the end can be pinned:
as `sha256:` of a model in an experiment, or in data/manifests/weights/NAME.yaml, which also says where the file has
to lie. A name such as resnet18-f37072fd.pth states how the SHA-256 of the file begins; it is checked.

    python3 convert_weights.py resnet18-f37072fd.pth DATA/weights/resnet18-imagenet.safetensors
    augmint weights check DATA/weights/resnet18-imagenet.safetensors --model resnet18

Needs torch and safetensors (pip install torch safetensors).
"""
import argparse
import hashlib
import os
import pickle
import re
import sys
from pathlib import Path

# Where training programs keep the weights they evaluate with, most common first. Averages have to be asked for.
USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
WRAPPERS = ("module.", "_orig_mod.")


class Refused(Exception):
    """What is wrong with the file, for the user."""


def is_state_dict(value, torch):
    return isinstance(value, dict) and len(value) > 0 and any(torch.is_tensor(v) for v in value.values()) and all(
        isinstance(k, str) for k in value)


def read(path, torch):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as why:
        raise Refused(f"{path} holds more than tensors and plain values, perhaps a whole pickled model. Load it in the "
                      f"project it came from and save model.state_dict() there.\n  torch says: "
                      f"{str(why).strip().splitlines()[0]}") from None
    except (RuntimeError, EOFError, ValueError) as why:
        raise Refused(f"{path} is not a file that torch.save wrote: {str(why).strip().splitlines()[0]}") from None


def describe(content, torch):
    if torch.is_tensor(content):
        return f"a tensor {tuple(content.shape)}"
    if isinstance(content, dict):
        kind = "state dict" if is_state_dict(content, torch) else "map"
        return f"{kind} of {len(content)} entries"
    return type(content).__name__


def choose(content, key, path, torch):
    """The state dict within what a file holds."""
    if key:
        for part in key.split("."):
            if not isinstance(content, dict) or part not in content:
                raise Refused(f"{path} has no entry {key!r}; --list shows what there is")
            content = content[part]
    elif not is_state_dict(content, torch) and isinstance(content, dict):
        usual = [k for k in USUAL_KEYS if is_state_dict(content.get(k), torch)]
        if usual:
            print(f"taking the entry {usual[0]!r} of {', '.join(map(str, content))}")
            content = content[usual[0]]
    if not is_state_dict(content, torch):
        raise Refused(f"{path}: {describe(content, torch)} where a state dict was expected; --list shows what there "
                      "is, --key chooses")
    return content


def unwrap(state):
    """The names without the prefixes that all of them share through wrappers."""
    while True:
        prefix = next((w for w in WRAPPERS if all(name.startswith(w) for name in state)), None)
        if prefix is None:
            return state
        print(f"names lose {prefix!r}")
        state = {name[len(prefix):]: value for name, value in state.items()}


def tensors_of(state, torch):
    state = {name: value for name, value in state.items() if name != "n_averaged"}  # of torch's AveragedModel
    others = [name for name, value in state.items() if not torch.is_tensor(value)]
    if others:
        print(f"left out, because they are not tensors: {', '.join(others)}")
    state = unwrap({name: value for name, value in state.items() if torch.is_tensor(value)})
    # Copies, because views that share memory cannot be written.
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in state.items()}


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_name(path):
    """torch.hub's rule: NAME-HASH.pth, where HASH begins the file's SHA-256."""
    stated = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", Path(path).name)
    if stated and not sha256(path).startswith(stated[1]):
        raise Refused(f"{path} does not have the SHA-256 its name begins with ({stated[1]}...): it is damaged or "
                      "another file")


def convert(args):
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError as why:
        raise Refused(f"this script needs torch and safetensors: {why}") from None
    check_name(args.source)
    content = read(args.source, torch)
    if args.list:
        entries = content.items() if isinstance(content, dict) else [("(the file)", content)]
        for key, value in entries:
            print(f"{key}: {describe(value, torch)}")
        return
    if args.target is None:
        raise Refused("where should the weights go? convert_weights.py IN OUT.safetensors")
    if os.path.exists(args.target) and not args.force:
        raise Refused(f"{args.target} exists; --force replaces it")
    tensors = tensors_of(choose(content, args.key, args.source, torch), torch)
    beside = f"{args.target}.part-{os.getpid()}"
    try:
        save_file(tensors, beside, metadata={"format": "pt"})
        os.replace(beside, args.target)
    finally:
        Path(beside).unlink(missing_ok=True)
    print(f"{args.target}: {len(tensors)} tensors, SHA-256 {sha256(args.target)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="IN", help=".pt, .pth or .bin file")
    parser.add_argument("target", metavar="OUT", nargs="?", help="the .safetensors file to write")
    parser.add_argument("--key", help="the entry that holds the state dict, as state_dict_ema or ema.model")
    parser.add_argument("--list", action="store_true", help="only show what the file holds")
    parser.add_argument("--force", action="store_true", help="replace OUT")
    try:
        convert(parser.parse_args())
    except (Refused, OSError) as why:
        print(f"convert_weights.py: {why}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
