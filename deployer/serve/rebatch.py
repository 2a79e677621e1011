"""When a running batch is stopped to go on with those who wait: its rows then read their text so far once more.

The engine has no continuous batching: nobody joins a batch that runs. Without this, who comes a moment too late waits for the
longest answer of a batch that may hold one row where there is room for sixteen. docs/decisions/0027 has the figures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

MARGIN = 2.0  # what the waiting gain must be so many times what the running lose
UNKNOWN = 64  # tokens: an answer is expected to go on for as long as it has been going on, at least so long


@dataclass
class Pace:
    """How a batch gets on: `read` tokens of prompts at once before its first step, `fed` steps until its longest row speaks."""

    read: int
    fed: int
    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    step: int = 0

    def at(self, step: int, now: float) -> None:
        if self.first is None:
            self.first = now
        self.step = max(self.step, step)

    @property
    def step_s(self) -> float | None:
        """Of one step, on average; None before the second."""
        if self.first is None or self.step < 1:
            return None
        return (time.monotonic() - self.first) / self.step

    @property
    def token_s(self) -> float:
        """Of one token of a prompt."""
        return max(0.0, (self.first or self.began) - self.began) / max(1, self.read)


@dataclass(frozen=True)
class Going:
    """A row that runs: tokens of its text so far, of its answer so far, and how many it may still say."""

    length: int
    said: int
    left: int


def worth(pace: Pace, running: Sequence[Going], waiting: Sequence[int], now: float) -> bool:
    """Whether to stop: seconds that the `waiting` (lengths of their prompts) would wait against seconds that the running lose,
    who read their text again, and wait while what is longer than the shortest is fed token by token. A batch has also run
    for longer than its start took, so that no flood of requests can keep it from getting on.
    """
    step_s = pace.step_s
    if step_s is None or not running or not waiting or pace.first is None:
        return False
    lengths = [row.length for row in running]
    shortest, longest = min(*lengths, *waiting), max(*lengths, *waiting)
    lost = pace.token_s * shortest * len(running) + step_s * (longest - shortest)
    to_go = step_s * max(min(row.left, max(row.said, UNKNOWN)) for row in running)
    ran = now - pace.first > pace.first - pace.began and pace.step >= MARGIN * pace.fed
    return ran and len(waiting) * to_go > MARGIN * len(running) * lost
