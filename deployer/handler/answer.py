"""An answer on its way to the client, whole or as it comes, and the errors in the shape that OpenAI's clients read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass
class Answer:
    """Either `body`, or `chunks` that are sent as they come. `close` lets go of where they come from, also when the client
    went away before the first; it may be called twice.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    close: Callable[[], None] = lambda: None

    @property
    def is_json(self) -> bool:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower() == JSON


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": JSON}, dumped(value))


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + dumped(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Problem(Exception):
    """A request that ends here, with an answer of its own."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}

    def answer(self) -> Answer:
        return json_answer(self.body(), self.status)
