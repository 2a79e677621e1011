"""What one sitting at the terminal UI works with: the fleet as its files are now, the plan under review, the apply that
runs, and the standing connections. Blocking calls; the UI makes them from threads.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from deployer.app.fleet import Fleet
from deployer.app.looking import FleetNow
from deployer.app.planned import Planned
from deployer.errors import UsageError
from deployer.plan.world import Options

# What connects and what applies is loaded when it is used: the first screen does not wait for it.
if TYPE_CHECKING:
    from deployer.app.looker import Looker
    from deployer.app.operation import Operation
    from deployer.app.values import Running
    from deployer.state.observed import Observed


class Session:
    """`read_only`: nothing can be begun or written. `why`: the reason an apply has when none is given. `operation` is the
    last one, running or over; `whole` the latest plan of the whole fleet, reviewed or not.
    """

    def __init__(self, fleet: Fleet, *, read_only: bool = False, why: str | None = None) -> None:
        self.fleet = fleet
        self.read_only = read_only
        self.why = why
        self.planned: Planned | None = None
        self.whole: Planned | None = None
        self.operation: Operation | None = None
        self._looker: Looker | None = None

    def watch(self, every_s: float = 1.0) -> None:
        """Opens the standing connections; from then on `now` is fresh. Once."""
        from deployer.app.looker import Looker

        if self._looker is None:
            self._looker = Looker(self.fleet, every_s)
            self._looker.start()

    @property
    def now(self) -> FleetNow:
        """The fleet as it is. Never blocks."""
        return FleetNow() if self._looker is None else self._looker.now()

    def remembered(self) -> "Observed":
        """What each host answered last; who never did is not in it. Never blocks."""
        return {} if self._looker is None else self._looker.remembered()

    def reload(self) -> Fleet:
        """Reads the files again. Raises SpecError, and the fleet stays what it was."""
        busy = self.operation is not None and not self.operation.over
        self.fleet = self.fleet.again(close=not busy)
        if self._looker is not None:
            self._looker.replace(self.fleet)
        return self.fleet

    def plan(self, options: Options | None = None) -> Planned:
        """Reads the files again, asks the hosts, and keeps the plan as the one under review."""
        planned = self.reload().plan(options)
        if options is None or options == Options():
            self.whole = planned
        return self.review(planned)

    def check(self) -> Planned:
        """A plan of the whole fleet that nobody reviews: to see what was changed on the hosts. What is under review stays."""
        self.whole = self.reload().plan(judged=False)
        return self.whole

    def review(self, planned: Planned) -> Planned:
        """Puts a plan made elsewhere (a hold, a saved one) under review. Every plan is kept on disk, unless we only look."""
        if not self.read_only:
            planned.save()
        self.planned = planned
        return planned

    def save(self, planned: Planned, path: Path) -> Path:
        self.must_write("saving a plan")
        return planned.save(path)

    def export(self, planned: Planned, path: Path) -> Path:
        """As Markdown or text, by the name."""
        self.must_write("exporting a plan")
        from deployer.app.export import export

        return export(planned, path)

    def begin(self, planned: Planned, *, why: str | None = None) -> "Operation":
        """Starts exactly this plan. Raises UsageError when another one runs here, or nothing may be done."""
        self.must_write("an apply")
        self._must_be_free()
        from deployer.app.operation import Operation

        self.operation = Operation.of_plan(planned, why=why or self.why)
        self.operation.begin()
        return self.operation

    def running(self) -> "list[Running]":
        """The applies that go on on the hosts, oldest first, whoever began them. Asks every host."""
        return self.fleet.running()

    def attach(self, one: "Running") -> "Operation":
        """Follows it, and opens its barriers from now on. Raises UsageError as `begin` does."""
        self.must_write("attaching to an apply")
        self._must_be_free()
        from deployer.app.operation import Operation

        self.operation = Operation.of_running(self.fleet, one)
        self.operation.begin()
        return self.operation

    def find_running(self) -> "Operation | None":
        """Attaches to the last apply that runs on the hosts; None when none does."""
        if self.read_only or (self.operation is not None and not self.operation.over):
            return None
        found = self.running()
        return self.attach(found[-1]) if found else None

    def _must_be_free(self) -> None:
        if self.operation is not None and not self.operation.over:
            raise UsageError("an apply runs already", hint="wait for its end, or stop it")

    def must_write(self, what: str) -> None:
        if self.read_only:
            raise UsageError(
                f"{what} is not possible here: this is a read-only view", hint="start deployer ui without --read-only"
            )

    def close(self) -> None:
        """What runs on the hosts goes on there."""
        if self._looker is not None:
            self._looker.stop()
        if self.operation is not None and not self.operation.over:
            self.operation.detach()
            self.operation.wait(5.0)
        if self.operation is not None:
            self.operation.fleet.close()  # of before the files were read again
        self.fleet.close()
