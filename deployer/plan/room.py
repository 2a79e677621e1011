"""Where a replica that has no place yet finds room: on the emptiest host that may have it. Used by place.

Deterministic: hosts are tried by how many slots they have, then by name; replicas of one deployment spread first.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deployer.plan.model import Refusal
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.observed import Reached

#: A GPU on which somebody else's process holds more than this is not free.
FOREIGN_MEMORY = 256 * 1024 * 1024


@dataclass(slots=True)
class Claims:
    """What is taken on the hosts while slots are being placed: (host, port) and (host, GPU)."""

    ports: set[tuple[str, int]] = field(default_factory=set)
    gpus: set[tuple[str, str]] = field(default_factory=set)
    slots: dict[str, int] = field(default_factory=dict)  # host → slots

    def take(self, place: Place) -> None:
        self.ports.add((place.host, place.port))
        self.gpus.update((place.host, g) for g in place.gpus)
        self.slots[place.host] = self.slots.get(place.host, 0) + 1

    def copy(self) -> "Claims":
        return Claims(set(self.ports), set(self.gpus), dict(self.slots))

    def with_others(self, leaving: Iterable[Place], deployment: str, number: int) -> "Claims":
        """These and the room of slots that leave in this plan, but for the slot's own."""
        seen = self.copy()
        for old in leaving:
            if (old.deployment, old.number) != (deployment, number):
                seen.take(old)
        return seen


class Seeker:
    """Finds places one after another. Room only shrinks while it is used, so a host without room for so many GPUs is not
    asked again for as many; that keeps a thousand hosts and five thousand slots far from asking every pair.
    """

    def __init__(self, world: World, claims: Claims, leaving: Sequence[Place] = ()) -> None:
        self._world = world
        self._claims = claims
        self._leaving = leaving
        self._heaps: dict[tuple[object, ...], list[tuple[int, str]]] = {}

    def find(self, spec: DeploymentSpec, number: int, beside: set[str]) -> Place | Refusal:
        """`beside`: hosts that already have a replica of it; they are taken last."""
        wanted = gpus_wanted(self._world, spec)
        found = self._scan(spec, number, wanted, beside) if self._leaving else self._pop(spec, number, wanted, beside)
        if found is not None:
            self._claims.take(found)
            return found
        return _nowhere(self._world, spec, number, self._reasons(spec, wanted))

    def _pop(self, spec: DeploymentSpec, number: int, wanted: int, beside: set[str]) -> Place | None:
        """From the heap of its kind of wish; what it holds may be out of date and is then put back as it is now."""
        heap = self._heap(spec, wanted)
        aside: list[tuple[int, str]] = []
        found: Place | None = None
        while heap:
            known, name = heapq.heappop(heap)
            now = self._claims.slots.get(name, 0)
            if now != known:
                heapq.heappush(heap, (now, name))
                continue
            if name in beside:
                aside.append((now, name))
                continue
            found = self._at(spec, number, name, wanted, self._claims)
            if found is not None:
                aside.append((now, name))
                break
        if found is None:
            last = (self._at(spec, number, name, wanted, self._claims) for _, name in sorted(aside))
            found = next((place for place in last if place is not None), None)
        for entry in aside:
            heapq.heappush(heap, entry)
        return found

    def _heap(self, spec: DeploymentSpec, wanted: int) -> list[tuple[int, str]]:
        key = (tuple(sorted(spec.placement.labels.items())), spec.placement.hosts, wanted)
        if key not in self._heaps:
            hosts = [n for n, h in self._world.fleet.hosts.items() if allowed(spec, h)]
            self._heaps[key] = [(self._claims.slots.get(name, 0), name) for name in hosts]
            heapq.heapify(self._heaps[key])
        return self._heaps[key]

    def _scan(self, spec: DeploymentSpec, number: int, wanted: int, beside: set[str]) -> Place | None:
        """Every host: while some slots leave, each seeker meets other claims."""
        claims = self._claims.with_others(self._leaving, spec.name, number)
        ranked = sorted((n in beside, claims.slots.get(n, 0), n) for n in self._world.fleet.hosts)
        tried = (self._at(spec, number, name, wanted, claims) for *_, name in ranked)
        return next((place for place in tried if place is not None), None)

    def _at(self, spec: DeploymentSpec, number: int, name: str, wanted: int, claims: Claims) -> Place | None:
        why, gpus, port = _room(self._world, spec, self._world.fleet.hosts[name], wanted, claims)
        return None if why is not None else Place(spec.name, number, name, port, gpus)

    def _reasons(self, spec: DeploymentSpec, wanted: int) -> list[str]:
        hosts = sorted(self._world.fleet.hosts.items())
        said = ((name, _room(self._world, spec, host, wanted, self._claims)[0]) for name, host in hosts)
        return [f"{name}: {why}" for name, why in said if why]


