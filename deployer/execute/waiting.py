"""Waiting for the locks of hosts where somebody else applies: bounded, with who, since when and what, and ended at once by
Ctrl-C. Called before a plan is made (app) and when an apply meets a lock (apply). Only asks: it takes no lock, and disturbs
nobody.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.execute.events import Event
from deployer.execute.follow import Control, now
from deployer.execute.pool import Pool
from deployer.execute.probe import probe_hosts
from deployer.spec.models import FleetSpec
from deployer.state.observed import Observed, Reached

#: How often the hosts are asked, and how often it is said again that we wait. Seconds.
ASK_S = 2.0
SAY_S = 30.0
_SLICE_S = 0.1


@dataclass(frozen=True, slots=True)
class Queue:
    """`until`: on the monotonic clock. `sleep` is there for tests."""

    until: float
    control: Control
    tell: Callable[[Event], None]
    sleep: Callable[[float], object] = time.sleep

    @classmethod
    def of(cls, seconds: float, control: Control, tell: Callable[[Event], None]) -> "Queue":
        return cls(time.monotonic() + seconds, control, tell)

    @property
    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())

    @property
    def over(self) -> bool:
        return self.control.presses > 0 or self.left <= 0


def holders(observed: Observed) -> dict[str, Mapping[str, Any]]:
    """Host → what the holder of its lock says of itself."""
    found = {name: reached.probe.get("lock") for name, reached in observed.items() if isinstance(reached, Reached)}
    return {name: lock for name, lock in sorted(found.items()) if lock is not None}


def words(holder: Mapping[str, Any]) -> str:
    """ "ada@desk is applying since 2026-01-01T12:00:00Z (fleet acme, now: start chat/0)"."""
    who, since = holder.get("who") or "somebody", holder.get("since") or "an unknown time"
    fleet = f"fleet {holder['fleet']}, " if holder.get("fleet") else ""
    return f"{who} is applying since {since} ({fleet}now: {holder.get('doing') or 'starting'})"


def wait(queue: Queue, pool: Pool, hosts: Sequence[str], fleet: FleetSpec) -> dict[str, Mapping[str, Any]]:
    """Until none of these hosts is locked, the time is over, or a person wants no more. Returns who still holds one."""
    said, spoken = "", 0.0
    while True:
        held = holders(probe_hosts(pool, hosts, fleet, gpus=False))
        if not held or queue.over:
            return held
        text = "; ".join(f"{host}: {words(lock)}" for host, lock in held.items())
        clock = time.monotonic()
        if text != said or clock > spoken + SAY_S:
            said, spoken = text, clock
            minutes, seconds = divmod(round(queue.left), 60)
            data = {"holders": {host: dict(lock) for host, lock in held.items()}, "left_s": round(queue.left, 1)}
            message = f"waiting for {text}; {minutes}:{seconds:02} left"
            queue.tell(Event("wait", now(), message=message, state="locked", data=data))
        end = min(time.monotonic() + ASK_S, queue.until)
        while time.monotonic() < end and not queue.control.presses:
            queue.sleep(_SLICE_S)
