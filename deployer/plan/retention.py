"""Which revisions stay on the hosts, and which artifacts they stand on. Pure. Called by diffs, for `prune` and `gc`.

`keep` counts revisions of a deployment over all its hosts, the one that stands included. Beside those stay what a person holds it
at and what a rollback would go back to by default, which is also what a canary stands beside. A host keeps the record that was in
force there for each of them.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from deployer.agent import wire
from deployer.errors import DeployerError
from deployer.plan.identity import plan_id
from deployer.plan.model import Change, Plan
from deployer.plan.revisions import choose, revisions
from deployer.plan.roster import Hold, latest
from deployer.plan.world import World
from deployer.state.observed import Reached
from deployer.state.resources import ARTIFACTS, Kind


def kept(world: World, name: str) -> frozenset[int] | None:
    """Numbers of the revisions of a deployment that stay. None: it cannot be told, so all of them."""
    spec = world.fleet.deployments.get(name)
    if spec is None or not all(
        isinstance(found, Reached) or not _stood(world, name, host) for host, found in world.observed.items()
    ):
        return None
    known = revisions(world.observed, name)
    found = {one.number for one in known[: spec.keep or world.fleet.keep]}
    hold = _hold(world, name)
    if hold is not None and hold.revision is not None:
        found.add(hold.revision)
    if any("resources" not in entry for entry in _entries(world, name)):
        return None
    with contextlib.suppress(DeployerError):  # there may be nothing to go back to
        found.add(choose(world.observed, name))
    return frozenset(found)


def collectable(change: Change) -> bool:
    """A change that `gc` is about; the others of its plan belong to an apply."""
    return change.after is None and change.kind in (*ARTIFACTS, Kind.HISTORY)


def without_roster(plan: Plan) -> Plan:
    """Who is where does not change by it, so no host is told anew."""
    part = replace(plan, roster={})
    return replace(part, plan_id=plan_id(part))


def _stood(world: World, name: str, host: str) -> bool:
    """Does the fleet remember a slot of it on this host?"""
    return any(place.deployment == name and place.host == host for place in latest(world.observed).places)


def _hold(world: World, name: str) -> Hold | None:
    return latest(world.observed).holds.get(name)


def _entries(world: World, name: str) -> Iterable[Mapping[str, Any]]:
    for found in world.observed.values():
        if isinstance(found, Reached):
            yield from found.probe.get("history", {}).get(name, ())


def surplus(world: World, reached: Reached, name: str) -> tuple[int, ...]:
    """Numbers of the revisions that a host need not remember any longer."""
    folder = f"{wire.ROOT_STATE}/{world.fleet.name}/{name}/"
    stay = kept(world, name)
    if stay is None or any(path.startswith(folder) for path in reached.probe.get("unreadable", ())):
        return ()
    there = sorted(int(entry["revision"]) for entry in reached.probe.get("history", {}).get(name, ()))
    in_force = {max((one for one in there if one <= number), default=0) for number in stay}
    record = reached.probe.get("records", {}).get(name) or {}
    return tuple(one for one in there if one not in in_force and one != record.get("revision"))


def stood_on(reached: Reached, names: Iterable[str], gone: Mapping[str, Iterable[int]]) -> set[str] | None:
    """Paths of the artifacts that revisions of these deployments stand on, less those of the revisions that go. None: some
    revision does not say.
    """
    found: set[str] = set()
    for name in names:
        left_out = set(gone.get(name, ()))
        for entry in reached.probe.get("history", {}).get(name, ()):
            if entry.get("revision") in left_out:
                continue
            listed = paths(entry)
            if listed is None:
                return None
            found |= listed
    return found


def paths(entry: Mapping[str, Any]) -> set[str] | None:
    """Of the artifacts that a revision was noted with; the probe lists them where it leaves out the resources."""
    if "resources" in entry:
        return {str(r["payload"]["path"]) for r in entry["resources"] if r["kind"] in ARTIFACTS}
    listed = entry.get("paths")
    return None if listed is None else set(listed)
