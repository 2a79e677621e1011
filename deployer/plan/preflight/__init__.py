"""What will go wrong, seen before anything moves: each finding with what, why it matters and what to do. Pure.

`make` asks `of_plan` (replicas that start, hosts where something changes), `deployer doctor` asks `of_fleet` (every replica
that has a place, every host that answered). What is refused is a refusal of the plan like any other; what only warns is in
`Plan.findings`. `finding.everything` gives both as findings.
"""

from collections.abc import Iterable, Iterator, Sequence

from deployer.plan.model import Change, Finding
from deployer.plan.preflight import access, cuda, disk, machine, memory
from deployer.plan.preflight.finding import by_place
from deployer.plan.preflight.subject import Subject, starting, subjects
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.state.observed import Reached


def of_plan(
    world: World, places: Sequence[Place], changes: Sequence[Change], others: Sequence[Place] = ()
) -> tuple[Finding, ...]:
    """Of what this plan is about to do; a plan without changes has none. `others`: places that it is not about."""
    if not changes:
        return ()
    fetched = {(c.host, c.name) for c in changes if c.after is not None and c.after.payload.get("method") == "download"}
    found = starting(world, places, changes)
    near = memory.limited(found)
    standing = subjects(world, (p for p in (*places, *others) if p.host in near)) if near else []
    gathered = _gather(world, found, standing, {c.host for c in changes}, fetched)
    return by_place((*gathered, *disk.findings(world, changes)))


def of_fleet(world: World, places: Sequence[Place]) -> tuple[Finding, ...]:
    """Of all that stands or should stand."""
    found = subjects(world, places)
    return by_place(_gather(world, found, found, set(world.fleet.hosts), None))


def _gather(
    world: World,
    found: Sequence[Subject],
    standing: Sequence[Subject],
    hosts: Iterable[str],
    fetched: set[tuple[str, str]] | None,
) -> Iterator[Finding]:
    """`standing`: all that is on the hosts of those that are given so much memory and no more, they included."""
    on_gpus = {subject.place.host for subject in found if subject.place.gpus}
    for name in sorted(hosts):
        reached = world.observed.get(name)
        if name in world.fleet.hosts and isinstance(reached, Reached):
            yield from machine.findings(world, reached, starts_on_gpus=name in on_gpus)
            if fetched is None:  # of the fleet
                yield from machine.silent(world, reached, uses_gpus=name in on_gpus)
    yield from cuda.findings(world, found)
    yield from memory.findings(world, found, standing)
    yield from access.findings(world, found, fetched)
