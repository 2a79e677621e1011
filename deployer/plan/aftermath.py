"""The records that a plan leaves on a host: what was noted there, with what the plan's changes make of it.

Made from the changes that are really in the plan, so that a part of a plan never notes what it did not do.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from deployer.plan.canaries import CANARY, is_canary
from deployer.plan.model import Change, Plan
from deployer.plan.record import HOST_RECORD, resource_json
from deployer.plan.roster import ROLLED_BACK
from deployer.state.resources import ARTIFACTS, Kind, Resource

OF_DEPLOYMENT = (Kind.REPLICA, Kind.ENDPOINT, Kind.DEPLOYMENT)
OF_HOST = (Kind.GATEWAY,)


def resources_after(plan: Plan, host: str, name: str) -> list[Resource]:
    """Resources of one deployment (or of the host itself) on one host once the plan is done, artifacts in use included."""
    kinds = OF_HOST if name == HOST_RECORD else OF_DEPLOYMENT
    before = plan.recorded.get(host, {}).get(name, ())
    found = {r.address: r for r in before if r.kind in kinds}
    for change in plan.changes:
        if change.host == host and change.kind in kinds and _belongs(change, name):
            found.pop(change.address, None)
            if change.after is not None:
                found[change.address] = change.after
    resources = [found[a] for a in sorted(found)]
    known = {r.address: r for r in (*before, *plan.standing.get(host, ())) if r.kind in ARTIFACTS}
    return resources + in_use(resources, known.values())


def _belongs(change: Change, name: str) -> bool:
    return change.deployment == (None if name == HOST_RECORD else name)


def in_use(resources: Iterable[Resource], artifacts: Iterable[Resource]) -> list[Resource]:
    """The artifacts that these resources need, and what those need, sorted by address."""
    known = {a.address: a for a in artifacts}
    found: dict[str, Resource] = {}
    waiting = [n for r in resources for n in r.needs]
    while waiting:
        address = waiting.pop()
        if address in known and address not in found:
            found[address] = known[address]
            waiting.extend(known[address].needs)
    return [found[a] for a in sorted(found)]


def record(plan: Plan, host: str, name: str) -> dict[str, Any] | None:
    """What the host notes; None when nothing of it is left. The agent adds who and why of the run."""
    resources = resources_after(plan, host, name)
    if not resources:
        return None
    protected = any(a.name == "protected" and a.value is True for r in resources for a in r.attributes)
    noted: dict[str, Any] = {
        "deployment": name,
        "revision": plan.revisions.get(name, 0),
        "at": plan.created_at,
        "git_commit": plan.git_commit,
        "protected": protected,
        "resources": [resource_json(r) for r in resources],
    }
    if name == HOST_RECORD:
        return noted
    # what a rollback to this revision must know besides: where all slots stood, and what the files said
    noted["slots"] = plan.roster.get("slots", {}).get(name, {})
    if name in plan.specs:
        noted["spec"] = plan.specs[name]
    tried = next((r.payload for r in resources if is_canary(r)), None)
    if tried is not None:
        noted["canary"] = {"slot": tried["slot"], "base": tried[CANARY]["base"]}
    return {**noted, **_repeated(plan.roster.get("holds", {}).get(name) or {})}


def _repeated(hold: Mapping[str, Any]) -> dict[str, Any]:
    """Which earlier revision this one repeats, and on whose word."""
    number = hold.get("revision")
    if hold.get("kind") != ROLLED_BACK or number is None:
        return {}
    why = f": {hold['why']}" if hold.get("why") else ""
    return {"repeats": number, "why": f"rollback to {number} by {hold['who']}{why}"}
