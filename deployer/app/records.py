"""A record of the request log (docs/request-log.md), for people: read from its line of JSON, with its figures in words. Used by
`deployer logs --requests` and by the terminal UI.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """`took`: "812 ms (first 41)"; `tokens`: "31+120 tokens", empty where the answer does not say. `whole`: all of it."""

    at: str
    id: str
    status: int
    route: str
    took: str
    tokens: str
    whole: Mapping[str, Any]


def read(text: str) -> Record | None:
    """None: it is none, such as a line that was cut when its process was killed."""
    try:
        whole = json.loads(text)
        return Record(
            at=_plain(str(whole["at"])),
            id=_plain(str(whole["id"])),
            status=int(whole["status"]),
            route=_plain(str(whole["route"])),
            took=_took(whole),
            tokens=_tokens(whole),
            whole=whole,
        )
    except (ValueError, KeyError, TypeError):
        return None


def _plain(said: str) -> str:
    """A client chooses its path and the request's id: what would move a terminal is shown as something unknown."""
    return "".join(char if char.isprintable() else "\ufffd" for char in said)


def _took(whole: Mapping[str, Any]) -> str:
    first = f" (first {whole['first_ms']:.0f})" if whole.get("stream") and whole.get("first_ms") is not None else ""
    return f"{whole['latency_ms']:.0f} ms{first}"


def _tokens(whole: Mapping[str, Any]) -> str:
    made = whole.get("completion_tokens")
    return "" if made is None else f"{whole.get('prompt_tokens')}+{made} tokens"
