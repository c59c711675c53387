"""Makes safetensors.safetensors with the Python package: every element type that the C writer is
compared with, in an order that is not the file's. Needs numpy and safetensors.

    python3 tests/golden/make_safetensors.py
"""
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

tensors = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
    "a.weight": np.arange(4, dtype=np.float32) - 1.5,
    "half": np.array([1.5, -2.0, 6.1e-5, 5.96e-8, np.inf], dtype=np.float16),
    "wide": np.array([[np.pi], [-1e300]], dtype=np.float64),
    "counter": np.array(12345678901, dtype=np.int64),
    "index": np.array([-1, 7], dtype=np.int32),
    "small": np.array([-3, 4, 5], dtype=np.int16),
    "byte": np.array([0, 128, 255], dtype=np.uint8),
    "flag": np.array([True, False]),
    "empty": np.zeros((0, 3), dtype=np.float32),
    'quoted "name" \\ ü': np.array([9.0], dtype=np.float32),
}
save_file(tensors, Path(__file__).with_name("safetensors.safetensors"), metadata={"format": "pt"})
