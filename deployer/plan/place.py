"""Where each replica stands: sticky first, then the emptiest host that may have it. Pure and deterministic.

A slot stays where it is as long as its host is in the files and still allowed, also when the host does not answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deployer.plan.model import Refusal
from deployer.plan.room import Seeker, allowed, claimed, gpus_wanted
from deployer.plan.roster import Place, Roster, lost
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.observed import Reached


@dataclass(frozen=True, slots=True)
class Placed:
    places: tuple[Place, ...]
    refusals: tuple[Refusal, ...]
    moved: Mapping[tuple[str, int], str]  # (deployment, slot) → why it does not stay


def place(world: World, roster: Roster, wanted: Iterable[DeploymentSpec], kept: Iterable[Place]) -> Placed:
    """Slots of `wanted` deployments. `kept` are slots of others that stay as they are and only claim their room."""
    claims = claimed(world, kept)
    specs = sorted(wanted, key=lambda d: d.name)
    stays: dict[tuple[str, int], Place] = {}
    moved: dict[tuple[str, int], str] = {}
    leaving: list[Place] = []
    known = roster.by_deployment()
    for spec in specs:
        for old in known.get(spec.name, ()):
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
    places, refusals = _fill(specs, stays, Seeker(world, claims, leaving))
    return Placed(tuple(places), tuple(refusals), moved)


def _fill(
    specs: Iterable[DeploymentSpec], stays: Mapping[tuple[str, int], Place], seeker: Seeker
) -> tuple[list[Place], list[Refusal]]:
    places: list[Place] = []
    refusals: list[Refusal] = []
    for spec in specs:
        numbers = range(spec.replicas)
        beside = {stays[spec.name, n].host for n in numbers if (spec.name, n) in stays}
        for number in numbers:
            found = stays.get((spec.name, number)) or seeker.find(spec, number, beside)
            if isinstance(found, Refusal):
                refusals.append(found)
                break
            beside.add(found.host)
            places.append(found)
    return places, refusals


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
    if host.state == "drained" and isinstance(reached, Reached):
        return f"host {old.host} is drained"
    if isinstance(reached, Reached) and old.gpus:
        there = {g["uuid"] for g in reached.probe.get("gpus", [])}
        missing = [g for g in old.gpus if g not in there]
        if missing and not reached.probe.get("gpu_error"):
            return f"GPU {missing[0]} is not on {old.host} any more"
    if not host.ports[0] <= old.port <= host.ports[1]:
        return f"port {old.port} is outside the range of {old.host}"
    return None
