"""What the process is told: one JSON file, written by engines/front.py. The contract between the two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from deployer.handler.requestlog import LogConfig


class ConfigError(Exception):
    """The configuration cannot be used; the text is for people."""


@dataclass(frozen=True)
class Upstream:
    """The engine: what starts it, and where it then listens. `stop_timeout_s`: how long it may take to end."""

    argv: tuple[str, ...]
    host: str
    port: int
    ready_path: str
    stop_signal: str = "SIGTERM"
    stop_timeout_s: float = 30.0


@dataclass(frozen=True)
class Config:
    """`scripts`: the directory of the user's files; `predictor` and `transformer` are names in it. With a predictor there is
    no `upstream`. `env` is for the scripts alone: the engine does not get it. `threads`: calls of functions that are not
    async, at the same time.
    """

    deployment: str
    port: int
    host: str = "127.0.0.1"
    replica: str = ""
    revision: str = ""
    upstream: Upstream | None = None
    predictor: str | None = None
    transformer: str | None = None
    scripts: str = ""
    model: str = ""
    model_names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    threads: int = 16
    env: Mapping[str, str] = field(default_factory=dict)
    max_body_bytes: int = 64 << 20
    drain_timeout_s: float = 30.0
    log: LogConfig | None = None

    def variables(self) -> dict[str, str]:
        """What the scripts find in their environment."""
        return {
            "MODEL_FILES_PATH": self.model,
            "ARTIFACT_FILES_PATH": self.scripts,
            "DEPLOYMENT_NAME": self.deployment,
            "REVISION": self.revision,
            **self.env,
        }


def load_config(path: str) -> Config:
    """Raises ConfigError."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    return config_of(data)


def config_of(data: Any) -> Config:
    """From plain JSON values; what is not known is refused, so that nothing is ignored silently."""
    given = _given(Config, data, "the configuration")
    if given.get("upstream") is not None:
        upstream = _given(Upstream, given["upstream"], "upstream")
        given["upstream"] = Upstream(**{**upstream, "argv": tuple(upstream["argv"])})
    if given.get("log") is not None:
        log = _given(LogConfig, given["log"], "log")
        given["log"] = LogConfig(**{**log, "redact": tuple(log.get("redact", ()))})
    for name in ("model_names", "paths"):
        given[name] = tuple(given.get(name, ()))
    if (given.get("upstream") is None) == (given.get("predictor") is None):
        raise ConfigError("one of upstream and predictor is wanted")
    return Config(**given)


def _given(kind: Any, data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f"{what} is not a mapping")
    unknown = sorted(set(data) - {one.name for one in fields(kind)})
    if unknown:
        raise ConfigError(f"{what} has no {', '.join(unknown)}")
    return dict(data)
