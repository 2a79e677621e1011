"""What a request wants back beside the text: how many answers, its own prompt, probabilities of tokens, special tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.serve.errors import bad

MOST_ANSWERS = 128
MOST_TOP = 20


@dataclass(frozen=True)
class Output:
    """`top`: so many of the likeliest tokens beside each one's own probability; None: no probabilities."""

    n: int = 1
    echo: bool = False
    top: int | None = None
    special: bool = False  # special tokens are part of the text
    truncate: int | None = None  # only so many tokens of the prompt's end; -1: as many as the context holds

    @property
    def wants_scores(self) -> bool:
        return self.top is not None


def parse_output(body: Mapping[str, Any], *, chat: bool, stream: bool) -> Output:
    """Raises ApiError that names the field."""
    top = _chat_top(body) if chat else _whole(body, "logprobs", 0, MOST_TOP)
    if top is not None and stream:
        name = "logprobs"
        raise bad(name, "not with stream: true; this engine's probabilities are computed when the answer is complete")
    n = _whole(body, "n", 1, MOST_ANSWERS) or 1
    best_of = _whole(body, "best_of", 1, MOST_ANSWERS)
    if best_of not in (None, n):
        raise bad("best_of", "not supported by this engine: n answers are all that are made")
    return Output(
        n=n,
        echo=flag(body, "echo", False),
        top=top,
        special=not flag(body, "skip_special_tokens", True),
        truncate=_whole(body, "truncate_prompt_tokens", -1, 2**31 - 1),
    )


def _chat_top(body: Mapping[str, Any]) -> int | None:
    wanted = flag(body, "logprobs", False)
    top = _whole(body, "top_logprobs", 0, MOST_TOP)
    if top and not wanted:
        raise bad("top_logprobs", "only with logprobs: true")
    return (top or 0) if wanted else None


def flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad(name, "true or false is wanted")
    return value


def _whole(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None or (name == "logprobs" and value is False):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad(name, f"a whole number from {low} to {high} is wanted")
    return value
