"""How grave a plan is: what it touches, and how its approval must be given. Used by both front ends before they ask."""

from deployer.plan.counts import summary
from deployer.plan.diffs import PRUNED
from deployer.plan.model import Change, Plan

#: Environments in which a "y" is not enough: the fleet's name is asked for.
PRODUCTION = ("prod", "production", "live")


def production(environment: str | None) -> bool:
    return (environment or "").lower() in PRODUCTION


def pruned(plan: Plan) -> list[Change]:
    """What the plan removes only because no file names it: asked about on its own."""
    return [change for change in plan.changes if change.data.get(PRUNED)]


def touched(plan: Plan) -> str:
    """ "fleet acme (prod): 1 create, 2 delete on gpu-01, gpu-02"."""
    if plan.empty:
        return f"fleet {plan.fleet_name}{f' ({plan.environment})' if plan.environment else ''}: nothing starts, moves or stops"
    hosts = sorted({change.host for change in plan.changes})
    counts = ", ".join(f"{number} {word}" for word, number in summary(plan).items() if number)
    where = ", ".join(hosts) if len(hosts) <= 6 else f"{', '.join(hosts[:5])} and {len(hosts) - 5} more"
    environment = f" ({plan.environment})" if plan.environment else ""
    return f"fleet {plan.fleet_name}{environment}: {counts} on {where}"
