"""A guard on the whole plan: one that would leave too few of the fleet's running replicas is refused, unless that was asked
for. Counts what stops without a successor: a replica that is replaced, restarted or moved does not. Pure. Called by make.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from deployer.plan.canaries import is_canary
from deployer.plan.model import Change, Refusal
from deployer.plan.roster import Roster
from deployer.plan.words import count
from deployer.plan.world import World
from deployer.state.observed import Reached
from deployer.state.resources import Kind, Resource

#: Where deployer.yaml says nothing: so many of a hundred may stop, and fleets with fewer running replicas are left alone.
MOST = 50
FEW = 4


def refusals(
    world: World, roster: Roster, recorded: Mapping[str, Mapping[str, tuple[Resource, ...]]], changes: Sequence[Change]
) -> Iterable[Refusal]:
    """`recorded`: what the hosts note, by host and deployment."""
    if world.options.allow or not changes:
        return
    running = _running(world, roster, recorded)
    total, said = sum(running.values()), world.fleet.guard.max_stopped
    if said is None and total < FEW:
        return
    stopped = _stopped(running, changes)
    gone = sum(stopped.values())
    most = MOST if said is None else int(said.removesuffix("%"))
    if gone * 100 <= most * total:
        return
    yield Refusal(
        "share",
        f"this stops {gone} of {count(total, 'running replica')} of the fleet, with nothing in their place",
        tuple(f"{name}: {number} of {running[name]}" for name, number in sorted(stopped.items())),
        f"if that is meant: --allow (without it at most {most}% may stop; guard.max_stopped in deployer.yaml says how many)",
        source=world.positions.of("deployer", "guard", "max_stopped"),
    )


def _running(world: World, roster: Roster, recorded: Mapping[str, Mapping[str, tuple[Resource, ...]]]) -> Counter[str]:
    """By deployment. What stands on a host that does not answer counts as running: unknown is not absent."""
    found = Counter(name for by in recorded.values() for name, rs in by.items() for r in rs if _counts(r))
    silent = {name for name in world.fleet.hosts if not isinstance(world.observed.get(name), Reached)}
    found.update(place.deployment for place in roster.places if place.host in silent)
    return found


def _counts(resource: Resource) -> bool:
    """A canary is one more than was asked for."""
    return resource.kind is Kind.REPLICA and resource.runs and not is_canary(resource)


def _stopped(running: Counter[str], changes: Sequence[Change]) -> Counter[str]:
    """By deployment: how many fewer run afterwards."""
    after = Counter(running)
    for change in changes:
        if change.kind is not Kind.REPLICA or change.deployment is None:
            continue
        after[change.deployment] -= change.before is not None and _counts(change.before)
        after[change.deployment] += change.after is not None and change.after.runs
    return Counter({name: number - after[name] for name, number in running.items() if after[name] < number})
