"""Scores in the two shapes that clients know: lists beside the text of a completion, objects per token of a chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deployer.serve.scoring import Scores

Name = Callable[[int], str]
LEAST = -9999.0  # what is impossible, as a number of JSON


def completion_logprobs(ids: Sequence[int], scores: Scores, begin: int, top: int, name: Name) -> dict[str, Any]:
    """For the tokens from `begin` on. `top_logprobs` always holds the token itself, as with vLLM."""
    names = [name(token) for token in ids[begin:]]
    offsets, at = [], 0
    for text in names:
        offsets.append(at)
        at += len(text)
    own = [_number(value) for value in scores.own[begin : len(ids)]]
    likeliest: list[dict[str, float] | None] = []
    for place in range(begin, len(ids)):
        itself = _number(scores.own[place])
        if itself is None:
            likeliest.append(None)
            continue
        table = {name(token): _clipped(value) for token, value in scores.top[place][:top]}
        table.setdefault(name(ids[place]), itself)
        likeliest.append(table)
    return {"text_offset": offsets, "token_logprobs": own, "tokens": names, "top_logprobs": likeliest}


def chat_logprobs(ids: Sequence[int], scores: Scores, begin: int, top: int, name: Name) -> dict[str, Any]:
    content = []
    for place in range(begin, len(ids)):
        own = scores.own[place]
        entry = _entry(name(ids[place]), LEAST if own is None else own)
        entry["top_logprobs"] = [_entry(name(token), value) for token, value in scores.top[place][:top]]
        content.append(entry)
    return {"content": content, "refusal": None}


def _entry(text: str, value: float) -> dict[str, Any]:
    return {"token": text, "logprob": _clipped(value), "bytes": list(text.encode("utf-8", "replace"))}


def _number(value: float | None) -> float | None:
    return None if value is None else _clipped(value)


def _clipped(value: float) -> float:
    return value if value > LEAST else LEAST
