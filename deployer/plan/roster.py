"""Who is in the fleet and which slots are where, as the hosts themselves remember it.

Every apply leaves the roster on every host it reaches; the planner takes the highest generation it sees, so that a host
that cannot be reached keeps its slots. Holds, a person's exceptions, live here too: on deployments, and on hosts (cordons).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from deployer.plan import canaries, cordons
from deployer.plan.canaries import Canary
from deployer.plan.cordons import Cordon
from deployer.plan.record import HOST_RECORD
from deployer.plan.world import HoldRequest, Options, World
from deployer.state.observed import Observed, Reached

#: The kind of hold that keeps a deployment at an earlier revision, whatever the files say.
ROLLED_BACK = "rolled-back"


class Place(NamedTuple):
    """Where slot `number` of a deployment stands: a host, a port, the UUIDs of its GPUs, and how much of each it has, in
    percent; None: they are its alone. A tuple, as Resource is and for the same reason.
    """

    deployment: str
    number: int
    host: str
    port: int
    gpus: tuple[str, ...] = ()
    share: int | None = None

    @classmethod
    def of(cls, deployment: str, host: str, payload: Mapping[str, Any]) -> "Place":
        """Where a replica stands, by its own payload."""
        gpus, share = tuple(payload.get("gpus", ())), payload.get("share")
        return cls(deployment, int(payload["slot"]), host, int(payload["port"]), gpus, share)

    def as_json(self) -> dict[str, Any]:
        """As the roster has it."""
        told: dict[str, Any] = {"host": self.host, "port": self.port, "gpus": list(self.gpus)}
        return told if self.share is None else {**told, "share": self.share}


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's exception: who, why, until when. `kind`: "stopped", "destroyed", "rolled-back".

    `revision`: the one that the deployment is held at. One that is stopped meanwhile keeps it, and is held there again
    when it is started.
    """

    deployment: str
    kind: str
    who: str
    at: str
    why: str | None = None
    until: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    machine_id: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Roster:
    generation: int = 0
    members: Mapping[str, Member] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    holds: Mapping[str, Hold] = field(default_factory=dict)
    cordons: Mapping[str, Cordon] = field(default_factory=dict)
    canaries: Mapping[str, Canary] = field(default_factory=dict)

    def by_deployment(self) -> dict[str, tuple[Place, ...]]:
        found: dict[str, list[Place]] = {}
        for place in self.places:
            found.setdefault(place.deployment, []).append(place)
        return {name: tuple(places) for name, places in found.items()}


def to_json(roster: Roster) -> dict[str, Any]:
    slots: dict[str, dict[str, Any]] = {}
    for p in sorted(roster.places, key=lambda p: (p.deployment, p.number)):
        slots.setdefault(p.deployment, {})[str(p.number)] = p.as_json()
    return {
        "generation": roster.generation,
        "hosts": {n: {"machine_id": m.machine_id, "address": m.address} for n, m in sorted(roster.members.items())},
        "slots": slots,
        "holds": {n: hold_json(h) for n, h in sorted(roster.holds.items())},
        **({"cordons": cordons.to_json(roster.cordons)} if roster.cordons else {}),
        **({"canaries": canaries.to_json(roster.canaries)} if roster.canaries else {}),
    }


def hold_json(hold: Hold) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": hold.kind, "who": hold.who, "at": hold.at, "why": hold.why, "until": hold.until}
    return said if hold.revision is None else {**said, "revision": hold.revision}


def hold_from(name: str, data: Mapping[str, Any]) -> Hold:
    return Hold(name, data["kind"], data["who"], data["at"], data.get("why"), data.get("until"), data.get("revision"))


