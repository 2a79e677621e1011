"""One request as a record of the log: gathered while it runs, put together in the log's own thread. docs/request-log.md."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from deployer.handler.answer import EVENTS
from deployer.handler.events import Cutter, Whole, payload
from deployer.handler.redact import Redactor

SCHEMA = 1
#: Of a stream whose text nobody wants, this much of its end is kept: the usage is in the last event.
TAIL = 16 * 1024
#: How the gateway names a request, and this process one that came without: a UUID of version 4. Clients of the gateway cannot
#: choose it; what else somebody on the host sends as a name is a text like any other.
_OWN_ID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}(?:\1)4[0-9a-f]{3}\1[89ab][0-9a-f]{3}\1[0-9a-f]{12}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"})
#: No context is near so many tokens: what an answer calls a count may then be anything, a number of somebody's card too.
_MOST_TOKENS = 100_000_000


@dataclass
class Entry:
    """What is known of a request; `full`: bodies are wanted, up to `limit` bytes each. Written by the event loop alone."""

    id: str
    method: str
    path: str
    full: bool
    limit: int
    key: str | None = None  # its name
    began: float = field(default_factory=time.monotonic)
    at: float = field(default_factory=time.time)
    status: int = 499
    first: float | None = None
    ended: float = 0.0
    request: bytes | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    kind: str = ""  # of the answer
    chunks: list[bytes] = field(default_factory=list)
    kept: int = 0
    cut: bool = False

    def sent(self, chunk: bytes) -> None:
        if self.first is None:
            self.first = time.monotonic()
        self.response_bytes += len(chunk)
        self.chunks.append(chunk)
        self.kept += len(chunk)
        most = self.limit if self.full else max(TAIL, len(chunk))
        while self.kept > most and len(self.chunks) > 1:
            self.kept -= len(self.chunks.pop(0))
            self.cut = True

    @property
    def weight(self) -> int:
        return self.kept + len(self.request or b"") + 512


class Writer:
    """Makes records of entries. Nothing that a rule names is left in what clients and models said; our own words and figures stay
    as they are, so that a record can be found and counted whatever the rules are. `known`: names of models and paths that are
    ours, though clients write them.
    """

    def __init__(self, about: Mapping[str, str], redactor: Redactor, known: Collection[str] = ()) -> None:
        self._about = dict(about)
        self._redactor = redactor
        self._known = _METHODS.union(known)

    def record(self, entry: Entry) -> dict[str, Any]:
        asked = _json(entry.request)
        answered = self._answer(entry)
        usage = _usage(answered)
        made: dict[str, Any] = {
            "schema": SCHEMA,
            "at": _at(entry.at),
            **self._about,
            "id": entry.id if _OWN_ID.fullmatch(entry.id) else self._redactor.texts(entry.id),
            "key": entry.key,
            "model": self._word(asked.get("model") if isinstance(asked, dict) else None),
            "method": self._word(entry.method),
            "route": self._word(entry.path),
            "stream": entry.kind == EVENTS,
            "status": entry.status,
            "latency_ms": round((entry.ended - entry.began) * 1000, 3),
            "first_ms": round((entry.first - entry.began) * 1000, 3) if entry.first is not None else None,
            "prompt_tokens": _count(usage, "prompt_tokens"),
            "completion_tokens": _count(usage, "completion_tokens"),
            "request_bytes": entry.request_bytes,
            "response_bytes": entry.response_bytes,
        }
        if entry.full:
            made["request"] = self._body(asked, entry.request, entry.request_bytes, entry.limit)
            made["response"] = self._body(answered, b"".join(entry.chunks), entry.response_bytes, entry.limit, cut=entry.cut)
        return made

    def _word(self, said: Any) -> str | None:
        """What a client chose. One of ours is no secret of a client, and a rule that hits it by chance is not meant."""
        if not isinstance(said, str):
            return None
        found: str = said if said in self._known else self._redactor.texts(said)
        return found

    def _answer(self, entry: Entry) -> Any:
        """Of a stream what it comes to as a whole: the same paths lead to the same things, and nothing hides across chunks."""
        text = b"".join(entry.chunks)
        if entry.kind != EVENTS:
            return None if entry.cut else _json(text)
        cutter, whole = Cutter(), Whole()
        for one in [*cutter.feed(text), *cutter.end()]:
            found = payload(one)
            if found is not None:
                whole.add(found)
        return whole.answer()

    def _body(self, value: Any, text: bytes | None, size: int, limit: int, *, cut: bool = False) -> Any:
        if not size:
            return None
        if cut or size > limit or text is None:
            return {"left_out": "too large", "bytes": size}  # of a text that is cut, a rule might miss the half of a match
        if value is not None:
            return self._redactor.texts(self._redactor.body(value))
        if self._redactor.needs_json:
            return {"left_out": "not JSON", "bytes": size}
        return self._redactor.texts(text.decode("utf-8", "replace"))


def _at(seconds: float) -> str:
    """UTC, to a millisecond."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)  # noqa: UP017  Python 3.9
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(text: bytes | None) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _usage(answer: Any) -> Any:
    return answer.get("usage") if isinstance(answer, dict) else None


def _count(usage: Any, name: str) -> int | None:
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _MOST_TOKENS else None
