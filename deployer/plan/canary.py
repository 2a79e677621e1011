"""Strategy canary: one process of the new revision beside the old replicas, with a share of the requests. Called by make.

While one stands, what is wanted of its deployment is: the old replicas as their host noted them, one replica as the files
say, and a route that knows which is which. So the same files change nothing, other files change the canary alone, and files
that say the old again end it. To promote it is to plan without all this; to revert it is a rollback. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deployer.plan import canaries, endpoint
from deployer.plan.beside import Room, second
from deployer.plan.canaries import CANARY, Canary, is_canary
from deployer.plan.desired import Desired, desire, running
from deployer.plan.diff import compare
from deployer.plan.gatewayhost import named_gateways
from deployer.plan.model import Change, Notice, Refusal, Rollout
from deployer.plan.place import Placed
from deployer.plan.rollout import Recorded, claims
from deployer.plan.roster import Hold, Place, Roster
from deployer.plan.words import duration
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, Strategy
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource


@dataclass(slots=True)
class Canaries:
    """`standing`: by deployment, once the plan is done. `places`: all slots of those, `begun`: what this plan starts."""

    standing: dict[str, Canary] = field(default_factory=dict)
    places: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    begun: dict[str, Rollout] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def applied(self, placed: Placed) -> Placed:
        """Where everything stands while these do."""
        mine = [p for name in sorted(self.places) for p in self.places[name]]
        moved = {key: why for key, why in placed.moved.items() if key[0] not in self.places}
        return replace(placed, places=(*(p for p in placed.places if p.deployment not in self.places), *mine), moved=moved)


def put(
    world: World,
    roster: Roster,
    planned: Sequence[DeploymentSpec],
    placed: Placed,
    kept: Sequence[Place],
    recorded: Recorded,
    holds: Mapping[str, Hold],
    wanted: Desired,
) -> Canaries:
    """Changes what is `wanted` of the deployments of which a canary stands, or begins now."""
    out, known = Canaries(), canaries.standing(world.observed, roster.canaries)
    names = {spec.name for spec in planned}
    left = (*names, *holds)
    out.standing.update({name: one for name, one in known.items() if name not in left and name in world.fleet.deployments})
    room: Room | None = None
    strategy = Strategy.CANARY
    for spec in planned:
        if spec.rollout.strategy is not strategy or spec.name in world.options.promote or not running(spec, holds):
            continue
        one = known.get(spec.name)
        if one is not None and not isinstance(world.observed.get(one.host), Reached):
            out.standing[spec.name] = one
            continue
        old = [r for by in recorded.values() for r in by.get(spec.name, ()) if r.kind is Kind.REPLICA and not is_canary(r)]
        due = _due(world, old, wanted)
        moves = one is not None and any(name == spec.name for name, _ in placed.moved)  # nothing moves meanwhile
        if not (due or moves) or not all(r.runs for r in old):
            continue
        no = _impossible(world, spec, roster, old, one)
        if no is None and one is None:
            room = room or Room(claims(world, placed.places, kept))
        found = no if no is not None else _place(world, spec, one, old, due, recorded, room)
        if isinstance(found, Place):
            _want(world, spec, one, old, found, holds, wanted, out)
        else:
            out.refusals.append(found)
    return out


def _due(world: World, old: Sequence[Resource], wanted: Desired) -> list[Change]:
    """What would be replaced by a new process, went it by the files."""
    found = []
    for before in old:
        after = wanted.hosts.get(before.host, {}).get(before.address)
        change = compare(before, after, world.positions) if after is not None else None
        if change is not None and "create" in change.actions:
            found.append(change)
    return found


def _impossible(
    world: World, spec: DeploymentSpec, roster: Roster, old: Sequence[Resource], one: Canary | None
) -> Refusal | None:
    hosts = sorted({r.host for r in old} | {p.host for p in roster.places if p.deployment == spec.name})
    if len(hosts) > 1:
        why = f"its replicas stand on {', '.join(hosts)}, and the share of a canary is kept by the one host that has them all"
        return _refused(world, spec, "no canary over several hosts", why)
    host = world.fleet.hosts.get(hosts[0])
    if host is None or host.state in ("drained", "retired"):
        state = "in no file any more" if host is None else host.state
        what = f"{hosts[0]} is {state}" + (" while its canary stands there" if one else "")
        hint = f"deployer promote {spec.name}, or deployer revert {spec.name}, first" if one else None
        return _refused(world, spec, "no canary there", what, hint)
    if spec.rollout.canary.promote == "auto" and not spec.rollout.canary.watch:
        why = "promote: auto goes by what was watched, and watch: 0s watches nothing"
        return _refused(world, spec, "a canary that nobody watches", why, "write a time, such as watch: 10m, or promote: manual")
    return None


def _refused(world: World, spec: DeploymentSpec, what: str, why: str, hint: str | None = None) -> Refusal:
    source = world.positions.of(f"deployment:{spec.name}", "rollout", "strategy")
    hint = hint or "rollout: {strategy: auto} takes what fits"
    return Refusal("rollout", f"{spec.name}: {what}", (why,), hint, deployment=spec.name, source=source)


def _place(
    world: World,
    spec: DeploymentSpec,
    one: Canary | None,
    old: Sequence[Resource],
    due: Sequence[Change],
    recorded: Recorded,
    room: Room | None,
) -> Place | Refusal:
    """Where it stands, or may."""
    if one is not None:
        mine = (r for r in recorded[one.host][spec.name] if is_canary(r))
        return next(_stands(spec, r) for r in mine if r.payload["slot"] == one.slot)
    assert room is not None
    found = second(world, spec, due[0], room)
    if isinstance(found, str):
        return _refused(world, spec, "no room for a canary beside the old", found)
    return found.place._replace(number=max(int(r.payload["slot"]) for r in old) + 1)


def _stands(spec: DeploymentSpec, replica: Resource) -> Place:
    return Place.of(spec.name, replica.host, replica.payload)


def _want(
    world: World,
    spec: DeploymentSpec,
    one: Canary | None,
    old: Sequence[Resource],
    place: Place,
    holds: Mapping[str, Hold],
    wanted: Desired,
    out: Canaries,
) -> None:
    made = desire(world, [spec], [place], holds)
    address = f"{Kind.REPLICA}:{spec.name}/{place.number}"
    new = made.hosts[place.host].get(address)
    if new is None:  # something of it is refused already
        return
    rules = spec.rollout.canary
    base = one.base if one is not None else _revision(world, place.host, spec.name)
    new = _as_canary(world, spec, new, base, [int(r.payload["port"]) for r in old])
    for resources in wanted.hosts.values():
        for address in [a for a, r in resources.items() if r.deployment == spec.name]:
            del resources[address]
    replicas = [*sorted(old, key=lambda r: int(r.payload["slot"])), new]
    places = [_stands(spec, r) for r in replicas]
    gateways = endpoint.carriers(named_gateways(world), [place.host])
    for host, resources in made.hosts.items():
        wanted.hosts[host].update(resources)
        route = f"{Kind.ENDPOINT}:{spec.name}"
        if route in resources:
            here = [r for r in replicas if r.host == host]
            wanted.hosts[host][route] = endpoint.resource(world, spec, host, places, here, gateways, True)
    wanted.hosts[place.host].update({r.address: r for r in replicas})
    wanted.texts.update(made.texts)
    out.places[spec.name] = tuple(places)
    who, at = (one.who, one.at) if one is not None else (world.who, world.now)
    out.standing[spec.name] = Canary(spec.name, place.number, place.host, base, rules.share, who, at)
    if one is None:
        watch = f"watched for {duration(rules.watch)}, " if rules.watch else ""
        after = "promoted by itself when that was good" if rules.promote == "auto" else f"deployer promote {spec.name}"
        why = f"{rules.share} of the requests, {watch}then {after} (or: deployer revert {spec.name})"
        out.begun[spec.name] = Rollout("canary", why, 1, spec.rollout.auto_revert, spec.rollout.max_failures or 0)


def _revision(world: World, host: str, name: str) -> int:
    reached = world.observed[host]
    assert isinstance(reached, Reached)
    return int(reached.probe["records"][name].get("revision", 0))


def _as_canary(world: World, spec: DeploymentSpec, new: Resource, base: int, against: list[int]) -> Resource:
    rules = spec.rollout.canary
    said = Attribute(CANARY, f"beside revision {base}", at=(f"deployment:{spec.name}", "rollout", "canary"))
    told = {"base": base, "share": rules.share, "watch_s": rules.watch, "against": against}
    return new._replace(attributes=(*new.attributes, said), payload={**new.payload, CANARY: told})


def as_any_other(replica: Resource) -> Resource:
    """The same without its being a canary."""
    payload = {key: value for key, value in replica.payload.items() if key != CANARY}
    return replica._replace(payload=payload, attributes=tuple(a for a in replica.attributes if a.name != CANARY))


def notices(world: World, found: Canaries) -> list[Notice]:
    """Those that stand already."""
    said = []
    for name, one in sorted(found.standing.items()):
        if name in found.begun:
            continue
        what = f"{name}: a canary stands since {one.at} by {one.who}: {one.share} of the requests go to {name}/{one.slot}, "
        hint = f"deployer promote {name}   all of it\ndeployer revert {name}    back to revision {one.base}, and held there"
        source = world.positions.of(f"deployment:{name}", "rollout", "canary")
        said.append(Notice("canary", f"{what}the others to revision {one.base}", hint, one.host, name, source))
    return said
