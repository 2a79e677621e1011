"""The two ends of a verb: lines in from the controller, lines out to it."""

from __future__ import annotations

import json
import queue
import threading
from typing import Any, BinaryIO, Dict, Iterator, Optional

from deployer.agent.paths import Refusal
from deployer.agent.plain import plain_values

LINE_LIMIT = 64 << 20


class Hungup(Exception):
    """Nobody reads what we say any more."""


class Talk:
    """`say` may be called by several threads."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._in = stdin
        self._out = stdout
        self._lock = threading.Lock()

    def request(self) -> Dict[str, Any]:
        """The first line: a JSON object. Raises Refusal."""
        line = self._in.readline(LINE_LIMIT)
        try:
            asked = json.loads(line)
        except ValueError:
            raise Refusal("the request is not one line of JSON") from None
        if not isinstance(asked, dict):
            raise Refusal("the request is not a JSON object")
        return asked

    def read(self, size: int) -> bytes:
        return self._in.read(size)

    def say(self, line: Dict[str, Any]) -> None:
        """What a probe tells is compared, and comes as it is."""
        line = line if line.get("type") == "probe" else plain_values(line)
        self.send(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def send(self, data: bytes) -> None:
        """Raw bytes, which the line before them announced."""
        try:
            with self._lock:
                self._out.write(data)
                self._out.flush()
        except (OSError, ValueError) as error:
            raise Hungup from error

    def words(self) -> "Words":
        return Words(self._in)


class Words:
    """Lines that may come at any time, read by a thread of their own. `ended`: the controller has closed its end."""

    def __init__(self, stdin: BinaryIO) -> None:
        self.ended = False
        self._in = stdin
        self._queue: "queue.SimpleQueue[Dict[str, Any]]" = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in _lines(self._in):
            try:
                word = json.loads(line)
            except ValueError:
                continue
            if isinstance(word, dict):
                self._queue.put(word)
        self.ended = True

    def next(self) -> Optional[Dict[str, Any]]:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            line = stream.readline(LINE_LIMIT)
        except (OSError, ValueError):
            return
        if not line:
            return
        yield line
