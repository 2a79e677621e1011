"""Asks before anything is changed, and says first what will be touched."""

import sys

from deployer.app.planned import Planned
from deployer.cli import console
from deployer.errors import UsageError
from deployer.plan.gravity import production, pruned, touched


def confirmed(planned: Planned, *, yes: bool, what: str = "apply") -> bool:
    """True when it may be done. Raises UsageError when nobody can be asked and --yes was not given."""
    plan = planned.plan
    text = touched(plan)
    if yes:
        console.say(text)
        return True
    if not console.interactive():
        raise UsageError(
            "nobody is here to approve this plan", hint=f"look at it with deployer plan, then deployer {what} … --yes"
        )
    grave = production(plan.environment)
    console.say(console.paint(text, "31", sys.stderr) if grave else text)
    if grave:
        return _ask(f"this is {plan.environment}: type the fleet's name to {what}: ") == plan.fleet_name
    return _ask(f"{what}? [y/N] ").lower() in ("y", "yes")


def prune_confirmed(planned: Planned, *, yes: bool) -> Planned:
    """The plan, without what it removes only because no file names it when a person says no to just that."""
    found = pruned(planned.plan)
    if yes or not found:
        return planned
    shown = ", ".join(f"{change.name} on {change.host}" for change in found[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    if _ask(f"also remove what no file names ({shown}{more})? [y/N] ").lower() in ("y", "yes"):
        return planned
    gone = {change.id for change in found}
    return planned.only(lambda change: change.id not in gone)


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()
