"""A safetensors file of float32 arrays, for models that tests and benchmarks make."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_safetensors(target: Path, weights: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
    header, at = dict[str, Any](), 0
    for name, value in weights.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in weights.values():
            file.write(value.tobytes())
