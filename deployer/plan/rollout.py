"""How the replicas of a deployment are replaced: all new ones beside the old (blue_green), in place one after another
(rolling), or in place at once (recreate). Called by make, after a first comparison has said which need a new process. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deployer.plan.beside import Found, Room, placed_beside, second
from deployer.plan.model import Change, Refusal, Rollout
from deployer.plan.room import Claims, claimed
from deployer.plan.roster import Place, recorded_places
from deployer.plan.shares import besides
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, Strategy
from deployer.state.observed import Reached
from deployer.state.resources import Kind, Resource

NOTHING: Mapping[str, str] = {}
Recorded = Mapping[str, Mapping[str, tuple[Resource, ...]]]


@dataclass(slots=True)
class Decided:
    """`places`: where the new ones of a blue_green stand. `beside`: (host, address) of replicas whose old process stays until
    the new one has answered.
    """

    rollouts: dict[str, Rollout] = field(default_factory=dict)
    places: dict[tuple[str, int], Place] = field(default_factory=dict)
    beside: set[tuple[str, str]] = field(default_factory=set)
    waves: dict[tuple[str, str], int] = field(default_factory=dict)  # (host, address) of replicas replaced in place, in turn
    refusals: list[Refusal] = field(default_factory=list)


def decide(
    world: World,
    places: Sequence[Place],
    kept: Sequence[Place],
    recorded: Recorded,
    changes: Iterable[Change],
    fixed: Mapping[str, str] = NOTHING,
) -> Decided:
    """`fixed`: deployments whose resources are given as they are and cannot be made for another port, and why."""
    out = Decided()
    created: dict[str, int] = {}
    replaced: dict[str, list[Change]] = {}
    kind = Kind.REPLICA
    for change in changes:
        if change.kind is kind and change.deployment is not None and change.after is not None:
            if change.actions == ("delete", "create"):
                replaced.setdefault(change.deployment, []).append(change)
            elif change.actions == ("create",) and change.after.runs:
                created[change.deployment] = created.get(change.deployment, 0) + 1
    if not replaced:
        return out
    room = Room(claims(world, places, kept))
    serving = _serving(world, recorded)
    for name, mine in sorted(replaced.items()):
        spec = world.fleet.deployments.get(name)
        if spec is not None and not _too_many_away(world, spec, places, out):
            _one(world, spec, mine, serving.get(name, 0), created.get(name, 0), room, fixed.get(name), out)
    return out


def claims(world: World, places: Iterable[Place], kept: Iterable[Place]) -> Claims:
    """Everything that is taken, or was: nothing of it is free while this plan is done."""
    standing = (*places, *kept)
    return claimed(world, (*standing, *besides(standing, recorded_places(world.observed))))


def _serving(world: World, recorded: Recorded) -> dict[str, int]:
    """How many replicas of each deployment run."""
    found: dict[str, int] = {}
    for by_name in recorded.values():
        for name, resources in by_name.items():
            found[name] = found.get(name, 0) + sum(1 for r in resources if r.kind is Kind.REPLICA and _up(world, r))
    return found


def _up(world: World, replica: Resource | None) -> bool:
    """As the host says it. What could not be asked is taken to run: it must not be stopped for nothing."""
    reached = world.observed.get(replica.host) if replica is not None else None
    if replica is None or not replica.runs or not isinstance(reached, Reached):
        return False
    states = {u["name"]: u.get("active") for u in reached.probe.get("units", ())}
    return states.get(str(replica.payload["unit"]), "inactive") in ("active", "reloading", "unknown")


def _one(
    world: World,
    spec: DeploymentSpec,
    mine: Sequence[Change],
    serving: int,
    created: int,
    room: Room,
    fixed: str | None,
    out: Decided,
) -> None:
    rules = spec.rollout
    strategy, why = rules.strategy, "as rollout.strategy says"
    free = strategy in (Strategy.AUTO, Strategy.CANARY)  # what replaces a canary, or is promoted, takes what fits
    if free or strategy is Strategy.BLUE_GREEN:
        no = _beside(world, spec, mine, room, fixed, out)
        if no is None:
            return
        if strategy is Strategy.BLUE_GREEN and not fixed:  # a way back is not refused for the sake of how
            out.refusals.append(_refused(world, spec, no))
            return
        strategy, why = Strategy.ROLLING, no
    down = sum(1 for change in mine if not _up(world, change.before))
    if strategy is Strategy.ROLLING and (serving == 0 or serving + created + down < 2):
        alone = "no other replica serves meanwhile"
        strategy = Strategy.RECREATE
        why = f"{why}; {alone}" if free else alone
    if strategy is Strategy.ROLLING:
        _in_waves(world, spec, mine, serving, out)
    waves = max((out.waves[c.host, c.address] for c in mine if (c.host, c.address) in out.waves), default=1)
    out.rollouts[spec.name] = Rollout(str(strategy), why, waves, rules.auto_revert, rules.max_failures or 0)


def _in_waves(world: World, spec: DeploymentSpec, mine: Sequence[Change], serving: int, out: Decided) -> None:
    """`max_parallel` at a time and never all that serve. What is down or new comes first; where only one serves, that one
    waits for it.
    """
    at_once = max(1, min(spec.rollout.max_parallel, serving - 1))
    first, number = 1 if serving > 1 else 2, 0
    for change in sorted(mine, key=lambda c: (c.host, c.name)):
        if not _up(world, change.before):
            out.waves[change.host, change.address] = 1
            continue
        out.waves[change.host, change.address] = first + number // at_once
        number += 1


def _beside(
    world: World, spec: DeploymentSpec, mine: Sequence[Change], room: Room, fixed: str | None, out: Decided
) -> str | None:
    """Finds a second place for each; None when all have one, else why not."""
    if any(change.drift for change in mine):
        return "what was changed on the host is put back in its place"
    found: list[tuple[Change, Found]] = []
    memory = dict(room.host_memory), dict(room.gpu_memory)
    for change in sorted(mine, key=lambda c: (c.host, c.name)):
        one = fixed if fixed and not placed_beside(change) else second(world, spec, change, room)
        if isinstance(one, str):  # what the others found is nobody's
            for _, other in found:
                room.claims.release(other.place)
            room.host_memory, room.gpu_memory = memory
            return one
        found.append((change, one))
    for change, one in found:
        out.places[spec.name, one.place.number] = one.place
        out.beside.add((change.host, change.address))
    why = f"a second one fits beside the old: {found[0][1].why}"
    out.rollouts[spec.name] = Rollout("blue_green", why, 1, spec.rollout.auto_revert, spec.rollout.max_failures or 0)
    return None


def _too_many_away(world: World, spec: DeploymentSpec, places: Sequence[Place], out: Decided) -> bool:
    """Hosts that do not answer count as failures where the rollout says how many it bears."""
    most = spec.rollout.max_failures
    if most is None:
        return False
    away = sorted({p.host for p in places if p.deployment == spec.name and not isinstance(world.observed.get(p.host), Reached)})
    if len(away) <= most:
        return False
    source = world.positions.of(f"deployment:{spec.name}", "rollout", "max_failures")
    what = f"{spec.name}: {', '.join(away)} cannot be reached, and its rollout bears {most} failures"
    hint = "bring it back, give it up with --replace-lost, or raise rollout.max_failures"
    out.refusals.append(Refusal("rollout", what, (), hint, deployment=spec.name, source=source))
    return True


def _refused(world: World, spec: DeploymentSpec, why: str) -> Refusal:
    source = world.positions.of(f"deployment:{spec.name}", "rollout", "strategy")
    hint = "rollout: {strategy: auto} takes what fits; rolling needs a second replica; recreate has downtime"
    return Refusal("rollout", f"{spec.name}: no room for blue_green", (why,), hint, deployment=spec.name, source=source)
