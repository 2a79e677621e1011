"""Bytes of a model's tensors by type, from safetensors headers or from a hub's count of them. Called by hub.py and
folder.py. What is corrupt, huge or contradicts the files' sizes is left out: "not known", never a guess.

The header is a length of eight bytes, little endian, and as many bytes of JSON that give each tensor's type and its
offsets in the rest of the file (the safetensors format, github.com/huggingface/safetensors).
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deployer.lock.selection import select
from deployer.state.locked import LockedFile

_BIGGEST_HEADER = 100 * 1024 * 1024  # the format's own limit
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    "F4": 4,
}
#: Headers and padding are all that a file holds besides its tensors.
_ROOM = 0.02


def counted(parameters: Any, weights_bytes: int | None) -> dict[str, int]:
    """From a hub's number of parameters by type; {} when it does not agree with the files' sizes to 2 %."""
    if not isinstance(parameters, Mapping) or not weights_bytes:
        return {}
    found: dict[str, int] = {}
    for name, number in parameters.items():
        bits = _BITS.get(name)
        if bits is None or not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return {}
        found[name] = number * bits // 8
    return found if abs(sum(found.values()) - weights_bytes) <= _ROOM * weights_bytes else {}


def in_folder(top: Path, files: Iterable[LockedFile]) -> dict[str, int]:
    """From the headers of the files that an engine would load; {} when there are none or one cannot be read. What lies in
    folders below is left out: adapters, other models.
    """
    found: Counter[str] = Counter()
    by_path = {file.path: file for file in files}
    for path in sorted(select(by_path)):
        if not path.endswith(".safetensors") or "/" in path:
            continue
        file = by_path[path]
        header = _header(top / file.path, file.size)
        if header is None:
            return {}
        found.update(header)
    return dict(found)


def _header(path: Path, size: int) -> dict[str, int] | None:
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(_BIGGEST_HEADER, size - 8):
                return None
            said = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError):
        return None
    return _bytes(said, size - 8 - length) if isinstance(said, dict) else None


def _bytes(header: Mapping[str, Any], room: int) -> dict[str, int] | None:
    """Bytes by type; None unless every tensor lies inside the file and together they are not more than it holds."""
    found: Counter[str] = Counter()
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(o) is int for o in offsets):
            return None
        begin, end = offsets
        if tensor.get("dtype") not in _BITS or not 0 <= begin <= end <= room:
            return None
        found[tensor["dtype"]] += end - begin
    return dict(found) if sum(found.values()) <= room else None
