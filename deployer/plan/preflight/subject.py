"""Replicas that a preflight looks at, each with its host's answer. Called by preflight."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from deployer.plan.model import Change
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.spec.source import Source
from deployer.state.observed import Reached
from deployer.state.resources import Kind


class Subject(NamedTuple):
    spec: DeploymentSpec
    place: Place
    reached: Reached

    @property
    def name(self) -> str:
        return f"{self.place.deployment}/{self.place.number}"

    def source(self, world: World, *path: str | int) -> Source | None:
        return world.positions.of(f"deployment:{self.place.deployment}", *path)


def subjects(world: World, places: Iterable[Place]) -> list[Subject]:
    """Those that the files still want, on hosts that answered; a deployment that is to be stopped starts nothing."""
    return sorted(_all(world, places), key=lambda s: (s.place.deployment, s.place.number))


def _all(world: World, places: Iterable[Place]) -> Iterator[Subject]:
    for place in places:
        spec, reached = world.fleet.deployments.get(place.deployment), world.observed.get(place.host)
        if spec is not None and isinstance(reached, Reached) and place.host in world.fleet.hosts and spec.state == "running":
            yield Subject(spec, place, reached)


def starting(world: World, places: Sequence[Place], changes: Iterable[Change]) -> list[Subject]:
    """Those of which this plan starts a process."""
    kind = Kind.REPLICA
    names = {(c.host, c.name) for c in changes if c.kind is kind and c.after is not None and "create" in c.actions}
    return subjects(world, (p for p in places if (p.host, f"{p.deployment}/{p.number}") in names)) if names else []
