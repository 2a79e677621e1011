"""Holds on hosts: a person says that nothing new is placed on one (cordoned), or that its replicas move away (drained).

They live in the roster beside the deployments' holds. The rest of the planner sees only the host's `state`: what its file
says, or the hold when that is stronger. Pure. Called by roster and make.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployer.plan.model import Notice, Refusal
from deployer.plan.world import World
from deployer.state.observed import Reached

if TYPE_CHECKING:
    from deployer.plan.roster import Place

#: From the weakest to the strongest. A hold that is not stronger than the file says nothing.
STATES = ("active", "cordoned", "drained", "retired")


@dataclass(frozen=True, slots=True)
class Cordon:
    """`kind`: "cordoned" or "drained". Times are ISO 8601, UTC."""

    host: str
    kind: str
    who: str
    at: str
    why: str | None = None
    until: str | None = None


def to_json(cordons: Mapping[str, Cordon]) -> dict[str, Any]:
    return {name: one_json(cordon) for name, cordon in sorted(cordons.items())}


def one_json(cordon: Cordon) -> dict[str, Any]:
    return {"kind": cordon.kind, "who": cordon.who, "at": cordon.at, "why": cordon.why, "until": cordon.until}


def from_json(data: Mapping[str, Any]) -> dict[str, Cordon]:
    return {n: Cordon(n, c["kind"], c["who"], c["at"], c.get("why"), c.get("until")) for n, c in data.items()}


def stronger(one: str, other: str) -> bool:
    return STATES.index(one) > STATES.index(other)


def in_force(world: World, noted: Mapping[str, Cordon], members: Collection[str]) -> dict[str, Cordon]:
    """The holds on hosts that count: those noted, less what has run out, is released, is of a host that nobody knows any
    more, or is what the host's file says by now; with what is asked for.
    """
    options = world.options
    found = {
        name: cordon
        for name, cordon in noted.items()
        if (name in world.fleet.hosts or name in members)
        and name not in options.release
        and not (cordon.until and cordon.until <= world.now)
    }
    for request in options.cordons:
        found.pop(request.host, None)
        if request.kind is not None:
            found[request.host] = Cordon(request.host, request.kind, request.who, world.now, request.why, request.until)
    files = {name: spec.state for name, spec in world.fleet.hosts.items()}
    return {name: cordon for name, cordon in found.items() if stronger(cordon.kind, files.get(name, "active"))}


def with_states(world: World, cordons: Mapping[str, Cordon]) -> World:
    """The world in which each host's state is what counts: its file's, or the hold."""
    held = {name: cordon for name, cordon in cordons.items() if name in world.fleet.hosts}
    if not held:
        return world
    hosts = {
        name: host.model_copy(update={"state": held[name].kind}) if name in held else host
        for name, host in world.fleet.hosts.items()
    }
    return replace(world, fleet=world.fleet.model_copy(update={"hosts": hosts}))


def stuck(world: World, revisions: Mapping[str, int], places: "Iterable[Place]") -> Iterable[Refusal]:
    """What is held at a revision stands where it stood then, and so cannot leave a drained host."""
    for place in places:
        host = world.fleet.hosts.get(place.host)
        drained = host is not None and host.state in ("drained", "retired")
        if host is not None and drained and isinstance(world.observed.get(place.host), Reached):
            what = f"{place.deployment}/{place.number} cannot leave {place.host}, which is {host.state}"
            details = (f"{place.deployment} is held at revision {revisions[place.deployment]}, which stands there",)
            hint = f"lift that hold first: deployer apply --release {place.deployment}"
            yield Refusal("drain", what, details, hint, place.host, place.deployment)


def notices(
    world: World, cordons: Mapping[str, Cordon], standing: Mapping[str, int], carries: Collection[str]
) -> Iterable[Notice]:
    """`standing`: slots that are on each host when the plan is done. `carries`: hosts that are named as gateways."""
    for name, cordon in sorted(cordons.items()):
        why = f" ({cordon.why})" if cordon.why else ""
        until = f", until {cordon.until}" if cordon.until else ""
        what = f"host {name} is held {cordon.kind} by {cordon.who} since {cordon.at}{until}{why}"
        yield Notice("hold", what, f"to lift it: deployer hosts uncordon {name}", host=name)
    for name, host in sorted(world.fleet.hosts.items()):
        if host.state != "drained":
            continue
        if standing.get(name) and not isinstance(world.observed.get(name), Reached):
            what = f"{name} does not answer: what stands on it keeps its place"
            yield Notice("drain", what, f"to give the host up: --replace-lost {name}", host=name)
        if name in carries:
            others = sorted(other for other in carries if other != name and world.fleet.hosts[other].state == "active")
            what = f"{name} is a gateway and goes on being one: only its replicas move"
            hint = f"clients can use {', '.join(others)}" if others else "no other host is a gateway: gateway: true in its file"
            yield Notice("drain", what, hint, host=name)
