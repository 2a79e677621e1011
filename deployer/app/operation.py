"""An apply that somebody looks at: begun here or found running. It runs in a thread of its own and belongs to the
application, never to a screen; whoever draws it asks for `board` when `tick` has grown.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from deployer.app.board import Board
from deployer.app.values import Control, Event, Report, Running
from deployer.errors import DeployerError
from deployer.plan.model import Plan

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.app.planned import Planned

Work = Callable[[Callable[[Event], None], Control], Report]


class Operation:
    """`plan` is None when it was made elsewhere. `state`: running, stopping, detached, done, failed."""

    def __init__(self, fleet: "Fleet", title: str, plan: Plan | None, work: Work) -> None:
        self.fleet = fleet
        self.title = title
        self.plan = plan
        self.board = Board()
        self.report: Report | None = None
        self.error: DeployerError | None = None
        self.tick = 0
        self._work = work
        self._control = Control()
        self._over = threading.Event()

    @classmethod
    def of_plan(cls, planned: "Planned", *, why: str | None = None) -> "Operation":
        """Apply exactly this plan."""
        title = f"apply {planned.plan.plan_id}"
        return cls(
            planned.fleet, title, planned.plan, lambda tell, control: planned.apply(why=why, on_event=tell, control=control)
        )

    @classmethod
    def of_running(cls, fleet: "Fleet", one: Running, plan: Plan | None = None) -> "Operation":
        """Follow an apply that runs on the hosts without us."""
        return cls(fleet, f"attached to the apply of {one.who}", plan, lambda tell, control: fleet.attach(one, tell, control))

    @property
    def over(self) -> bool:
        return self._over.is_set()

    @property
    def state(self) -> str:
        if not self.over:
            return "stopping" if self._control.presses else "running"
        if self.report is not None and self._control.presses > 1:
            return "detached"
        return "done" if self.report is not None and self.report.exit_code == 0 else "failed"

    def begin(self) -> None:
        threading.Thread(target=self._run, name="operation", daemon=True).start()

    def stop(self) -> None:
        """Finish the running steps, then stop. No-op when that was said already."""
        if not self._control.presses:
            self._control.interrupt()
            self.tick += 1

    def detach(self) -> None:
        """Leave it to the hosts: they go on to the next barrier."""
        while self._control.presses < 2:
            self._control.interrupt()

    def wait(self, seconds: float | None = None) -> bool:
        """True when it is over."""
        return self._over.wait(seconds)

    def _run(self) -> None:
        try:
            self.report = self._work(self._take, self._control)
        except DeployerError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  (a thread must end with an answer)
            self.error = DeployerError(f"unexpected: {type(error).__name__}: {error}")
        finally:
            self.tick += 1
            self._over.set()

    def _take(self, event: Event) -> None:
        self.board.take(event)
        self.tick += 1
