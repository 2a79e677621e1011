"""The request log: entries wait in a bounded queue, a thread of its own redacts, writes and counts. A request never waits."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from deployer.handler.counters import Counters
from deployer.handler.journal import say
from deployer.handler.record import Entry, Writer

MOST_RECORDS = 10_000
MOST_BYTES = 64 << 20
#: How often a sink that fails is spoken of, in seconds.
SAID_S = 60.0


@dataclass(frozen=True)
class LogConfig:
    """`sink`: journald, file or kafka; `file` and `kafka` are that sink's own settings."""

    requests: str = "metadata"
    sink: str = "journald"
    sample: float = 1.0
    redact: tuple[str, ...] = ()
    max_body: int = 256 * 1024
    file: dict[str, Any] = field(default_factory=dict)
    kafka: dict[str, Any] = field(default_factory=dict)


class Sink(Protocol):
    """Where records go. `write` may wait, and may raise; it is called from one thread."""

    def write(self, line: str, record: dict[str, Any]) -> None: ...

    def close(self, wait_s: float) -> None: ...


class RequestLog:
    def __init__(self, config: LogConfig, writer: Writer, sink: Sink, counters: Counters) -> None:
        self._config, self._writer, self._sink, self._counters = config, writer, sink, counters
        self._waiting: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._in_bytes = self._out_bytes = self._in = self._out = 0  # each written by one thread alone
        self._said = -SAID_S
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def open(self, method: str, path: str, request_id: str | None, key: str | None = None) -> Entry | None:
        """None for a request that is not in the sample."""
        if self._config.sample < 1.0 and random.random() >= self._config.sample:
            return None
        full = self._config.requests == "full"
        return Entry(request_id or uuid.uuid4().hex, method, path, full, self._config.max_body, key or None)

    def close_entry(self, entry: Entry, status: int) -> None:
        """The request has ended. Never waits: what does not fit is counted and lost."""
        entry.status, entry.ended = status, time.monotonic()
        weight = entry.weight
        if self._in - self._out >= MOST_RECORDS or self._in_bytes - self._out_bytes + weight > MOST_BYTES:
            self._counters.dropped["queue"] += 1
            return
        self._in += 1
        self._in_bytes += weight
        self._waiting.put(entry)

    def close(self, wait_s: float = 5.0) -> None:
        """What waits is written, as far as the time goes."""
        until = time.monotonic() + wait_s
        self._waiting.put(None)
        self._thread.join(wait_s)
        left = self._in - self._out
        if left:
            say(f"request log: {left} records were not written before the end")
        self._sink.close(max(0.1, until - time.monotonic()))

    def _run(self) -> None:
        while (entry := self._waiting.get()) is not None:
            weight = entry.weight
            try:
                record = self._writer.record(entry)
                self._sink.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")), record)
                self._counters.logged += 1
            except Exception as error:  # noqa: BLE001  a record that cannot be written must not end the log
                self._counters.dropped["sink"] += 1
                self._complain(error)
            self._out_bytes += weight
            self._out += 1

    def _complain(self, error: Exception) -> None:
        """The kind of the error alone where it may quote what was to be written."""
        if time.monotonic() - self._said >= SAID_S:
            self._said = time.monotonic()
            why = f"{error.strerror}" if isinstance(error, OSError) else type(error).__name__
            say(f"request log: a record cannot be written to {self._config.sink}: {why}")
