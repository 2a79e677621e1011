"""A plan with the fleet it belongs to: shown, kept, cut down, done. Made by Fleet.plan, .hold and .saved_plan."""

import secrets as randomness
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.app import saved
from deployer.plan.model import Change, Plan
from deployer.plan.world import Options
from deployer.state.resources import Kind

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.execute.endpoint import Endpoint
    from deployer.execute.events import Event, Report
    from deployer.execute.follow import Control
    from deployer.execute.hostrun import Patience


def ignore(event: Any) -> None:
    """A listener that does not listen."""


class Planned:
    """A plan with the fleet it belongs to. `seconds`: how long the hosts were asked; None for a saved plan. `holds`: what an
    apply writes on the hosts besides the changes, also when there are none: holds that begin or end, in words. `verdicts`: what
    came of watching a canary, by change, once it was applied: "good" or "few".
    """

    def __init__(
        self, fleet: "Fleet", plan: Plan, seconds: float | None, branch: str | None, holds: tuple[str, ...] = ()
    ) -> None:
        self.fleet = fleet
        self.plan = plan
        self.seconds = seconds
        self.branch = branch
        self.holds = holds
        self.verdicts: dict[str, str] = {}

    def save(self, path: Path | None = None) -> Path:
        """To a file of mode 0600; without `path` beside the fleet's other plans."""
        if path is None:
            return saved.save(self.fleet.root, self.plan)
        saved.write(path, self.plan)
        return path

    def only(self, wanted: Callable[[Change], bool]) -> "Planned":
        """A part of it, which is a plan of its own."""
        from deployer.plan.subset import by_changes

        part = by_changes(self.plan, {change.id for change in self.plan.changes if wanted(change)})
        return Planned(self.fleet, part, self.seconds, self.branch, self.holds)

    def text(self, *, color: bool = False, unicode: bool = True) -> str:
        from deployer.plan.text import render

        return render(self.plan, color=color, unicode=unicode, seconds=self.seconds, branch=self.branch)

    def addresses(self) -> dict[str, str]:
        """Deployment → URL, for those whose replicas this plan starts."""
        return {name: one.url for name, one in self.endpoints().items()}

    def endpoints(self) -> "dict[str, Endpoint]":
        """Where what this plan starts will answer, by deployment."""
        from deployer.execute.endpoint import endpoint
        from deployer.plan.roster import from_json

        started = {
            c.deployment
            for c in self.plan.changes
            if c.kind == Kind.REPLICA and c.after is not None and "create" in c.actions and c.after.runs
        }
        roster = from_json(self.plan.roster)
        found = {name: endpoint(self.fleet.spec, roster, name) for name in sorted(n for n in started if n)}
        return {name: one for name, one in found.items() if one is not None}

    def apply(
        self,
        *,
        why: str | None = None,
        on_event: "Callable[[Event], None]" = ignore,
        control: "Control | None" = None,
        patience: "Patience | None" = None,
        lock_wait_s: float = 0.0,
    ) -> "Report":
        """Do it. Raises Refused before anything is touched; what happens later is in the report. `lock_wait_s`: how long to
        wait for hosts where somebody else applies. What a rolling update leaves half done goes back (app/reverting.py), and a
        canary that is good is promoted where the files say so (app/canary.py).
        """
        from deployer.app import canary, reverting
        from deployer.app.notify import notify
        from deployer.app.outcome_body import Asked
        from deployer.app.worlds import now

        def once(one: "Planned") -> "Report":
            return one._once(why, on_event, control, patience, lock_wait_s)

        def whole(one: "Planned") -> "Report":
            done = once(one)
            if control is not None and control.presses:
                return done
            return reverting.revert(one.fleet, one.plan, done, now(), on_event, once)

        report = whole(self)
        if report.exit_code == 0:
            report = canary.go_on(self, report, now(), on_event, whole)
        return notify(self.fleet, report, self.plan, Asked(self.fleet.who, why))

    def _once(
        self,
        why: str | None,
        on_event: "Callable[[Event], None]",
        control: "Control | None",
        patience: "Patience | None",
        lock_wait_s: float,
    ) -> "Report":
        from deployer.app.canary import verdicts
        from deployer.app.steptimes import StepTimes
        from deployer.execute.apply import Order, apply
        from deployer.execute.follow import Control
        from deployer.execute.hostrun import Patience

        fleet = self.fleet
        saved.save(fleet.root, self.plan)  # so that `attach` has it, should we die
        times = StepTimes(fleet.root, verdicts(self.verdicts, on_event))
        order = Order(
            plan=self.plan,
            fleet=fleet.spec,
            run=run_id(),
            who=fleet.who,
            why=why,
            secrets=fleet.secrets,
            blobs=fleet.files(),
            on_event=times.take,
            control=control or Control(),
            patience=patience or Patience(),
            lock_wait_s=lock_wait_s,
        )
        try:
            return apply(order, fleet.pool)
        finally:
            times.keep()


def holds(options: Options, plan: Plan) -> tuple[str, ...]:
    """What the plan notes of the holds that were asked about: "h2 is cordoned", "nothing holds chat"."""
    held, cordons = plan.roster.get("holds", {}), plan.roster.get("cordons") or {}
    names = (*(one.host for one in options.cordons), *(one.deployment for one in options.holds), *options.release)
    found = []
    for name in dict.fromkeys(names):
        one = cordons.get(name) or held.get(name) or {}
        at = f" at revision {one['revision']}" if one.get("revision") is not None else ""
        found.append(f"{name} is {one['kind']}{at}" if one else f"nothing holds {name}")
    return tuple(found)


def run_id() -> str:
    """Sorts by time, and two of the same second differ."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{randomness.token_hex(3)}"
