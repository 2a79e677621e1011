"""An apply that somebody looks at: begun here or found running. It runs in a thread of its own and belongs to the
application, never to a screen; whoever draws it asks for `board` when `tick` has grown.
"""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployer.app import steptimes
from deployer.app.board import Board
from deployer.app.steprows import StepRow
from deployer.app.values import Control, Endpoint, Event, LogStream, Report, Running, Status
from deployer.errors import DeployerError
from deployer.plan.model import Plan

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.app.planned import Planned

#: Of a unit's journal, when somebody begins to read it.
JOURNAL_LINES = 1000

Work = Callable[[Callable[[Event], None], Control], Report]


class Operation:
    """`plan` is None when it was made elsewhere. `state`: running, pausing, paused, stopping, detached, done, failed.
    `endpoints`: by deployment, what answers now that did not before, to be tried. `canaries`: those that stand now, and
    whether they were watched and are no worse. `began`: seconds of our clock.
    """

    def __init__(self, fleet: "Fleet", title: str, plan: Plan | None, work: Work, began: float | None = None) -> None:
        self.fleet = fleet
        self.title = title
        self.plan = plan
        self.board = Board()
        self.report: Report | None = None
        self.error: DeployerError | None = None
        self.endpoints: Mapping[str, Endpoint] = {}
        self.canaries: Mapping[str, bool] = {}
        self.tick = 0
        self.began = time.time() if began is None else began
        self._ended: float | None = None
        self._work = work
        self._control = Control()
        self._planned: Planned | None = None  # when it was begun here
        self._over = threading.Event()

    @classmethod
    def of_plan(cls, planned: "Planned", *, why: str | None = None) -> "Operation":
        """Apply exactly this plan."""
        title = f"apply {planned.plan.plan_id[:7]}"
        found = cls(
            planned.fleet, title, planned.plan, lambda tell, control: planned.apply(why=why, on_event=tell, control=control)
        )
        found._planned = planned
        return found

    @classmethod
    def of_running(cls, fleet: "Fleet", one: Running) -> "Operation":
        """Follow an apply that runs on the hosts without us. What waits is known when its plan is kept here."""
        title = f"apply {one.plan[:7]} of {one.who}"
        plan = fleet.plan_of(one)
        return cls(fleet, title, plan, lambda tell, control: fleet.attach(one, tell, control), _seconds(one.since))

    @property
    def over(self) -> bool:
        return self._over.is_set()

    @property
    def state(self) -> str:
        if not self.over:
            return self._going()
        if self.report is not None and self._control.presses > 1:
            return "detached"
        return "done" if self.report is not None and self.report.exit_code == 0 else "failed"

    def _going(self) -> str:
        if self._control.presses:
            return "stopping"
        if not self.paused:
            return "running"
        states = {row.state for row in list(self.board.hosts.values())}
        return "paused" if "paused" in states and not states & {"working", "ready", "locking"} else "pausing"

    @property
    def paused(self) -> bool:
        """Whether somebody wants that no new step is begun: we, or whoever had it before us."""
        return self.board.paused if self._control.paused is None else self._control.paused

    @property
    def seconds(self) -> float:
        return (time.time() if self._ended is None else self._ended) - self.began

    def begin(self) -> None:
        threading.Thread(target=self._run, name="operation", daemon=True).start()

    def pause(self) -> None:
        """Finish the running steps, and begin no other until `resume`."""
        self._control.pause()
        self.tick += 1

    def resume(self) -> None:
        self._control.resume()
        self.tick += 1

    def stop(self) -> None:
        """Finish the running steps, then stop. No-op when that was said already."""
        if not self._control.presses:
            self._control.interrupt()
            self.tick += 1

    def detach(self) -> None:
        """Leave it to the hosts: they go on to the next barrier."""
        self._control.leave()
        self.tick += 1

    def wait(self, seconds: float | None = None) -> bool:
        """True when it is over."""
        return self._over.wait(seconds)

    def journal(self, step: StepRow) -> LogStream:
        """What the step's unit says since the apply began, until it is closed. Blocks until the host answers."""
        since = datetime.fromtimestamp(self.board.now(step.host) - self.seconds, UTC).isoformat(timespec="seconds")
        fleet = {"id": self.fleet.spec.id, "name": self.fleet.spec.name}
        units = {step.host: {str(step.unit): step.label}}
        return LogStream(self.fleet.pool, fleet, units, {"lines": JOURNAL_LINES, "follow": True, "since": since})

    def _run(self) -> None:
        try:
            times = steptimes.read(self.fleet.root)
            self.board = Board(self.plan, times if self.plan is None else steptimes.expecting(times, self.plan))
            self.report = self._work(self._take, self._control)
            self.board.end(self.report)
            self.endpoints = self._answering(self.report)
            self.canaries = self._standing()
        except DeployerError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  (a thread must end with an answer)
            self.error = DeployerError(f"unexpected: {type(error).__name__}: {error}")
        finally:
            self._ended = time.time()
            self._over.set()
            self.tick += 1

    def _take(self, event: Event) -> None:
        self.board.take(event)
        self.tick += 1

    def _standing(self) -> Mapping[str, bool]:
        from deployer.app import canary

        if self._planned is None:
            return {}
        good = canary.good(self._planned)
        return {name: name in good for name in canary.begun(self._planned) if name in self.endpoints}

    def _answering(self, report: Report) -> Mapping[str, Endpoint]:
        from deployer.app.planned import Planned

        if self.plan is None:
            return {}
        ends = [(name, end.get("state")) for host in report.hosts.values() for name, end in host.transactions.items()]
        not_all = {name for name, state in ends if state != "done"}
        whole = {name for name, _ in ends} - not_all
        found = Planned(self.fleet, self.plan, None, None).endpoints()
        return {name: one for name, one in found.items() if name in whole}


def begun_by(status: Status, but: str | None = None) -> str | None:
    """Who began an apply that runs on a host now, other than the apply `but`; None when none does."""
    from deployer.execute.attach import base

    alive = [run for host in status.hosts for run in host.unfinished if run.get("alive")]
    return next((str(run.get("who") or "somebody") for run in alive if base(str(run["run"])) != but), None)


def _seconds(since: str) -> float | None:
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError:
        return None
