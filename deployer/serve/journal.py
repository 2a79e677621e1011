"""What the server writes to its standard output: lines that begin with `serve:` for people and for the deployer that waits
for the start, and one JSON line per request. Never a prompt, never an answer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from deployer.serve.request import Job
from deployer.serve.row import Row

_VANISHED = "socket.send() raised exception."


def say(message: str) -> None:
    _write("serve: " + " ".join(message.split("\n")))


def _write(line: str) -> None:
    """Straight to the descriptor: Python's own stdout must not be used in a signal handler that interrupted a write to it."""
    data = (line + "\n").encode("utf-8", "replace")
    with contextlib.suppress(OSError):  # nobody reads the log: that is no reason to fail a request
        while data:
            data = data[os.write(1, data) :]


def silent_about_the_vanished() -> None:
    """asyncio warns of each write to a connection that broke, until it has told us: dozens for a client that is gone from the
    middle of a stream. That request's own line says that it was aborted.
    """
    logging.getLogger("asyncio").addFilter(lambda record: record.msg != _VANISHED)


class Entry:
    """One request, from its first byte to its last."""

    def __init__(self, path: str, enabled: bool) -> None:
        self._began = time.monotonic()
        self._path = path
        self._enabled = enabled
        self._id: str | None = None
        self._job: Job | None = None
        self._rows: Sequence[Row] = ()
        self.status = 200
        self.error: str | None = None

    def accepted(self, answer_id: str, job: Job, rows: Sequence[Row]) -> None:
        self._id, self._job, self._rows = answer_id, job, rows

    def close(self) -> None:
        if self._enabled:
            _write(json.dumps(self._facts()))

    def _facts(self) -> dict[str, Any]:
        now = time.monotonic()
        facts: dict[str, Any] = {
            "event": "request",
            "at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),  # noqa: UP017  Python 3.9
            "id": self._id,
            "path": self._path,
            "status": self.status,
            "total_ms": round(1000 * (now - self._began), 1),
        }
        if self.error is not None:
            facts["error"] = self.error
        if self._job is not None and self._rows:
            row, prompt = self._rows[0], sum(len(prompt.ids) for prompt in self._job.prompts)
            facts.update(model=self._job.model_name, stream=self._job.stream, answers=len(self._rows), prompt_tokens=prompt)
            facts.update(completion_tokens=sum(row.tokens for row in self._rows), finish_reason=row.reason)
            facts.update(queue_ms=_since(row.started, row.arrived), ttft_ms=_since(row.first, row.arrived))
        return facts


class Journal:
    """`log_requests: false` in the configuration keeps it silent about requests."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    def open(self, path: str) -> Entry:
        return Entry(path, self._enabled)


def _since(moment: float | None, start: float) -> float | None:
    return None if moment is None else round(1000 * (moment - start), 1)
