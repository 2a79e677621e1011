"""A part of a plan is a plan of its own, with its own id: some changes rejected, a host gone.

What depends on a change that is left out is left out too.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from deployer.plan.identity import plan_id
from deployer.plan.links import Links
from deployer.plan.model import Change, Plan
from deployer.plan.roster import Place
from deployer.state.resources import Kind


def by_changes(plan: Plan, keep: Collection[str]) -> Plan:
    """Only the changes with these ids, without what needs one that is not kept."""
    return _part(plan, {c.id for c in plan.changes if c.id in keep})


def by_hosts(plan: Plan, hosts: Collection[str]) -> Plan:
    """Only what happens on these hosts, without what needs something on another."""
    return _part(plan, {c.id for c in plan.changes if c.host in hosts})


def dependents(plan: Plan, left_out: Collection[str]) -> set[str]:
    """Ids of the changes that cannot be done without those."""
    return Links.of(plan).all_dependents(left_out) - set(left_out)


def _part(plan: Plan, wanted: set[str]) -> Plan:
    every = {c.id for c in plan.changes}
    gone = every - wanted
    kept = wanted - dependents(plan, gone)
    if kept == every:
        return plan
    changes: list[Change] = [c for c in plan.changes if c.id in kept]
    drift = tuple(replace(d, change=d.change if d.change in kept else None) for d in plan.drift)
    part = replace(plan, changes=tuple(changes), drift=drift, roster=roster_of(plan, kept))
    return replace(part, plan_id=plan_id(part))


def roster_of(plan: Plan, kept: Collection[str]) -> dict[str, Any]:
    """The roster when only these changes are done: no slot that was not made, and those that were not moved where they were."""
    roster = dict(plan.roster)
    slots = {name: dict(places) for name, places in roster.get("slots", {}).items()}
    for change in plan.changes:
        if change.id in kept or change.kind is not Kind.REPLICA or change.after is None or change.deployment not in slots:
            continue
        number = str(change.after.payload["slot"])
        if change.before is None:
            slots[change.deployment].pop(number, None)
        elif number in slots[change.deployment]:
            old = change.before.payload
            slots[change.deployment][number] = Place.of(str(change.deployment), change.host, old).as_json()
    roster["slots"] = {name: places for name, places in slots.items() if places}
    return roster
