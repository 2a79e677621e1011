"""Deployments that a person holds at an earlier revision: what is wanted of them is what the hosts noted then, and not what
the files say. Pure. Called by make; `app` asks which revision a rollback means (see choose).

On each host the revision is what stood there when the deployment had that number: the newest record that is not newer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.agent import wire
from deployer.plan import gatewayhost
from deployer.plan.aftermath import OF_DEPLOYMENT
from deployer.plan.artifacts import complete, model_need
from deployer.plan.desired import Desired, desire
from deployer.plan.diff import FILES, deltas
from deployer.plan.model import Change
from deployer.plan.place import place
from deployer.plan.record import resource_from
from deployer.plan.roster import ROLLED_BACK, Hold, Place, Roster, latest
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.observed import Observed, Reached
from deployer.state.resources import ARTIFACTS, Kind, Resource

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """A deployment at revision `number`. `wanted` and `artifacts`: by host, of the hosts that answered; artifacts only where
    they are still there. `notes`: the records of that revision by host. `asked`: a person goes back to it in this plan.
    """

    name: str
    number: int
    hold: Hold
    asked: bool
    wanted: Mapping[str, tuple[Resource, ...]]
    artifacts: Mapping[str, tuple[Resource, ...]]
    notes: Mapping[str, Entry]
    places: tuple[Place, ...]

    @property
    def newest(self) -> Entry:
        """The record that speaks for the whole deployment."""
        return max(self.notes.values(), key=lambda note: int(note.get("revision", 0)), default={})


@dataclass(frozen=True, slots=True)
class Rolled:
    """`holds`: those in force, without the ones that fell away because the files say the same again (`ended`)."""

    held: Mapping[str, Held] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    ended: tuple[Held, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(place for one in self.held.values() for place in one.places)


def roll(world: World, roster: Roster, holds: Mapping[str, Hold]) -> Rolled:
    """Reads what is held from the hosts. A hold whose revision no host remembers stays; nothing of it changes then."""
    held: dict[str, Held] = {}
    ended: list[Held] = []
    for name, hold in sorted(holds.items()):
        spec = world.fleet.deployments.get(name)
        if hold.kind != ROLLED_BACK or hold.revision is None or spec is None:
            continue
        one = _read(world, roster, hold, hold.revision)
        if same_as_files(world, roster, spec, one):
            ended.append(one)
        else:
            held[name] = one
    gone = {one.name for one in ended}
    return Rolled(held, {name: hold for name, hold in holds.items() if name not in gone}, tuple(ended))


def entry_at(probe: Mapping[str, Any], name: str, number: int) -> Entry | None:
    """The record that a host had when the deployment was at this revision; None when it had none."""
    current = probe.get("records", {}).get(name)
    if current is not None and current.get("repeats") == number:
        return dict(current)
    entries = {int(e.get("revision", 0)): e for e in probe.get("history", {}).get(name, ())}
    if current is not None:
        entries[int(current.get("revision", 0))] = current
    fitting = [known for known in entries if known <= number]
    return entries[max(fitting)] if fitting else None


def lacking(observed: Observed) -> tuple[str, ...]:
    """Deployments that are held at a revision whose resources a probe must be asked for."""
    found: set[str] = set()
    for name, hold in latest(observed).holds.items():
        for reached in observed.values():
            entry = entry_at(reached.probe, name, hold.revision) if isinstance(reached, Reached) and hold.revision else None
            if entry is not None and "resources" not in entry:
                found.add(name)
    return tuple(sorted(found))


def _read(world: World, roster: Roster, hold: Hold, number: int) -> Held:
    name = hold.deployment
    wanted: dict[str, tuple[Resource, ...]] = {}
    artifacts: dict[str, tuple[Resource, ...]] = {}
    notes: dict[str, Entry] = {}
    for host, reached in sorted(world.observed.items()):
        if not isinstance(reached, Reached) or host not in world.fleet.hosts:
            continue
        entry = entry_at(reached.probe, name, number)
        if entry is not None:
            notes[host] = entry
    silent = {place.number for place in roster.places if place.deployment == name and _silent(world, place.host)}
    slots = max(notes.values(), key=lambda note: int(note.get("revision", 0)), default={}).get("slots")
    for host, reached in sorted(world.observed.items()):
        if not isinstance(reached, Reached) or host not in world.fleet.hosts:
            continue
        current = [resource_from(r) for r in reached.probe.get("records", {}).get(name, {}).get("resources", ())]
        entry = notes.get(host)
        known = _whole(entry) if entry is not None and not _hidden(world, reached, name) else None
        if known is None:  # not known is not absent: only what surely stood elsewhere goes
            known = [] if entry is None and _elsewhere(slots, host, current) else current
        mine = [_wanted(world, host, r, current) for r in known if r.kind in OF_DEPLOYMENT]
        wanted[host] = tuple(r for r in mine if r.kind is not Kind.REPLICA or r.payload["slot"] not in silent)
        there = complete(reached)
        artifacts[host] = tuple(r._replace(host=host) for r in known if r.kind in ARTIFACTS and r.payload["path"] in there)
    requested = any(r.deployment == name and r.kind == ROLLED_BACK for r in world.options.holds)
    return Held(name, number, hold, requested, wanted, artifacts, notes, _places(world, roster, name, wanted))


def _silent(world: World, host: str) -> bool:
    return not isinstance(world.observed.get(host), Reached)


def _hidden(world: World, reached: Reached, name: str) -> bool:
    """Some of its records are there and could not be read."""
    folder = f"{wire.ROOT_STATE}/{world.fleet.name}/{name}/"
    return any(path.startswith(folder) for path in reached.probe.get("unreadable", ()))


def _whole(entry: Entry) -> list[Resource] | None:
    return [resource_from(r) for r in entry["resources"]] if "resources" in entry else None


def _elsewhere(slots: Any, host: str, current: Sequence[Resource]) -> bool:
    """The revision says where all its slots stood, none of them here, and more than a mere address stands here now."""
    if not isinstance(slots, Mapping) or not any(r.kind is Kind.REPLICA for r in current):
        return False
    return all(slot.get("host") != host for slot in slots.values())


def _wanted(world: World, host: str, recorded: Resource, current: Sequence[Resource]) -> Resource:
    """As it was recorded; secrets stay as they are on the host now, and so does its protection."""
    now = next((r for r in current if r.address == recorded.address), None)
    references = {f"key {k['name']}": k["secret"] for k in recorded.payload.get("keys", ()) if "secret" in k}
    attributes = []
    for a in recorded.attributes:
        before = now.attribute(a.name) if now is not None else None
        value = a.value
        if a.secret:
            value = before.value if before is not None else world.secrets.get((host, references.get(a.name, "")))
        elif a.name == "protected" and before is not None:
            value = before.value
        attributes.append(a._replace(value=value))
    payload = dict(recorded.payload)
    if references:
        payload["keys"] = [_key(key, now) for key in payload["keys"]]
    return recorded._replace(host=host, attributes=tuple(attributes), payload=payload)


def _key(key: Mapping[str, Any], now: Resource | None) -> dict[str, Any]:
    """`kept`: the host has a key of this name from the same secret, and it is left alone."""
    there = [(k["name"], k.get("secret")) for k in now.payload.get("keys", ())] if now is not None else []
    bare = {name: value for name, value in key.items() if name != "kept"}
    return {**bare, "kept": True} if "secret" in key and (key["name"], key["secret"]) in there else bare


def _places(world: World, roster: Roster, name: str, wanted: Mapping[str, tuple[Resource, ...]]) -> tuple[Place, ...]:
    """Where its slots stood; those of hosts that do not answer are where they are."""
    found = {p.number: p for p in roster.places if p.deployment == name and _silent(world, p.host)}
    for host, resources in wanted.items():
        for r in resources:
            if r.kind is Kind.REPLICA:
                found.setdefault(r.payload["slot"], Place.of(name, host, r.payload))
    return tuple(found[number] for number in sorted(found))


# what is wanted


def put(world: World, rolled: Rolled, out: Desired) -> None:
    """Adds what is held to what is wanted on each host."""
    named = gatewayhost.named_gateways(world)
    for one in rolled.held.values():
        for host, resources in one.wanted.items():
            if not resources:
                continue
            packages = {n.partition(":")[2] for r in resources for n in r.needs if n.startswith(f"{Kind.PACKAGE}:")}
            made = [Resource(host, Kind.PACKAGE, package, payload={"name": package}) for package in sorted(packages)]
            for resource in (*resources, *gatewayhost.host_resources(world, host, named), *made, *one.artifacts[host]):
                out.hosts[host].setdefault(resource.address, resource)


def said(changes: Iterable[Change], rolled: Rolled) -> list[Change]:
    """The changes of what is held, with the revision in their reason."""
    return [_said(change, rolled.held.get(change.deployment or "")) for change in changes] if rolled.held else list(changes)


def _said(change: Change, held: Held | None) -> Change:
    if held is None:
        return change
    verb = "back to" if held.asked else "held at"
    reason = f"not in revision {held.number}" if change.after is None else f"{verb} revision {held.number}: {change.reason}"
    return change._replace(reason=reason)


# when the files say the same again


def same_as_files(world: World, roster: Roster, spec: DeploymentSpec, held: Held) -> bool:
    """Would the files make the same replicas and the same endpoint, at the places of the revision? Then nobody needs the hold."""
    need = model_need(spec)
    known = "uv" in world.locked.tools and (need.host_path is not None or need.key in world.locked.models)
    if not held.places or not known:
        return False
    others = [p for p in roster.places if p.deployment != spec.name]
    placed = place(world, replace(roster, places=tuple(sorted((*others, *held.places), key=_order))), [spec], others)
    if placed.refusals or placed.places != held.places:
        return False
    wanted = desire(world, [spec], placed.places, {})
    if wanted.refusals:
        return False
    for host, resources in held.wanted.items():
        files = {a: r for a, r in wanted.hosts.get(host, {}).items() if r.kind in (Kind.REPLICA, Kind.ENDPOINT)}
        noted = {r.address: r for r in resources if r.kind in (Kind.REPLICA, Kind.ENDPOINT)}
        if files.keys() != noted.keys() or any(_differ(noted[a], files[a]) for a in noted):
            return False
    return True


def _differ(noted: Resource, files: Resource) -> bool:
    return any(d.name != FILES and not d.secret for d in deltas(noted, files))


def _order(place: Place) -> tuple[str, int]:
    return place.deployment, place.number
