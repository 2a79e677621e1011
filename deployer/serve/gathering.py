"""How long a batch waits for requests that are on their way. Used by both kinds of batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

GAP_S = 0.02  # nobody has come for so long: those who are there begin


class Gathering:
    """A batch begins at once with as many as were here the last time, with fewer when nobody has come for a moment, and with
    whoever is there after `longest_s`. All calls are made holding `changed`; `waiting` and `present` count what waits, and what
    waits or runs.
    """

    def __init__(
        self,
        changed: threading.Condition,
        *,
        size: int,
        longest_s: float,
        waiting: Callable[[], int],
        present: Callable[[], int],
        closed: Callable[[], bool],
    ) -> None:
        self._changed, self._size, self._longest_s = changed, size, longest_s
        self._waiting, self._present, self._closed = waiting, present, closed
        self._peak = 1  # the most that waited or ran at once since the last batch began

    def came(self) -> None:
        """Somebody joined those who wait."""
        self._peak = max(self._peak, self._present())

    def wait(self) -> None:
        now = time.monotonic()
        until, quiet, seen = now + self._longest_s, now + GAP_S, self._waiting()
        while self._waiting() < self._size and self._present() < self._peak and not self._closed():
            left = min(until, quiet) - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)
            if self._waiting() > seen:
                seen, quiet = self._waiting(), time.monotonic() + GAP_S
        self._peak = max(1, self._present())
