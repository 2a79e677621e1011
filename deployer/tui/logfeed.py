"""The log of a deployment as it comes, for a window that is drawn ten times a second at most: a thread reads, the window takes
what has come. Nothing comes twice when it is begun again. Used by the tab of logs.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from deployer.app.values import LogLine, LogStream
from deployer.errors import DeployerError

#: How long after its end a feed is begun again by itself. Seconds.
AGAIN_S = 5.0
#: Lines that may wait to be taken. When more come the oldest of them are left out.
WAITING = 20_000


class LogFeed:
    """`open_stream` is called in the thread, with what a lost host is told to. `said` is the last thing that went wrong."""

    def __init__(self, open_stream: Callable[[Callable[[str, DeployerError], None]], LogStream]) -> None:
        self.said: DeployerError | None = None
        self._open_stream = open_stream
        self._guard = threading.Lock()
        self._waiting: list[LogLine] = []
        self._newest: dict[str, tuple[str, set[str]]] = {}  # by unit: the time of its last line, and its texts of that time
        self._stream: LogStream | None = None
        self._reading: Any = None  # whose lines are taken; another one means that this one is over
        self._ended: float | None = None

    def begin(self) -> None:
        """Ends the stream before it, if there is one."""
        self.end()
        mine = object()
        with self._guard:
            self._reading, self._ended, self.said = mine, None, None
        threading.Thread(target=self._read, args=(mine,), name="ui-logs", daemon=True).start()

    def end(self) -> None:
        """Here and on the hosts."""
        with self._guard:
            self._reading = None
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    @property
    def over(self) -> bool:
        """It ended by itself a while ago: the hosts were lost, or nothing is there yet."""
        return self._reading is not None and self._ended is not None and time.monotonic() - self._ended > AGAIN_S

    def take(self) -> list[LogLine]:
        """What has come since the last time."""
        with self._guard:
            taken, self._waiting = self._waiting, []
        return taken

    def _read(self, mine: object) -> None:
        try:
            stream = self._open_stream(lambda host, error: self._lost(mine, error))
            with self._guard:
                current = self._reading is mine
                if current:
                    self._stream = stream
            if not current:
                stream.close()
            for one in stream:
                self._add(mine, one)
        except DeployerError as error:
            self._lost(mine, error)
        finally:
            with self._guard:
                if self._reading is mine:
                    self._ended = time.monotonic()

    def _lost(self, mine: object, error: DeployerError) -> None:
        with self._guard:
            if self._reading is mine:
                self.said = error

    def _add(self, mine: object, one: LogLine) -> None:
        with self._guard:
            at, texts = self._newest.get(one.unit, ("", set()))
            if self._reading is not mine or one.at < at or (one.at == at and one.text in texts):
                return
            self._newest[one.unit] = (one.at, {one.text} if one.at > at else texts | {one.text})
            self._waiting.append(one)
            if len(self._waiting) > WAITING:
                del self._waiting[: WAITING // 2]
