"""How time passes for the agent's `watch` on a simulated host: each interval is as long as was asked by the host's clock and
a moment in the real world, so that figures per second are the same at every run.
"""

import threading

#: Real seconds that a held watcher waits before it looks whether its connection is still there.
_LOOK_S = 0.2


class Beats:
    """`real_s`: what one interval takes in the real world, in seconds. Each watcher's thread has a clock of its own."""

    def __init__(self) -> None:
        self.real_s = 0.05
        self._allowed: int | None = None  # None: they pass by themselves
        self._change = threading.Condition()
        self._mine = threading.local()

    def clock(self, otherwise: float) -> float:
        """The watcher's own time; that of the machine for everybody else."""
        return float(getattr(self._mine, "now", otherwise))

    def wait(self, seconds: float, now: float) -> None:
        """One interval. When beats are held and none comes, no time has passed."""
        self._mine.now = now
        with self._change:
            if self._allowed is None:
                self._change.wait_for(lambda: self._allowed is not None, self.real_s)
                if self._allowed is None:
                    self._mine.now += seconds
                    return
            taken = getattr(self._mine, "taken", 0)
            if self._change.wait_for(lambda: self._allowed is None or taken < self._allowed, _LOOK_S):
                self._mine.taken = taken + 1 if self._allowed is not None else 0
                self._mine.now += seconds

    def hold(self) -> None:
        with self._change:
            self._allowed = 0
            self._change.notify_all()

    def allow(self, times: int) -> None:
        """So many intervals more, for each watcher."""
        with self._change:
            self._allowed = (self._allowed or 0) + times
            self._change.notify_all()
