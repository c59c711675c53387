"""Makes, with the Python package (safetensors 0.8 and torch 2.15 made the stored files):

    safetensors.safetensors   every element type, in an order that is not the file's: what our writer must reproduce
    floats.safetensors        bit patterns of the narrow float types and what torch reads in them
    crafted.txt               small files, right and wrong: "name taken|refused hex", by the package's verdict

    python3 tests/golden/make_safetensors.py
"""
import json
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError, deserialize
from safetensors.torch import save_file

HERE = Path(__file__).parent


def every_type():
    tensors = {
        "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
        "a.weight": torch.arange(4, dtype=torch.float32) - 1.5,
        "half": torch.tensor([1.5, -2.0, 6.1e-5, 5.96e-8, float("inf")], dtype=torch.float16),
        "wide": torch.tensor([[torch.pi], [-1e300]], dtype=torch.float64),
        "counter": torch.tensor(12345678901, dtype=torch.int64),
        "index": torch.tensor([-1, 7], dtype=torch.int32),
        "small": torch.tensor([-3, 4, 5], dtype=torch.int16),
        "byte": torch.tensor([0, 128, 255], dtype=torch.uint8),
        "flag": torch.tensor([True, False]),
        "empty": torch.zeros((0, 3)),
        'quoted "name" \\ ü': torch.tensor([9.0]),
    }
    for name in ("int8", "uint16", "uint32", "uint64", "bfloat16", "complex64", "float8_e5m2", "float8_e4m3fn",
                 "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"):
        tensors[name] = torch.tensor([1.0, 2.0, 4.0]).to(getattr(torch, name))
    save_file(tensors, HERE / "safetensors.safetensors", metadata={"format": "pt"})


def narrow_floats():
    out = {}
    for name in ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"):
        wide = name in ("float16", "bfloat16")
        codes = torch.arange(0, 65536, 61).to(torch.uint16) if wide else torch.arange(256).to(torch.uint8)
        out[name] = codes.view(getattr(torch, name))
        out[name + ".f32"] = out[name].float()
    save_file(out, HERE / "floats.safetensors")


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def crafted():
    one = json.dumps(tensor("F32", [1], 0, 4))
    next_one = json.dumps(tensor("F32", [1], 4, 8))
    maps = {  # name: header, bytes of data
        "no-tensor": ({}, 0),
        "one": ({"a": tensor("F32", [1], 0, 4)}, 4),
        "scalar": ({"a": tensor("I64", [], 0, 8)}, 8),
        "empty-name": ({"": tensor("F32", [1], 0, 4)}, 4),
        "empty-first": ({"e": tensor("F32", [0], 0, 0), "a": tensor("F32", [1], 0, 4)}, 4),
        "empty-between": ({"e": tensor("F32", [0], 4, 4), "a": tensor("F32", [1], 0, 4),
                           "b": tensor("F32", [1], 4, 8)}, 8),
        "empty-last": ({"e": tensor("F32", [0], 4, 4), "a": tensor("F32", [1], 0, 4)}, 4),
        "empty-inside-another": ({"e": tensor("F32", [0], 2, 2), "a": tensor("F32", [1], 0, 4)}, 4),
        "zero-times-huge": ({"a": tensor("F32", [0, 2**62, 4], 0, 0)}, 0),
        "huge-times-zero": ({"a": tensor("F32", [2**62, 4, 0], 0, 0)}, 0),
        "overflow": ({"a": tensor("F32", [2**32, 2**32], 0, 4)}, 4),
        "hole-first": ({"a": tensor("F32", [1], 4, 8)}, 8),
        "hole-between": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 8, 12)}, 12),
        "hole-last": ({"a": tensor("F32", [1], 0, 4)}, 8),
        "overlap": ({"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [1], 4, 8)}, 8),
        "same-place": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 0, 4)}, 4),
        "data-cut": ({"a": tensor("F32", [2], 0, 8)}, 4),
        "too-few-bytes": ({"a": tensor("F32", [2], 0, 4)}, 4),
        "too-many-bytes": ({"a": tensor("F32", [1], 0, 8)}, 8),
        "negative-dimension": ({"a": tensor("F32", [-1], 0, 4)}, 4),
        "fraction-dimension": ({"a": tensor("F32", [1.0], 0, 4)}, 4),
        "backwards": ({"a": tensor("F32", [1], 4, 0)}, 4),
        "negative-offset": ({"a": tensor("F32", [1], -4, 0)}, 4),
        "unknown-type": ({"a": tensor("F31", [1], 0, 4)}, 4),
        "lower-case-type": ({"a": tensor("f32", [1], 0, 4)}, 4),
        "seven-dimensions": ({"a": tensor("F32", [1] * 7, 0, 4)}, 4),
        "four-bit-type": ({"a": tensor("F4", [2], 0, 1)}, 1),
        "metadata": ({"__metadata__": {"a": "1", "b": ""}}, 0),
        "metadata-number": ({"__metadata__": {"a": 1}}, 0),
        "metadata-list": ({"__metadata__": []}, 0),
        "metadata-null": ({"__metadata__": None}, 0),
        "no-type": ({"a": {"shape": [1], "data_offsets": [0, 4]}}, 4),
        "no-shape": ({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, 4),
        "no-offsets": ({"a": {"dtype": "F32", "shape": [1]}}, 4),
        "three-offsets": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}, 4),
        "unknown-key": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "x": 1}}, 4),
        "not-an-object": ({"a": 1}, 0),
    }
    texts = {  # headers that json.dumps would not write
        "twice-same": ('{"a":%s,"a":%s}' % (one, one), 4),
        "twice-next": ('{"a":%s,"a":%s}' % (one, next_one), 8),
        "type-twice": ('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
        "metadata-twice": ('{"__metadata__":{},"__metadata__":{},"a":%s}' % one, 4),
        "metadata-key-twice": ('{"__metadata__":{"k":"1","k":"2"},"a":%s}' % one, 4),
        "huge-number": ('{"a":{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]}}', 4),
        "nul-in-name": ('{"a\\u0000b":%s}' % one, 4),
        "space-first": (' {"a":%s}' % one, 4),
        "space-last": ('{"a":%s}   ' % one, 4),
        "nul-last": ('{"a":%s}\0' % one, 4),
        "words-last": ('{"a":%s} x' % one, 4),
        "list": ("[]", 0),
        "nothing": ("", 0),
        "cut": ('{"a":', 0),
        "deep": ('{"a":' + "[" * 200 + "]" * 200 + "}", 0),
    }
    texts |= {name: (json.dumps(header), data) for name, (header, data) in maps.items()}
    files = {name: struct.pack("<Q", len(text)) + text.encode() + bytes(data) for name, (text, data) in texts.items()}
    files |= {
        "not-utf8": struct.pack("<Q", 7) + b'{"\xff":1}'[:7],
        "header-behind-the-end": struct.pack("<Q", 1000) + b"{}",
        "header-of-2-to-64": struct.pack("<Q", 2**64 - 1) + b"{}",
        "three-bytes": b"abc",
        "no-bytes": b"",
    }
    with open(HERE / "crafted.txt", "w") as out:
        for name, data in files.items():
            try:
                deserialize(data)
                verdict = "taken"
            except SafetensorError:
                verdict = "refused"
            print(name, verdict, data.hex() or "-", file=out)


every_type()
narrow_floats()
crafted()
