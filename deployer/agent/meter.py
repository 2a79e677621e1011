"""How fast something goes and how long it will take. Used by every step that moves bytes."""

from __future__ import annotations

from collections import deque
from typing import Deque, Tuple

from deployer.agent.context import Context

WINDOW_S = 15.0


class Meter:
    """`show(done)` tells the bytes done so far, with the rate of the last seconds and the time that is left at that rate."""

    def __init__(self, ctx: Context, total: int, phase: str) -> None:
        self.total = total
        self._ctx = ctx
        self._phase = phase
        self._seen: Deque[Tuple[float, int]] = deque()

    def show(self, done: int) -> None:
        now = self._ctx.system.clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        first, before = self._seen[0]
        rate = (done - before) / (now - first) if now > first and done > before else None
        eta = (self.total - done) / rate if rate else None
        self._ctx.progress(
            done=done,
            total=self.total,
            unit="bytes",
            rate=None if rate is None else round(rate),
            eta_s=None if eta is None else round(eta, 1),
            phase=self._phase,
        )
