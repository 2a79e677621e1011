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


def faults(top: Path, files: Iterable[LockedFile]) -> list[tuple[str, str]]:
    """(file, what is wrong) of weights in safetensors that no engine will load: a header that is damaged, shards that an index
    names and that are not there. What an engine would not load is not looked at.
    """
    by_path = {file.path: file for file in files}
    chosen = [path for path in sorted(select(by_path)) if "/" not in path]
    found = []
    for path in chosen:
        if path.endswith(".safetensors"):
            found += [(path, str(why)) for why in _fault(top / path, by_path[path].size)]
        elif path.endswith(".safetensors.index.json"):
            found += [(path, why) for why in _missing(top / path, by_path)]
    return found


def _fault(path: Path, size: int) -> list["_Damaged"]:
    try:
        _read(path, size)
    except _Damaged as why:
        return [why]
    return []


def _missing(index: Path, there: Mapping[str, LockedFile]) -> list[str]:
    try:
        said = json.loads(index.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return [f"it is not JSON: {error}"]
    shards = said.get("weight_map") if isinstance(said, dict) else None
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        return ["it has no weight_map of files"]
    lost = sorted(set(shards.values()) - set(there))
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return [f"it names {', '.join(lost[:3])}{more}, not there"] if lost else []


class _Damaged(Exception):
    """Why a file of safetensors cannot be loaded."""


def _header(path: Path, size: int) -> dict[str, int] | None:
    try:
        return _read(path, size)
    except _Damaged:
        return None


def _read(path: Path, size: int) -> dict[str, int]:
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _BIGGEST_HEADER:
                raise _Damaged(f"its header would be {length} bytes, and the format allows {_BIGGEST_HEADER}")
            if not 2 <= length <= size - 8:
                raise _Damaged(f"its header would be {length} bytes, and the file has {size}")
            said = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError) as error:
        raise _Damaged(f"its header cannot be read: {error}") from None
    if not isinstance(said, dict):
        raise _Damaged("its header is no JSON object")
    return _bytes(said, size - 8 - length)


def _bytes(header: Mapping[str, Any], room: int) -> dict[str, int]:
    """Bytes by type. Raises _Damaged unless every tensor lies inside the file and together they are not more than it holds."""
    found: Counter[str] = Counter()
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(o) is int for o in offsets):
            raise _Damaged(f"the tensor {name[:80]!r} has no place in it")
        begin, end = offsets
        kind = tensor.get("dtype")
        if not isinstance(kind, str) or kind not in _BITS:
            raise _Damaged(f"the tensor {name[:80]!r} is of the unknown type {str(kind)[:40]}")
        if not 0 <= begin <= end <= room:
            raise _Damaged(f"the tensor {name[:80]!r} ends at byte {end} of {room}: the file is cut off")
        found[kind] += end - begin
    if sum(found.values()) > room:
        raise _Damaged("its tensors lie over each other")
    return dict(found)
