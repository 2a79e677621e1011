"""What every host and every step does now, from the events of an apply. The displays of both front ends draw it; nothing
here knows a terminal. Events come from one thread, the drawing is done by another.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deployer.app.phases import Phase
from deployer.app.steprows import STATES, StepRow, StepRows, Waiting, in_words
from deployer.execute.events import Event, Report
from deployer.plan.model import Plan


@dataclass
class HostRow:
    """One host. `state`: "locking", "ready" (it has its lock), "working", "barrier" (it waits for the others), "paused",
    "lost" (the connection broke), "refused", "ended". `data` is the last progress: {"done", "total", "unit", "rate",
    "eta_s", "phase"}. `began`: when it came to do what `label` says.
    """

    host: str
    label: str = "taking the lock"
    message: str = ""
    began: float = field(default_factory=time.monotonic)
    data: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    state: str = "locking"
    result: str | None = None
    said: list[str] = field(default_factory=list)  # what happened to its run, for who asks


@dataclass(frozen=True, slots=True)
class View:
    """A board at one moment. `more`: steps that wait and are in none of `waiting`."""

    hosts: tuple[HostRow, ...]
    failed: tuple[StepRow, ...]
    running: tuple[StepRow, ...]
    waiting: tuple[Waiting, ...]
    more: int
    counts: Mapping[str, int]
    total: int | None  # None: nobody here knows how many there are
    phases: tuple[Phase, ...] = ()  # none when nobody here knows them


class Board:
    """`plan`: what is done, when it is known here; `times`: how long like steps took before, in seconds."""

    def __init__(
        self,
        plan: Plan | None = None,
        times: Mapping[str, Mapping[str, float]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hosts: dict[str, HostRow] = {}
        self.said: str | None = None  # of the whole apply
        self.steps = StepRows(plan, times)
        self._clock = clock
        self._behind: dict[str, float] = {}  # our clock less the host's, with the time a word takes to us
        self._lock = threading.Lock()

    def take(self, event: Event) -> None:
        with self._lock:
            if event.host is None:
                self.said = event.message
                return
            row = self.hosts.setdefault(event.host, HostRow(event.host))
            at = self._at(event)
            if event.type == "step":
                self._step(row, event)
                self.steps.take(event, at)
            elif event.type == "transfer":
                row.data = dict(event.data)
            else:
                self._host(row, event)

    def end(self, report: Report) -> None:
        """What the report says of hosts from which nothing was heard at the end."""
        with self._lock:
            for name, host in report.hosts.items():
                row = self.hosts.get(name)
                if row is not None:
                    row.ended, row.state, row.result = True, "ended", host.result
                if host.result == "detached":
                    self.steps.over(name, "left to the host", waiting="left", running="left")
                else:
                    self.steps.over(name, f"not begun: {host.result}")

    def view(self, most: int) -> View:
        """At most so many lines of what waits."""
        with self._lock:
            waiting, more = self.steps.waiting(most)
            counts = {state: self.steps.count(state) for state in STATES}
            failed = tuple(self.steps.of("failed"))
            running = tuple(sorted(self.steps.of("running"), key=lambda row: row.host))  # a host keeps its place
            total = self.steps.total if self.steps.planned else None
            return View(tuple(self.hosts.values()), failed, running, tuple(waiting), more, counts, total, self.steps.phases())

    def ended(self, state: str, most: int) -> list[StepRow]:
        """The last steps that came to be "done", "undone" or "skipped", the newest first."""
        with self._lock:
            return self.steps.of(state)[: -most - 1 : -1]

    def now(self, host: str) -> float:
        """The host's clock, as far as it can be told from here."""
        return self._clock() - self._behind.get(host, 0.0)

    def waits_for(self, step: StepRow) -> str:
        host = self.hosts.get(step.host)
        lacking = self.steps.lacking(step)
        if host is None or host.state == "locking":
            return "the lock of its host"
        if host.state == "paused":
            return "somebody to resume it"
        if lacking is not None:
            return in_words(lacking)
        if host.state == "working":
            return host.label
        return "the other hosts" if host.state == "barrier" else "the steps before it"

    @property
    def paused(self) -> bool:
        """Whether a host stands still because somebody paused it."""
        return any(row.state == "paused" for row in list(self.hosts.values()))

    def _at(self, event: Event) -> float:
        """When it was said, on the host's clock. The quickest word shows best how far that is from ours."""
        now = self._clock()
        try:
            at = datetime.fromisoformat(event.at)
        except ValueError:
            return now - self._behind.get(event.host or "", 0.0)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        if event.type in ("step", "barrier", "locked", "pause"):  # those that the host itself says
            self._behind[event.host or ""] = min(self._behind.get(event.host or "", now - seconds), now - seconds)
        return seconds

    def _host(self, row: HostRow, event: Event) -> None:
        if event.message:
            row.said.append(event.message)
        if event.type == "barrier":
            self._barrier(row, event)
        elif event.type == "locked":
            self._now(row, "has its lock", "ready")
            self.steps.again(row.host)
        elif event.type == "refused":
            row.state, row.message = "refused", event.message or ""
        elif event.type == "pause":
            paused = event.state == "paused"
            self._now(row, event.message or ("paused" if paused else "going on"), "paused" if paused else "working")
        elif event.type == "host":
            self._connection(row, event)

    def _barrier(self, row: HostRow, event: Event) -> None:
        waits = event.state == "waiting"
        label = f"waiting for the others ({event.stage})" if waits else f"{event.stage}"
        self._now(row, label, "barrier" if waits else "working")

    def _connection(self, row: HostRow, event: Event) -> None:
        row.ended = event.state == "ended"
        row.message = event.message or ""
        if event.state == "broken":
            row.state = "lost"
        elif event.state == "back":
            row.state = "working"
        elif row.ended:
            row.state, row.result = "ended", event.data.get("result")
            why = row.message or f"its run is {row.result or 'lost'}"
            self.steps.over(row.host, why, running="failed" if row.result in (None, "lost") else "undone")

    def _step(self, row: HostRow, event: Event) -> None:
        if event.state == "start":
            self._now(row, event.label or event.step or "", "working")
        elif event.state == "progress":
            row.data = dict(event.data)
            row.message = event.message or str(event.data.get("phase") or "")
        elif event.state == "failed":
            self._now(row, f"{event.label or event.step}: {event.message or 'failed'}, putting back", "working")

    def _now(self, row: HostRow, label: str, state: str) -> None:
        row.label, row.message, row.data, row.began, row.state = label, "", {}, time.monotonic(), state


def amount(data: Mapping[str, Any]) -> str:
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
