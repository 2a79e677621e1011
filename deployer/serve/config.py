"""The file that `--config` names: what to serve, where, and the defaults of a request that does not say."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.serve.errors import ApiError, ConfigError
from deployer.serve.kinds import GENERATOR, KINDS
from deployer.serve.sampling import Defaults, parse_defaults


@dataclass(frozen=True)
class Config:
    """One server. `max_model_len` in tokens, None: what the tokenizer's configuration says; `max_positions`: what the model has
    at most. `pooling` and `normalize` are for encoders, None: as the repository states. The languages
    are those of a request that names none; `family` is the model's in transformers ("Marian"), None: nobody said.
    """

    model_dir: str
    model_names: tuple[str, ...]
    port: int
    host: str = "127.0.0.1"
    device: str = "cpu"
    device_index: tuple[int, ...] = (0,)
    compute_type: str = "default"
    inter_threads: int = 1
    intra_threads: int = 0
    kind: str = GENERATOR
    pooling: str | None = None
    normalize: bool | None = None
    source_language: str | None = None
    target_language: str | None = None
    family: str | None = None
    max_model_len: int | None = None
    max_positions: int | None = None
    max_batch_size: int = 16
    max_wait_ms: float = 100.0  # for others to share a batch; a moment without a new one ends it sooner
    max_queue: int = 256
    max_body_bytes: int = 8 * 1024 * 1024
    shutdown_timeout_s: float = 30.0
    deadline_s: float = 0.0  # from a request's arrival to the end of its answer; 0: as long as it takes
    log_requests: bool = True
    sampling: Defaults = field(default_factory=Defaults)


def load_config(path: str) -> Config:
    """Raises ConfigError with the path and the key that is wrong."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: an object is wanted")
    try:
        return parse_config(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(data: dict[str, Any]) -> Config:
    known = {f.name: f for f in dataclasses.fields(Config)}
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r}; known are {', '.join(known)}")
    values: dict[str, Any] = {}
    for name in known:
        if name in data and data[name] is not None:
            values[name] = _value(name, data[name])
    for name in ("model_dir", "model_names", "port"):
        if name not in values:
            raise ConfigError(f"{name} is missing")
    return Config(**values)


_STRINGS = ("model_dir", "host", "device", "compute_type", "pooling", "source_language", "target_language", "family")
_LEAST = {"port": 0, "inter_threads": 1, "intra_threads": 0, "max_model_len": 2, "max_batch_size": 1, "max_queue": 1}
_SECONDS = ("max_wait_ms", "shutdown_timeout_s", "deadline_s")


def _value(name: str, value: Any) -> Any:
    if name == "sampling":
        return _sampling(value)
    if name == "model_names":
        return _tuple(name, value, str)
    if name == "device_index":
        return _tuple(name, value if isinstance(value, list) else [value], int)
    if name in _STRINGS:
        return _typed(name, value, str)
    if name == "kind":
        return _kind(value)
    if name in ("log_requests", "normalize"):
        return _typed(name, value, bool)
    if name in _SECONDS:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 86_400_000:
            raise ConfigError(f"{name}: a number, zero or more, is wanted, not {value!r}")
        return float(value)
    number = _typed(name, value, int)
    if number < _LEAST.get(name, 1):
        raise ConfigError(f"{name}: {number} is too small, at least {_LEAST.get(name, 1)}")
    return number


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ConfigError(f"kind: one of {', '.join(KINDS)} is wanted, not {value!r}")
    return str(value)


def _typed(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{name}: {kind.__name__} is wanted, not {value!r}")
    return value


def _tuple(name: str, value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{name}: a list that is not empty is wanted")
    return tuple(_typed(name, item, kind) for item in value)


def _sampling(value: Any) -> Defaults:
    if not isinstance(value, dict):
        raise ConfigError("sampling: an object is wanted")
    try:
        return parse_defaults(value)
    except ApiError as error:
        raise ConfigError(f"sampling.{error.message}") from None
