"""Asks before anything is changed, and says first what will be touched."""

import sys

from deployer.app.planned import Planned
from deployer.cli import console
from deployer.errors import UsageError
from deployer.plan.counts import summary

#: Environments in which a "y" is not enough: the fleet's name is asked for.
GRAVE = ("prod", "production", "live")


def confirmed(planned: Planned, *, yes: bool, what: str = "apply") -> bool:
    """True when it may be done. Raises UsageError when nobody can be asked and --yes was not given."""
    text = touched(planned)
    if yes:
        console.say(text)
        return True
    if not console.interactive():
        raise UsageError(
            "nobody is here to approve this plan", hint=f"look at it with deployer plan, then deployer {what} … --yes"
        )
    plan = planned.plan
    grave = (plan.environment or "").lower() in GRAVE
    console.say(console.paint(text, "31", sys.stderr) if grave else text)
    if grave:
        return _ask(f"this is {plan.environment}: type the fleet's name to {what}: ") == plan.fleet_name
    return _ask(f"{what}? [y/N] ").lower() in ("y", "yes")


def touched(planned: Planned) -> str:
    """ "fleet acme (prod): 1 create, 2 delete on gpu-01, gpu-02"."""
    plan = planned.plan
    hosts = sorted({change.host for change in plan.changes})
    counts = ", ".join(f"{number} {word}" for word, number in summary(plan).items() if number)
    where = ", ".join(hosts) if len(hosts) <= 6 else f"{', '.join(hosts[:5])} and {len(hosts) - 5} more"
    environment = f" ({plan.environment})" if plan.environment else ""
    return f"fleet {plan.fleet_name}{environment}: {counts} on {where}"


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()
