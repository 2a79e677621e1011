"""Which change is done in which wave of its rollout, and what the gateway is told meanwhile. Called by make. Pure.

In a rolling update a host's own route leaves out the replicas that are replaced in this wave; where none is left, the route
stays and the host's front says that it leaves, so that other gateways send nothing more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.plan import endpoint, gatewayhost
from deployer.plan.canaries import is_canary
from deployer.plan.canary import as_any_other
from deployer.plan.desired import Desired
from deployer.plan.model import Change
from deployer.plan.rollout import Decided
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.render.gateway import LEFT_AFTER_S
from deployer.state.resources import Kind, Resource

#: So long nothing may have come before a front counts as left: until other gateways know it, and until what they sent is here.
FRONT_QUIET_S = LEFT_AFTER_S + 2.0


def in_waves(
    world: World, places: Sequence[Place], wanted: Desired, decided: Decided, changes: Sequence[Change]
) -> Sequence[Change]:
    """The changes with `data["wave"]` where that is not the first, and `data["drain"]` on the first of a host's wave."""
    if not decided.waves:
        return changes
    rolling: dict[str, list[Change]] = {}
    waves: dict[tuple[str, str], list[int]] = {}  # of each deployment on each host
    names = {c.deployment for c in changes if c.deployment and (c.host, c.address) in decided.waves}
    for change in changes:
        if change.deployment in names:
            rolling.setdefault(change.deployment, []).append(change)
            mine = decided.waves.get((change.host, change.address))
            waves.setdefault((change.host, change.deployment), []).extend([mine] if mine else ())
    of: dict[str, list[Place]] = {name: [] for name in rolling}
    for place in places:
        if place.deployment in of:
            of[place.deployment].append(place)
    named = gatewayhost.named_gateways(world)
    drains = {name: _drains(world, name, of[name], named, wanted, decided, rolling[name]) for name in rolling}
    return [_placed(c, decided, waves, drains) if c.deployment in rolling else c for c in changes]


def _placed(
    change: Change,
    decided: Decided,
    waves: Mapping[tuple[str, str], Sequence[int]],
    drains: Mapping[str, Mapping[tuple[str, str], dict[str, Any]]],
) -> Change:
    assert change.deployment is not None
    key = (change.host, change.address)
    wave = decided.waves.get(key) or _wave(change, waves[change.host, change.deployment])
    drain = drains[change.deployment].get(key)
    data = {**change.data, **({"wave": wave} if wave > 1 else {}), **({"drain": drain} if drain else {})}
    return change._replace(data=data, impact=change.impact._replace(downtime_s=None) if key in decided.waves else change.impact)


def _wave(change: Change, here: Sequence[int]) -> int:
    """What is made comes first, what goes and what is noted comes last; a route changes with the first replica behind it."""
    if change.kind is Kind.ENDPOINT:
        return min(here, default=1)
    if change.kind is Kind.DEPLOYMENT or change.after is None:
        return max(here, default=1)
    return 1


def _drains(
    world: World,
    name: str,
    places: Sequence[Place],
    named: tuple[str, ...],
    wanted: Desired,
    decided: Decided,
    changes: Sequence[Change],
) -> dict[tuple[str, str], dict[str, Any]]:
    """By the first replica of each host and wave: the route while it is replaced, and afterwards. `places` and `changes`: the
    deployment's.
    """
    gateways = endpoint.carriers(named, [p.host for p in places])
    found: dict[tuple[str, str], dict[str, Any]] = {}
    mine = [c for c in changes if (c.host, c.address) in decided.waves]
    for host in sorted({c.host for c in mine}):
        route = wanted.hosts[host].get(f"{Kind.ENDPOINT}:{name}")
        if route is None:
            continue
        for wave in sorted({decided.waves[c.host, c.address] for c in mine if c.host == host}):
            batch = sorted((c for c in mine if c.host == host and decided.waves[c.host, c.address] == wave), key=lambda c: c.name)
            standing = _standing(host, name, wanted, changes, wave)
            left = [r for r in standing if r.address not in {c.address for c in batch}]
            found[host, batch[0].address] = _drain(world, name, host, places, gateways, route, standing, left, batch)
    return found


def _standing(host: str, name: str, wanted: Desired, changes: Sequence[Change], wave: int) -> list[Resource]:
    """The replicas of a host that serve when a wave begins: not the ones that the first wave is still to make. A canary that
    goes does so in the last one.
    """
    new = {c.address for c in changes if c.host == host and c.before is None}
    mine = [r for r in wanted.hosts[host].values() if r.kind is Kind.REPLICA and r.deployment == name]
    gone = [c.before for c in changes if c.host == host and c.after is None and c.before is not None and is_canary(c.before)]
    return [*(r for r in mine if wave > 1 or r.address not in new), *map(as_any_other, gone)]


def _drain(
    world: World,
    name: str,
    host: str,
    places: Sequence[Place],
    gateways: Sequence[str],
    route: Resource,
    standing: Sequence[Resource],
    left: Sequence[Resource],
    batch: Sequence[Change],
) -> dict[str, Any]:
    spec = world.fleet.deployments[name]
    meanwhile = endpoint.resource(world, spec, host, places, left or standing, gateways, True, leaving=not left)
    return {
        "during": meanwhile.payload["files"],
        "after": route.payload["files"],
        "unit": route.payload["unit"],
        "config_dir": route.payload["config_dir"],
        "check": route.payload["check"],
        "ports": [c.before.payload["port"] for c in batch if c.before is not None],
        "quiet_s": None if left else FRONT_QUIET_S,
        "deadline_s": spec.rollout.drain_deadline,
    }
