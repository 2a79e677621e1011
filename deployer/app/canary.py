"""Canaries for the front ends: promoted, reverted, and promoted by themselves where the files say so."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from deployer.agent.wire import CANARY_GOOD
from deployer.app.moments import moment
from deployer.app.outcome import beside
from deployer.errors import DeployerError, Refused, worst
from deployer.plan.canaries import Canary, standing
from deployer.plan.roster import ROLLED_BACK, latest
from deployer.plan.world import HoldRequest, Options
from deployer.state.observed import Observed

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.app.planned import Planned
    from deployer.execute.events import Event, Report


def promote(fleet: "Fleet", name: str) -> "Planned":
    fleet.known(deployments=(name,))
    observed = fleet.probe()
    _one(observed, name)
    return fleet.plan(Options(names=(name,), promote=(name,)), observed=observed)


def revert(fleet: "Fleet", name: str, *, why: str | None = None, until: str | None = None) -> "Planned":
    until = moment(until)
    fleet.known(deployments=(name,))
    observed = fleet.probe(history=(name,))
    one = _one(observed, name)
    hold = HoldRequest(name, ROLLED_BACK, fleet.who, why or "its canary was reverted", until, one.base)
    return fleet.plan(Options(names=(name,), holds=(hold,)), observed=observed)


def _one(observed: Observed, name: str) -> Canary:
    found = standing(observed, latest(observed).canaries).get(name)
    if found is None:
        raise Refused(f"no canary of {name} stands", where=name, hint=f"deployer status {name}")
    return found


def verdicts(found: dict[str, str], on_event: "Callable[[Event], None]") -> "Callable[[Event], None]":
    """A listener that notes what is said of canaries, by change, and passes everything on."""

    def take(event: "Event") -> None:
        if event.change is not None and event.data.get("verdict"):
            found[event.change] = str(event.data["verdict"])
        on_event(event)

    return take


def begun(planned: "Planned") -> tuple[str, ...]:
    """Deployments of which the plan starts a canary."""
    return tuple(name for name, rollout in sorted(planned.plan.rollouts.items()) if rollout.strategy == "canary")


def good(planned: "Planned") -> tuple[str, ...]:
    """Those of them whose canary was watched, judged good, and is to be promoted by itself."""
    specs = planned.fleet.spec.deployments
    judged = {c.deployment for c in planned.plan.changes if planned.verdicts.get(c.id) == CANARY_GOOD}
    return tuple(
        name for name in begun(planned) if name in judged and name in specs and specs[name].rollout.canary.promote == "auto"
    )


def go_on(
    planned: "Planned", report: "Report", now: str, tell: "Callable[[Event], None]", do: "Callable[[Planned], Report]"
) -> "Report":
    """The report, after the canaries that are good were promoted; one that cannot be is said, and stands."""
    from deployer.execute.events import Event

    for name in good(planned):
        tell(Event("promote", now, message=f"{name}: its canary was watched and is no worse than the old: it is promoted now"))
        try:
            done = do(promote(planned.fleet, name))
        except DeployerError as error:
            message = f"{name}: its canary stands, and could not be promoted: {error.what}"
            tell(Event("promote", now, message=message))
            report = replace(report, exit_code=worst([report.exit_code, error.exit_code]), notes=(*report.notes, message))
            continue
        code = worst([report.exit_code, done.exit_code])
        notes = (*report.notes, *beside(name, "its canary could not be promoted", done))
        failures = (*report.failures, *done.failures)
        report = replace(report, failures=failures, exit_code=code, seconds=report.seconds + done.seconds, notes=notes)
    return report
