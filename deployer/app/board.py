"""What every host does now, from the events of an apply. The displays draw it; nothing here knows a terminal."""

import time
from dataclasses import dataclass, field
from typing import Any

from deployer.execute.events import Event


@dataclass
class Row:
    """One host. `data` is the last progress: {"done", "total", "unit", "rate", "eta_s", "phase"}."""

    host: str
    label: str = "taking the lock"
    message: str = ""
    began: float = field(default_factory=time.monotonic)
    data: dict[str, Any] = field(default_factory=dict)
    ended: bool = False


class Board:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.said: str | None = None  # of the whole apply

    def take(self, event: Event) -> None:
        if event.host is None:
            self.said = event.message
            return
        row = self.rows.setdefault(event.host, Row(event.host))
        if event.type == "barrier":
            self._now(row, f"waiting for the others ({event.stage})" if event.state == "waiting" else f"{event.stage}")
        elif event.type == "transfer":
            row.data = dict(event.data)
        elif event.type == "step":
            self._step(row, event)
        elif event.type == "host":
            row.ended = event.state == "ended"
            row.message = event.message or ""
        elif event.type == "locked":
            self._now(row, "has its lock")

    def _step(self, row: Row, event: Event) -> None:
        if event.state == "start":
            self._now(row, event.label or event.step or "")
        elif event.state == "progress":
            row.data = dict(event.data)
            row.message = event.message or str(event.data.get("phase") or "")
        elif event.state == "failed":
            self._now(row, f"{event.label or event.step}: {event.message or 'failed'}, putting back")

    def _now(self, row: Row, label: str) -> None:
        row.label, row.message, row.data, row.began = label, "", {}, time.monotonic()


def amount(data: dict[str, Any]) -> str:
    """ "9.8 of 15.0 GiB  62.0 MiB/s  1:24 left"; empty when there is nothing to count."""
    from deployer.app.times import clock
    from deployer.plan.words import size

    done, total = data.get("done"), data.get("total")
    if done is None or not total:
        return ""
    if data.get("unit") not in ("bytes", "B"):
        return f"{done:g} of {total:g} {data.get('unit') or ''}".rstrip()
    rate = f"  {size(int(data['rate']))}/s" if data.get("rate") else ""
    left = f"  {clock(data['eta_s'])} left" if data.get("eta_s") else ""
    return f"{size(int(done))} of {size(int(total))}{rate}{left}"
