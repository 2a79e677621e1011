"""Where each replica stands: sticky first, then where it is wanted and there is room. Pure and deterministic.

A slot stays where it is as long as its host is in the files and still allowed, and always while the host does not answer.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deployer.plan import gpupick
from deployer.plan.apart import Neighbours
from deployer.plan.model import Notice, Refusal
from deployer.plan.nowhere import Nowhere
from deployer.plan.room import WHOLE, claimed, gpu_number
from deployer.plan.roster import Place, Roster, lost
from deployer.plan.seeker import Seeker
from deployer.plan.shares import beside_words, resized
from deployer.plan.wishes import GpuKind, Wishes, allowed, gpus_wanted
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.observed import Reached

Slot = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Placed:
    places: tuple[Place, ...]
    refusals: tuple[Refusal, ...]
    moved: Mapping[Slot, str]  # why it does not stay
    chosen: Mapping[Slot, str] = field(default_factory=dict)  # of those that stand somewhere new: why there


def place(world: World, roster: Roster, wanted: Iterable[DeploymentSpec], kept: Iterable[Place]) -> Placed:
    """Slots of `wanted` deployments. `kept` are slots of others that stay as they are and only claim their room."""
    standing, specs = list(kept), sorted(wanted, key=lambda d: d.name)
    wishes, claims, beside = Wishes(world), claimed(world, standing), Neighbours(world, standing)
    stays: dict[Slot, Place] = {}
    moved: dict[Slot, str] = {}
    leaving: list[Place] = []
    known = roster.by_deployment()
    for spec in specs:
        for old in known.get(spec.name, ()):
            if old.number >= spec.replicas:
                claims.take(old)  # it stops late in the plan: its room is free only for the next one
                continue
            why = _must_move(world, wishes, spec, old)
            if why is None:
                stays[spec.name, old.number] = old
                beside.add(old)
            else:
                moved[spec.name, old.number] = why
                leaving.append(old)
    for old, why in _too_near(world, specs, stays, beside):
        del stays[old.deployment, old.number]
        moved[old.deployment, old.number] = why
        leaving.append(old)
    for old in stays.values():
        claims.take(old)
    for old, now, why in resized(world, stays, claims, leaving):
        beside.remove(old)
        if why is None:
            beside.add(now)
            stays[old.deployment, old.number] = now
        else:
            del stays[old.deployment, old.number]
            moved[old.deployment, old.number] = why
            leaving.append(old)
    seeker = Seeker(world, claims, beside, wishes, leaving)
    places, refusals, chosen = _fill(world, specs, stays, wishes, seeker, Nowhere(world, wishes, claims, beside, seeker))
    return Placed(tuple(places), tuple(refusals), dict(sorted(moved.items())), chosen)


def notices(world: World, placed: Placed) -> Iterable[Notice]:
    """What moves, why, and why to there; where each replica of a deployment stands that is explained, and why."""
    hosts = {(p.deployment, p.number): p.host for p in placed.places}
    for slot, why in placed.moved.items():
        there = f"to {hosts[slot]}: {placed.chosen[slot]}" if slot in placed.chosen else None
        yield Notice("move", f"{slot[0]}/{slot[1]} moves: {why}", there, deployment=slot[0])
    for slot, host in hosts.items():
        if slot[0] in world.options.explain:
            why = placed.chosen.get(slot, "it stands there already")
            more = f"{_joined(world, placed, slot)}{beside_words(placed.places, slot)}"
            yield Notice("placement", f"{slot[0]}/{slot[1]} on {host}: {why}{more}", deployment=slot[0])


def _joined(world: World, placed: Placed, slot: Slot) -> str:
    """How its GPUs are joined, where the driver says it."""
    (where,) = (p for p in placed.places if (p.deployment, p.number) == slot)
    reached = world.observed.get(where.host)
    joined = gpupick.joined(where.gpus, reached.probe) if isinstance(reached, Reached) else None
    return "" if joined is None else "; its GPUs are joined by NVLink" if joined else "; not all of its GPUs are joined by NVLink"


def _fill(
    world: World,
    specs: Sequence[DeploymentSpec],
    stays: Mapping[Slot, Place],
    wishes: Wishes,
    seeker: Seeker,
    nowhere: Nowhere,
) -> tuple[list[Place], list[Refusal], dict[Slot, str]]:
    """Those that want the most GPUs choose first, of as many those that want whole ones, and of these those whom the fewest GPUs
    would do: what is small, or does not care, finds room in the gaps.
    """
    places, refusals, chosen = list(stays.values()), [], {}

    def need(spec: DeploymentSpec) -> tuple[int, int, int, str]:
        wish = wishes.of(spec)
        return -wish.gpus, -(wish.share or WHOLE), wishes.choice(wish), spec.name

    standing = Counter([name for name, _ in stays])
    looking = [spec for spec in specs if standing.get(spec.name, 0) < spec.replicas]
    for spec in sorted(looking, key=need):
        for number in range(spec.replicas):
            if (spec.name, number) in stays:
                continue
            found = seeker.find(spec, number)
            if found is None:
                refusals.append(nowhere.refusal(spec, number))
                break
            places.append(found[0])
            chosen[spec.name, number] = found[1]
    order = {spec.name: number for number, spec in enumerate(specs)}
    refusals.sort(key=lambda refusal: order[refusal.deployment or ""])
    return sorted(places, key=lambda p: (p.deployment, p.number)), refusals, chosen


def _too_near(
    world: World, specs: Sequence[DeploymentSpec], stays: Mapping[Slot, Place], beside: Neighbours
) -> Iterable[tuple[Place, str]]:
    """Slots that stand where `apart` or `apart_from` of their own deployment forbids it: they move, the others stay."""
    for spec in specs:
        if not (spec.placement.apart or spec.placement.apart_from):
            continue
        for number in reversed(range(spec.replicas)):
            old = stays.get((spec.name, number))
            host = world.fleet.hosts.get(old.host) if old is not None else None
            if old is None or host is None or not isinstance(world.observed.get(old.host), Reached):
                continue
            beside.remove(old)
            why = beside.why_not(spec, host)
            if why is None:
                beside.add(old)
            else:
                yield old, f"{old.host} {why}"


def _must_move(world: World, wishes: Wishes, spec: DeploymentSpec, old: Place) -> str | None:
    """Why a slot cannot stay; None when it can. What is not known is no reason, and nothing moves from a host that does not
    answer: it may serve there.
    """
    host = world.fleet.hosts.get(old.host)
    if host is None:
        return f"host {old.host} is not in the files any more"
    if lost(world.options, old.host):
        return f"host {old.host} was given up with --replace-lost"
    if host.state == "retired":
        return f"host {old.host} is retired"
    reached = world.observed.get(old.host)
    if not isinstance(reached, Reached):
        return None
    if not allowed(spec, host):
        return f"the placement no longer allows {old.host}"
    wanted = gpus_wanted(world, spec)
    if len(old.gpus) != wanted:
        return f"it wants {wanted} GPUs, not {len(old.gpus)}"
    if host.state == "drained":
        return f"host {old.host} is drained"
    if not host.ports[0] <= old.port <= host.ports[1]:
        return f"port {old.port} is outside the range of {old.host}"
    return _gpus_forbid(wishes, spec, old, reached)


def _gpus_forbid(wishes: Wishes, spec: DeploymentSpec, old: Place, reached: Reached) -> str | None:
    there, rules = wishes.gpus.of(reached), spec.placement
    choosy = rules.gpu is not None or rules.gpu_memory is not None
    for uuid in old.gpus:
        gpu = there.get(uuid)
        if gpu is None:
            if reached.probe.get("gpu_error"):
                continue
            return f"GPU {uuid} is not on {old.host} any more"
        broken = wishes.broken(spec, GpuKind.of(gpu)) if choosy else None
        if broken is not None:
            return f"GPU {gpu_number(gpu)} of {old.host} is {GpuKind.of(gpu)}: {broken}"
    return None