def gpus_wanted(world: World, spec: DeploymentSpec) -> int:
    if spec.placement.gpus is not None:
        return spec.placement.gpus
    return world.engines[spec.engine.name].gpus(spec)


def allowed(spec: DeploymentSpec, host: HostSpec) -> bool:
    if spec.placement.hosts and host.name not in spec.placement.hosts:
        return False
    return all(host.labels.get(key) == value for key, value in spec.placement.labels.items())


def claimed(world: World, places: Iterable[Place]) -> Claims:
    """What these places take, and what other fleets have on the same hosts."""
    claims = Claims()
    for place in places:
        claims.take(place)
    for name, reached in world.observed.items():
        if not isinstance(reached, Reached):
            continue
        for fleet in reached.probe.get("other_fleets", []):
            claims.ports.update((name, port) for port in fleet.get("ports", ()))
            claims.gpus.update((name, gpu) for gpu in fleet.get("gpus", ()))
    return claims


def _room(
    world: World, spec: DeploymentSpec, host: HostSpec, wanted: int, claims: Claims
) -> tuple[str | None, tuple[str, ...], int]:
    """(why not, GPUs, port); an empty reason is not worth a line."""
    reached = world.observed.get(host.name)
    if not allowed(spec, host):
        labels = {k: v for k, v in spec.placement.labels.items() if host.labels.get(k) != v}
        said = ", ".join(f"{k}: {v}" for k, v in sorted(labels.items()))
        return (f"has no label {said}" if said and not spec.placement.hosts else ""), (), 0
    if host.state != "active":
        return f"is {host.state}", (), 0
    if reached is None:
        return "was not asked", (), 0
    if not isinstance(reached, Reached):
        return f"unreachable: {reached.message}", (), 0
    free = free_gpus(host, reached, claims)
    if len(free) < wanted:
        total = len(usable_gpus(host, reached))
        return f"{len(free)} of {total} GPUs free, {wanted} wanted", (), 0
    port = free_port(host, reached, claims)
    if port is None:
        return f"no free port in {host.ports[0]}-{host.ports[1]}", (), 0
    return None, tuple(free[:wanted]), port


def usable_gpus(host: HostSpec, reached: Reached) -> list[str]:
    """UUIDs that the host's file lets us have, in the order of their index."""
    gpus = sorted(reached.probe.get("gpus", []), key=lambda g: g["index"])
    if host.gpus == "all":
        return [g["uuid"] for g in gpus]
    return [g["uuid"] for g in gpus if g["uuid"] in host.gpus or g["index"] in host.gpus]


def free_gpus(host: HostSpec, reached: Reached, claims: Claims) -> list[str]:
    busy = {
        g["uuid"]
        for g in reached.probe.get("gpus", [])
        if any(not p.get("unit", "") and p.get("memory", 0) > FOREIGN_MEMORY for p in g.get("processes", []))
    }
    return [u for u in usable_gpus(host, reached) if (host.name, u) not in claims.gpus and u not in busy]


def free_port(host: HostSpec, reached: Reached, claims: Claims) -> int | None:
    listening = {entry["port"] for entry in reached.probe.get("listening", [])}
    first, last = host.ports
    return next((p for p in range(first, last + 1) if (host.name, p) not in claims.ports and p not in listening), None)


def _nowhere(world: World, spec: DeploymentSpec, number: int, reasons: list[str]) -> Refusal:
    return Refusal(
        "placement",
        f"{spec.name}/{number} has no host to stand on",
        tuple(reasons) or ("no host of the fleet is allowed by its placement",),
        _way_out(world, reasons),
        deployment=spec.name,
        source=world.positions.of(f"deployment:{spec.name}", "placement"),
    )


#: What a reason holds → what would help. The first that fits is said.
_WAYS_OUT = (
    ("unreachable", "bring the host back (what it needs is said above), or give the deployment another host"),
    ("no free port", "widen ports: in the host's file, or end what listens there"),
    ("GPUs free", "free a GPU, or give it another host or fewer replicas"),
    ("has no label", "correct placement.labels here, or labels: in a host's file"),
    ("is drained", "lift that (deployer hosts uncordon HOST), make room elsewhere, or stop it first: deployer stop NAME"),
    ("is cordoned", "lift that (deployer hosts uncordon HOST, or state: active in its file), or give it another host"),
)


def _way_out(world: World, reasons: list[str]) -> str:
    if not world.fleet.hosts:
        return "add a file to hosts/, or try it on throwaway hosts: deployer lab up 2"
    found = (say for word, say in _WAYS_OUT if any(word in reason for reason in reasons))
    return next(found, "give it another host, or fewer replicas")
