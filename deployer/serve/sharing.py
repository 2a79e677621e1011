"""Who begins together. Pure.

All rows of a batch are read at once as far as the shortest of them goes; what is longer is fed one token a step, and says nothing
meanwhile. So where several workers are idle, each begins with a part of those who wait whose lengths lie together. Narrow parts
would waste it: a step costs nearly the same for one row as for a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

SPREAD = 64  # tokens: lengths of one batch differ by no more
LEAST = 2  # rows: a part is not smaller, and who comes a moment later finds a worker idle


class Waiting(Protocol):
    """`begun`: it was stopped, and goes on."""

    @property
    def key(self) -> tuple[Any, ...]: ...
    @property
    def length(self) -> int: ...
    @property
    def begun(self) -> bool: ...


_Waits = TypeVar("_Waits", bound=Waiting)


def together(one: Waiting, other: Waiting) -> bool:
    return one.key == other.key and abs(one.length - other.length) <= SPREAD


def first_batch(waiting: Sequence[_Waits], size: int, workers: int) -> list[_Waits]:
    """The oldest of those who wait and who goes with it, when so many workers are idle. Who was stopped is not parted again."""
    if not waiting:
        return []
    oldest = waiting[0]
    fitting = [row for row in waiting if together(oldest, row)]
    if oldest.begun:
        return fitting[:size]
    parts = max(1, min(workers, len(fitting) // LEAST))
    most = min(size, -(-len(fitting) // parts))
    by_length = sorted(fitting, key=lambda row: row.length)  # stable: of equal lengths the older go first
    begin = by_length.index(oldest) // most * most
    return by_length[begin : begin + most]
