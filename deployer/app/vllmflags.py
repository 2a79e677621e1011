"""The arguments of a hand-made `vllm serve` as fields of a deployment. Pure. Called by app.adopting.

What is not understood is said, never dropped: each flag lands in a field, in `args`, or in a sentence.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployer.engines.vllm_args import RESERVED, check_argument
from deployer.engines.vllm_flags import ALIASES, Flag, flags, minor
from deployer.engines.vllm_settings import TESTED

HIDDEN = "•••"
_FIELDS = {
    "dtype": "dtype",
    "max-model-len": "max_model_len",
    "quantization": "quantization",
    "kv-cache-dtype": "kv_cache_dtype",
    "gpu-memory-utilization": "gpu_memory_utilization",
    "tensor-parallel-size": "tensor_parallel",
    "pipeline-parallel-size": "pipeline_parallel",
}
_SHORT = {"-tp": "tensor-parallel-size", "-pp": "pipeline-parallel-size", "-q": "quantization"}
#: Said once, by what takes their place.
_OURS = {
    "host": "clients come through the gateway",
    "port": "deployer gives it a port of the host's range; clients come through the gateway",
    "api-key": f"its value was not read; make one for clients: deployer keys create NAME ({RESERVED['api-key']})",
    "hf-token": "its value was not read; write model.token: {env: HF_TOKEN}",
}
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(slots=True)
class Read:
    """`model` is a folder of the host, or a repository of the hub. `left`: what a person must look at."""

    model: str | None = None
    revision: str | None = None
    engine: dict[str, Any] = field(default_factory=dict)
    batch: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    port: str | None = None
    left: list[str] = field(default_factory=list)


def is_vllm(argv: Sequence[str]) -> bool:
    return _start(argv) is not None


def _start(argv: Sequence[str]) -> int | None:
    """Where its arguments begin: behind `vllm serve` or the module."""
    for number, word in enumerate(argv):
        if word.rpartition("/")[2] == "vllm" and argv[number + 1 : number + 2] == ["serve"]:
            return number + 2
        if word == "vllm.entrypoints.openai.api_server":
            return number + 1
    return None


def read(argv: Sequence[str], version: str = TESTED["cuda"]) -> Read:
    found = Read()
    words = list(argv[_start(argv) or 0 :])
    if words and not words[0].startswith("-"):
        found.model = words.pop(0)
    known = flags(minor(version))
    for name, values, said in _options(words, known, found.left):
        _take(found, version, known, name, values, said)
    return found


def _options(words: list[str], known: Any, left: list[str]) -> Iterator[tuple[str, list[str], str]]:
    """(name without dashes, its values, as it was written)."""
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            left.append(f"{word}: it belongs to no option")
            continue
        said, equals, value = word.partition("=")
        name = _SHORT.get(said, said.removeprefix("--").replace("_", "-"))
        name = ALIASES.get(name, name)
        flag = known.get(name) or known.get(name.removeprefix("no-"))
        values = [value] if equals else []
        if not equals and (flag is None or flag.kind not in ("switch", "true")):
            while words and not _option(words[0]) and (not values or (flag is not None and flag.many)):
                values.append(words.pop(0))
        yield name, values, said


def _option(word: str) -> bool:
    return word.startswith("-") and not re.fullmatch(r"-\d+(\.\d+)?", word)


def _take(found: Read, version: str, known: Any, name: str, values: list[str], said: str) -> None:
    value = values[0] if values else ""
    if name in ("model", "revision", "port"):
        setattr(found, name, value)
        if name == "port":
            found.left.append(f"{said} {value}: {_OURS['port']}")
    elif name in _OURS:
        found.left.append(f"{said}: {_OURS[name]}")
    elif name == "served-model-name":
        found.names = values
    elif name == "max-num-seqs" and value.isdigit():
        found.batch["max_size"] = int(value)
    elif name in _FIELDS:
        found.engine[_FIELDS[name]] = _typed(known.get(name), value)
    elif name in RESERVED:
        found.left.append(f"{' '.join([said, *values])}: {RESERVED[name]}")
    else:
        _argument(found, version, known, name, values, said)


def _argument(found: Read, version: str, known: Any, name: str, values: list[str], said: str) -> None:
    off = name.startswith("no-") and name[3:] in known
    name = name[3:] if off else name
    flag = known.get(name)
    if flag is None or HIDDEN in values:
        found.left.append(
            f"{' '.join([said, *values])}: {'its value was not read' if flag else f'vLLM {version} has no such option'}"
        )
        return
    if flag.kind in ("switch", "true") and not values:
        value: Any = not off
    elif flag.many:
        value = [_typed(flag, one) for one in values]
    else:
        value = _typed(flag, values[0] if values else "")
    wrong = check_argument(version, name, value)
    if wrong is not None:
        found.left.append(f"{' '.join([said, *values])}: {wrong[0]}{f' ({wrong[1]})' if wrong[1] else ''}")
    else:
        found.engine.setdefault("args", {})[name.replace("-", "_")] = value


def _typed(flag: Flag | None, text: str) -> Any:
    kind = flag.kind if flag is not None else "text"
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "json":
            return json.loads(text)
        if kind == "size":
            return int(float(text[:-1]) * _UNITS[text[-1]]) if text and text[-1] in _UNITS else int(text)
    except ValueError:
        pass
    return {"true": True, "false": False}.get(text.lower(), text) if kind in ("switch", "true") else text
