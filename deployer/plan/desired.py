"""What should stand on each host, resource by resource: from the specs, the lock, and the places that were found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deployer.plan import conversions, endpoint, gatewayhost, guard, serving
from deployer.plan.artifacts import Artifacts
from deployer.plan.model import Refusal
from deployer.plan.numbers import Ran
from deployer.plan.replica import replica
from deployer.plan.roster import Hold, Place
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.observed import Reached
from deployer.state.resources import GATEWAY, Attribute, Kind, Resource


@dataclass(slots=True)
class Desired:
    """`hosts`: resources by address for every host that answered. `makers`: converted model → the host that makes it."""

    hosts: dict[str, dict[str, Resource]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    makers: dict[str, str] = field(default_factory=dict)

    def overlaid(self, other: "Desired") -> "Desired":
        """These, but with the other's resources where it has some; its refusals are ours already."""
        hosts = {name: {**resources, **other.hosts.get(name, {})} for name, resources in self.hosts.items()}
        return Desired(hosts, {**self.texts, **other.texts}, self.refusals, self.makers)


def desire(
    world: World,
    planned: Sequence[DeploymentSpec],
    places: Sequence[Place],
    holds: Mapping[str, Hold],
    makers: Mapping[str, str] | None = None,
) -> Desired:
    """`makers`: what was decided already about who converts what."""
    out = Desired(hosts={n: {} for n, r in sorted(world.observed.items()) if isinstance(r, Reached) and n in world.fleet.hosts})
    by_host: dict[str, Artifacts] = {name: Artifacts() for name in out.hosts}
    of: dict[str, list[Place]] = {}
    for placed in places:
        of.setdefault(placed.deployment, []).append(placed)
    named, ran = gatewayhost.named_gateways(world), Ran(world.observed)
    for spec in planned:
        _deployment(world, spec, of.get(spec.name, []), named, holds, ran, by_host, out)
    gatewayhost.joined(world, out.hosts)
    out.makers = conversions.share(world, by_host, makers or {})
    for name, found in by_host.items():
        out.hosts[name].update(found.resources)
        out.texts.update(found.texts)
        out.refusals.extend(found.refusals)
    return out


def running(spec: DeploymentSpec, holds: Mapping[str, Hold]) -> bool:
    hold = holds.get(spec.name)
    return spec.state == "running" and not (hold is not None and hold.kind == "stopped")


def _deployment(
    world: World,
    spec: DeploymentSpec,
    places: Sequence[Place],
    named: tuple[str, ...],
    holds: Mapping[str, Hold],
    ran: Ran,
    by_host: dict[str, Artifacts],
    out: Desired,
) -> None:
    if not places:  # it was refused a host
        return
    gateways = endpoint.carriers(named, [p.host for p in places])
    refusal = guard.scattered(world, spec, [p.host for p in places], gateways)
    if refusal is not None:
        out.refusals.append(refusal)
        return
    runs = running(spec, holds)
    replicas: dict[str, list[Resource]] = {}
    for place in places:
        reached = world.observed.get(place.host)
        if place.host not in out.hosts or not isinstance(reached, Reached):
            continue
        host = world.fleet.hosts[place.host]
        found = serving.prepare(world, spec, host, reached, by_host[place.host])
        if found is None:
            return
        if runs:
            by_host[place.host].due.update(found.needs)
        made = replica(world, spec, place, reached, found, runs, ran)
        replicas.setdefault(place.host, []).append(made)
        _put(out, made)
    for name in sorted({*replicas, *(g for g in gateways if g in out.hosts)}):
        if GATEWAY not in out.hosts[name]:
            for shared in gatewayhost.host_resources(world, name, named):
                _put(out, shared)
        _put(out, endpoint.resource(world, spec, name, places, replicas.get(name, []), gateways, runs))
        _put(out, _noted(spec, name))


def _put(out: Desired, resource: Resource) -> None:
    out.hosts[resource.host].setdefault(resource.address, resource)


def _noted(spec: DeploymentSpec, host: str) -> Resource:
    """What is only written down: changing it restarts nothing."""
    document, rollout = f"deployment:{spec.name}", spec.rollout
    attributes = (
        Attribute("description", spec.description, at=(document, "description")),
        Attribute("tags", ", ".join(spec.tags) or None, at=(document, "tags")),
        Attribute("protected", spec.protected, at=(document, "protected")),
        Attribute("rollout", str(rollout.strategy), at=(document, "rollout", "strategy")),
        Attribute("auto_revert", rollout.auto_revert, at=(document, "rollout", "auto_revert")),
    )
    return Resource(host, Kind.DEPLOYMENT, spec.name, spec.name, attributes, at=(document, "name"))