def from_json(data: Mapping[str, Any]) -> Roster:
    places = tuple(
        Place(name, int(number), s["host"], s["port"], tuple(s.get("gpus", ())), s.get("share"))
        for name, slots in sorted(data.get("slots", {}).items())
        for number, s in sorted(slots.items(), key=lambda item: int(item[0]))
    )
    members = {n: Member(m.get("machine_id"), m.get("address")) for n, m in data.get("hosts", {}).items()}
    holds = {n: hold_from(n, h) for n, h in data.get("holds", {}).items()}
    held, tried = cordons.from_json(data.get("cordons") or {}), canaries.from_json(data.get("canaries") or {})
    return Roster(int(data.get("generation", 0)), members, places, holds, held, tried)


def latest(observed: Observed) -> Roster:
    """The roster of the highest generation. Where none was written yet, slots are read from the hosts' records."""
    found = [r.probe["roster"] for r in observed.values() if isinstance(r, Reached) and r.probe.get("roster")]
    newest = max((data for data in found if data), key=lambda data: int(data.get("generation", 0)), default=None)
    best = from_json(newest) if newest else Roster()
    stands = {(p.deployment, p.number, p.host): p for p in recorded_places(observed)}
    # a change that was undone leaves its roster behind: what port and GPUs a slot really has, its host knows
    places = {(p.deployment, p.number): stands.get((p.deployment, p.number, p.host), p) for p in best.places}
    for p in stands.values():
        places.setdefault((p.deployment, p.number), p)
    return replace(best, places=tuple(places[key] for key in sorted(places)))


def recorded_places(observed: Observed) -> list[Place]:
    """Slots that hosts' records speak of: what stands there, whatever the roster says."""
    places = []
    for name, reached in sorted(observed.items()):
        if not isinstance(reached, Reached):
            continue
        for deployment, record in sorted(reached.probe.get("records", {}).items()):
            if deployment == HOST_RECORD:
                continue
            replicas = [data["payload"] for data in record.get("resources", []) if data["kind"] == "replica"]
            places += [Place.of(deployment, name, payload) for payload in replicas]
    return places


def holds_now(world: World, roster: Roster) -> dict[str, Hold]:
    """The holds in force: those of the roster, less what has run out, is released, or is in no file and on no host any
    more, with what is asked for now.
    """
    options = world.options
    known = set(world.fleet.deployments) | {p.deployment for p in roster.places}
    holds = {
        name: hold
        for name, hold in roster.holds.items()
        if name in known and name not in options.release and not (hold.until and hold.until <= world.now)
    }
    for request in options.holds:
        before = holds.pop(request.deployment, None)
        held = before.revision if before is not None and request.kind in ("stopped", None) else None
        if request.kind is not None:
            holds[request.deployment] = _hold(request, world, held)
        elif before is not None and held is not None:  # it starts again as it was before it was stopped
            holds[request.deployment] = replace(before, kind=ROLLED_BACK)
    return holds


def _hold(request: HoldRequest, world: World, held: int | None) -> Hold:
    assert request.kind is not None
    revision = held if request.revision is None else request.revision
    return Hold(request.deployment, request.kind, request.who, world.now, request.why, request.until, revision)


def lost(options: Options, host: str) -> bool:
    """A host that a person has given up: its slots may be placed elsewhere."""
    return host in options.replace_lost


def succeed(
    roster: Roster,
    world: World,
    places: tuple[Place, ...],
    holds: Mapping[str, Hold],
    held: Mapping[str, Cordon],
    tried: Mapping[str, Canary],
) -> Roster:
    """The roster after the plan; its generation is one higher when anything differs."""
    members = dict(roster.members)
    for name, spec in world.fleet.hosts.items():
        reached = world.observed.get(name)
        if isinstance(reached, Reached):
            members[name] = Member(reached.probe.get("machine_id"), spec.address)
    for name in world.options.replace_lost:
        members.pop(name, None)
    standing = tuple(sorted(places, key=lambda p: (p.deployment, p.number)))
    after = Roster(roster.generation, members, standing, dict(holds), dict(held), dict(tried))
    # what is written of them counts; their values are quicker to compare, and mostly are equal
    same = roster.generation and (after == roster or to_json(after) == to_json(roster))
    return after if same else replace(after, generation=roster.generation + 1)
