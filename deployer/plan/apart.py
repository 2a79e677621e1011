"""Who may not stand beside whom: `placement.apart` and `placement.apart_from`, and the domains (hosts, racks) over which
replicas are spread. Pure. Called by place and seeker.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec

HOST = "host"
NOWHERE: Mapping[str, int] = {}


def domain(host: HostSpec, by: str) -> str | None:
    """Where a host is as far as spreading goes: its own name, or the value of a label; None where it has no such label."""
    return host.name if by == HOST else host.labels.get(by)


class Neighbours:
    """The places given so far, by deployment. What one deployment says of another counts for both."""

    def __init__(self, world: World, places: Iterable[Place]) -> None:
        self._world = world
        self._hosts: dict[str, dict[str, int]] = {}
        self._places: dict[str, list[Place]] = {}
        self._pairs: dict[str, set[str]] = {}
        for spec in world.fleet.deployments.values():
            for other in spec.placement.apart_from:
                self._pairs.setdefault(spec.name, set()).add(other)
                self._pairs.setdefault(other, set()).add(spec.name)
        for place in places:
            self.add(place)

    def add(self, place: Place) -> None:
        hosts = self._hosts.setdefault(place.deployment, {})
        hosts[place.host] = hosts.get(place.host, 0) + 1
        self._places.setdefault(place.host, []).append(place)

    def remove(self, place: Place) -> None:
        self._hosts[place.deployment][place.host] -= 1
        self._places[place.host].remove(place)

    def has_others(self, deployment: str) -> bool:
        """Whether any rule keeps it apart from another one."""
        return deployment in self._pairs

    def on(self, host: str) -> tuple[Place, ...]:
        """What stands there so far."""
        return tuple(self._places.get(host, ()))

    def of(self, deployment: str) -> Mapping[str, int]:
        """How many of its replicas each host has; one that is not named has none."""
        return self._hosts.get(deployment, NOWHERE)

    def domains(self, spec: DeploymentSpec, by: str) -> Counter[str | None]:
        """How many of its replicas each domain has."""
        found: Counter[str | None] = Counter()
        for name, count in self.of(spec.name).items():
            if count and (host := self._world.fleet.hosts.get(name)) is not None:
                found[domain(host, by)] += count
        return found

    def why_not(self, spec: DeploymentSpec, host: HostSpec) -> str | None:
        """Why a replica of it may not stand on a host beside what is there."""
        others = self._pairs.get(spec.name)
        return (self.beside_other(spec, host, others) if others else None) or self._beside_own(spec, host)

    def beside_other(self, spec: DeploymentSpec, host: HostSpec, others: Iterable[str]) -> str | None:
        there = sorted(other for other in others if self.of(other).get(host.name, 0) > 0)
        return f"has {there[0]}, from which it stands apart" if there else None

    def _beside_own(self, spec: DeploymentSpec, host: HostSpec) -> str | None:
        by = spec.placement.apart
        if by is None:
            return None
        where = domain(host, by)
        if where is None:
            return f"has no label {by}, and its replicas stand apart by that"
        if not self.domains(spec, by)[where]:
            return None
        return "has a replica of it already" if by == HOST else f"{by} {where} has a replica of it already"
