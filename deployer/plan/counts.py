"""Every number that a person reads about a plan, counted from the plan itself."""

from typing import Any

from deployer.plan.model import Change, Plan


def verb(change: Change) -> str:
    """One word for what happens: create, update, replace, delete, undo, adopt."""
    if "delete" in change.actions and "create" in change.actions:
        return "replace"
    return change.actions[0]


def summary(plan: Plan) -> dict[str, Any]:
    counted = {"create": 0, "update": 0, "replace": 0, "delete": 0}
    for change in plan.changes:
        word = verb(change)
        counted[word if word in counted else "update"] += 1
    return counted


def restarts(plan: Plan) -> int:
    return sum(c.impact.restarts for c in plan.changes)


def downtime_s(plan: Plan) -> float | None:
    """The longest interruption of any one deployment; None when there is none."""
    known = [c.impact.downtime_s for c in plan.changes if c.impact.downtime_s is not None]
    return max(known, default=None)


def download_bytes(plan: Plan) -> int:
    return sum(c.impact.download_bytes for c in plan.changes)
