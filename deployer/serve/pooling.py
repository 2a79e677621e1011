"""How the tokens' vectors become one: as the repository states it in the files of sentence-transformers, or as the deployment
says. Nothing is guessed: two poolings of one model are two different models.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deployer.serve.errors import ConfigError

#: Modes of sentence-transformers' Pooling module, in the order in which it puts several side by side.
MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


@dataclass(frozen=True)
class Pooling:
    """`prompt` is put before every text, `limit` the most tokens of one; None: the repository says nothing."""

    modes: tuple[str, ...]
    normalize: bool
    prompt: str | None = None
    limit: int | None = None

    def pool(self, hidden: Any, lengths: Sequence[int]) -> list[Any]:
        """One float32 vector for each row of (batch, tokens, size)."""
        return [self._row(hidden[number, :length]) for number, length in enumerate(lengths)]

    def _row(self, tokens: Any) -> Any:
        parts = [_MODES[mode](tokens) for mode in self.modes]
        vector = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if self.normalize:
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return vector.astype(np.float32, copy=False)


def _weighted(tokens: Any) -> Any:
    weights = np.arange(1, len(tokens) + 1, dtype=np.float32)
    return weights @ tokens / weights.sum()


_MODES: dict[str, Any] = {
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "mean": lambda tokens: tokens.mean(axis=0),
    "mean_sqrt_len": lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    "weightedmean": _weighted,
    "lasttoken": lambda tokens: tokens[-1],
}


def read_pooling(root: Path, mode: str | None, normalize: bool | None) -> Pooling:
    """`mode` and `normalize` are the deployment's words, which go before the repository's. Raises ConfigError."""
    stated, limit = _Stated(), None
    if (root / "modules.json").is_file():
        stated = _stated(root)
        limit = _whole(_object(root / "sentence_bert_config.json").get("max_seq_length"))
    modes = (mode,) if mode else stated.modes
    if not modes:
        what = f"{root}: modules.json does not say how the tokens' vectors are pooled"
        raise ConfigError(f"{what}; say it: pooling: mean or cls, as the model's card says")
    prompt = _prompt(root)
    if prompt and not stated.include_prompt:
        raise ConfigError(f"{root}: its prompt is not to be pooled (include_prompt: false), which is not supported")
    return Pooling(modes, stated.normalize if normalize is None else normalize, prompt, limit)


@dataclass(frozen=True)
class _Stated:
    modes: tuple[str, ...] = ()
    normalize: bool = False
    include_prompt: bool = True


def _stated(root: Path) -> _Stated:
    """What modules.json says: a transformer, its pooling, perhaps a normalisation. Anything else changes the vectors."""
    path = root / "modules.json"
    modules = _json(path)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise ConfigError(f"{path}: a list of modules is wanted")
    found = _Stated()
    for number, module in enumerate(modules):
        name = str(module.get("type", "")).rsplit(".", 1)[-1]
        if name == "Pooling":
            config = _object(root / str(module.get("path", "")) / "config.json")
            found = _Stated(_modes(config), found.normalize, config.get("include_prompt") is not False)
        elif name == "Normalize":
            found = _Stated(found.modes, True, found.include_prompt)
        elif name != "Transformer" or number:
            raise ConfigError(f"{path}: the module {name} is not supported: Transformer, Pooling and Normalize are")
    return found


def _modes(config: dict[str, Any]) -> tuple[str, ...]:
    said = config.get("pooling_mode")  # as newer versions write it
    if said is not None:
        modes = tuple(said) if isinstance(said, list) else (said,)
    else:
        modes = tuple(mode for mode, key in MODES.items() if config.get(key) is True)
    for mode in modes:
        if mode not in MODES:
            raise ConfigError(f"the pooling {mode!r} is not known; known are {', '.join(MODES)}")
    return modes


def _prompt(root: Path) -> str | None:
    config = _object(root / "config_sentence_transformers.json")
    prompts, name = config.get("prompts"), config.get("default_prompt_name")
    text = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    return text if isinstance(text, str) and text else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _object(path: Path) -> dict[str, Any]:
    data = _json(path) if path.is_file() else {}
    return data if isinstance(data, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from None
