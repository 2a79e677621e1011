"""A rolling update that failed in a later wave has replicas of two revisions. With `auto_revert` the ones that were replaced go
back as well: by a plan of its own, over the same waves, so that nobody is without an answer meanwhile. Called by Planned.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from deployer.agent.wire import deployment_of
from deployer.app import holding
from deployer.app.outcome import beside
from deployer.errors import DeployerError, worst
from deployer.execute.events import Event, Report
from deployer.plan.model import Plan

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.app.planned import Planned

#: What of a transaction stands when its run has ended well.
DONE = "done"


def half_done(plan: Plan, report: Report) -> list[str]:
    """Deployments of which some replicas were replaced and some could not be."""
    failed = {failure.deployment for failure in report.failures if failure.deployment}
    stands = {
        deployment_of(name)
        for host in report.hosts.values()
        for name, end in host.transactions.items()
        if end.get("state") == DONE
    }
    rolling = (name for name, rollout in plan.rollouts.items() if rollout.strategy == "rolling" and rollout.auto_revert)
    return sorted(name for name in rolling if name in failed and name in stands)


def revert(
    fleet: "Fleet", plan: Plan, report: Report, now: str, tell: Callable[[Event], None], do: "Callable[[Planned], Report]"
) -> Report:
    """The report, after what was half done went back; what could not go back is said in it."""
    for name in half_done(plan, report):
        try:
            back = holding.back(fleet, name, None, f"auto_revert: revision {plan.revisions.get(name)} failed", now)
            message = f"{name}: some replicas have revision {plan.revisions.get(name)} already; they go back as well"
            tell(Event("revert", now, message=message))
            done = do(back)
        except DeployerError as error:
            message = f"{name}: its replicas could not go back: {error.what}"
            tell(Event("revert", now, message=message))
            report = replace(report, exit_code=worst([report.exit_code, 1]), notes=(*report.notes, message))
            continue
        notes = (*report.notes, *beside(name, "its replicas could not go back", done))
        report = replace(report, failures=(*report.failures, *done.failures), notes=notes)
        if done.exit_code:
            report = replace(report, exit_code=worst([report.exit_code, 1]))
    return report
