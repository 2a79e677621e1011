"""Where each replica stands: sticky first, then the emptiest host that may have it. Pure and deterministic.

A slot stays where it is as long as its host is in the files and still allowed, also when the host does not answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deployer.plan.model import Refusal
from deployer.plan.roster import Place, Roster, lost
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


@dataclass(frozen=True, slots=True)
class Placed:
    places: tuple[Place, ...]
    refusals: tuple[Refusal, ...]
    moved: Mapping[tuple[str, int], str]  # (deployment, slot) → why it does not stay


def place(world: World, roster: Roster, wanted: Iterable[DeploymentSpec], kept: Iterable[Place]) -> Placed:
    """Slots of `wanted` deployments. `kept` are slots of others that stay as they are and only claim their room."""
    claims = Claims()
    for other in kept:
        claims.take(other)
    _claim_foreign(world, claims)
    specs = sorted(wanted, key=lambda d: d.name)
    stays: dict[tuple[str, int], Place] = {}
    moved: dict[tuple[str, int], str] = {}
    leaving: list[Place] = []
    for spec in specs:
        for old in _previous(world, roster, spec):
            if old.number >= spec.replicas:
                claims.take(old)  # it stops late in the plan: its room is free only for the next one
                continue
            why = _must_move(world, spec, old)
            if why is None:
                stays[spec.name, old.number] = old
                claims.take(old)
            else:
                moved[spec.name, old.number] = why
                leaving.append(old)
    places: list[Place] = []
    refusals: list[Refusal] = []
    for spec in specs:
        for number in range(spec.replicas):
            kept_place = stays.get((spec.name, number))
            if kept_place is not None:
                places.append(kept_place)
                continue
            found = _new(world, spec, number, _without(claims, leaving, spec.name, number), places)
            if isinstance(found, Refusal):
                refusals.append(found)
                break
            claims.take(found)
            places.append(found)
    return Placed(tuple(places), tuple(refusals), moved)


def _without(claims: Claims, leaving: Iterable[Place], deployment: str, number: int) -> Claims:
    """The claims that a slot meets: also the room of slots that leave in this plan, but for its own."""
    seen = Claims(set(claims.ports), set(claims.gpus), dict(claims.slots))
    for old in leaving:
        if (old.deployment, old.number) != (deployment, number):
            seen.take(old)
    return seen


def gpus_wanted(world: World, spec: DeploymentSpec) -> int:
    if spec.placement.gpus is not None:
        return spec.placement.gpus
    return world.engines[spec.engine.name].gpus(spec)


def _previous(world: World, roster: Roster, spec: DeploymentSpec) -> list[Place]:
    for name in (spec.name, *spec.previous_names):
        found = roster.of(name)
        if found:
            return [Place(spec.name, p.number, p.host, p.port, p.gpus) for p in found]
    return []


def _must_move(world: World, spec: DeploymentSpec, old: Place) -> str | None:
    """Why a slot cannot stay; None when it can. What is not known is no reason."""
    host = world.fleet.hosts.get(old.host)
    if host is None:
        return f"host {old.host} is not in the files any more"
    if lost(world.options, old.host):
        return f"host {old.host} was given up with --replace-lost"
    if host.state == "retired":
        return f"host {old.host} is retired"
    if not allowed(spec, host):
        return f"the placement no longer allows {old.host}"
    if len(old.gpus) != gpus_wanted(world, spec):
        return f"it wants {gpus_wanted(world, spec)} GPUs, not {len(old.gpus)}"
    reached = world.observed.get(old.host)
    if isinstance(reached, Reached) and old.gpus:
        there = {g["uuid"] for g in reached.probe.get("gpus", [])}
        missing = [g for g in old.gpus if g not in there]
        if missing and not reached.probe.get("gpu_error"):
            return f"GPU {missing[0]} is not on {old.host} any more"
    if not host.ports[0] <= old.port <= host.ports[1]:
        return f"port {old.port} is outside the range of {old.host}"
    return None


def allowed(spec: DeploymentSpec, host: HostSpec) -> bool:
    if spec.placement.hosts and host.name not in spec.placement.hosts:
        return False
    return all(host.labels.get(key) == value for key, value in spec.placement.labels.items())


def _claim_foreign(world: World, claims: Claims) -> None:
    for name, reached in world.observed.items():
        if not isinstance(reached, Reached):
            continue
        for fleet in reached.probe.get("other_fleets", []):
            claims.ports.update((name, port) for port in fleet.get("ports", ()))
            claims.gpus.update((name, gpu) for gpu in fleet.get("gpus", ()))


def _new(world: World, spec: DeploymentSpec, number: int, claims: Claims, places: list[Place]) -> Place | Refusal:
    wanted = gpus_wanted(world, spec)
    beside = {p.host for p in places if p.deployment == spec.name}
    reasons: list[str] = []
    ranked: list[tuple[tuple[int, int, int, str], str, tuple[str, ...], int]] = []
    order = {name: i for i, name in enumerate(spec.placement.hosts)}
    for name, host in sorted(world.fleet.hosts.items()):
        why, gpus, port = _room(world, spec, host, wanted, claims)
        if why is not None:
            if why:
                reasons.append(f"{name}: {why}")
            continue
        ranked.append(((int(name in beside), order.get(name, 0), claims.slots.get(name, 0), name), name, gpus, port))
    if not ranked:
        return _nowhere(world, spec, number, reasons)
    _, name, gpus, port = min(ranked)
    return Place(spec.name, number, name, port, gpus)


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
    unreachable = any("unreachable" in r for r in reasons)
    hint = "bring the host back, or free a GPU" if unreachable else "give it another host, or fewer replicas"
    if not world.fleet.hosts:
        hint = "add a file to hosts/, or try it on throwaway hosts: deployer lab up 2"
    return Refusal(
        "placement",
        f"{spec.name}/{number} has no host to stand on",
        tuple(reasons) or ("no host of the fleet is allowed by its placement",),
        hint,
        deployment=spec.name,
        source=world.positions.of(f"deployment:{spec.name}", "placement"),
    )
