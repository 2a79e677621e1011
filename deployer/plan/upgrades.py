"""What a new version of an engine means for the options in use, and which of them are about to end; what another engine
refuses that the one before took. Called by make.
"""

from collections.abc import Iterable, Iterator, Sequence

from deployer.engines.base import Complaint, Lacking, Versioned
from deployer.plan.artifacts import locked_model
from deployer.plan.model import Change, Notice
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.resources import Kind


def notices(world: World, planned: Sequence[DeploymentSpec], changes: Iterable[Change]) -> Iterator[Notice]:
    """Of deployments that get new processes; one that stays as it is has nothing to decide."""
    started: dict[str, str | None] = {}
    moved: set[str] = set()  # to another engine
    kind = Kind.REPLICA
    for change in changes:
        if change.kind is kind and change.after is not None and "create" in change.actions and change.deployment:
            version = next((str(d.before) for d in change.deltas if d.name == "version" and d.before is not None), None)
            started[change.deployment] = started.get(change.deployment) or version
            if any(d.name == "engine" for d in change.deltas):
                moved.add(change.deployment)
    # asked of each engine once: to look whether a value has a protocol's methods is slow
    versioned = {name: engine for name, engine in world.engines.items() if isinstance(engine, Versioned)}
    for spec in planned:
        engine = world.engines[spec.engine.name]
        if spec.name in moved and isinstance(engine, Lacking):
            for said in engine.lacks(spec, locked_model(world.locked, spec)):
                yield _notice(world, spec, "lacks", f"{spec.name}: {said.message}", said)
        known = versioned.get(spec.engine.name)
        if spec.name not in started or known is None:
            continue
        before = started[spec.name]
        for said in known.upgraded(spec, before) if before else ():
            yield _notice(world, spec, "upgrade", f"{spec.name}: since version {before}, {said.message}", said)
        for said in known.ending(spec):
            yield _notice(world, spec, "deprecated", f"{spec.name}: {said.message}", said)


def _notice(world: World, spec: DeploymentSpec, code: str, what: str, said: Complaint) -> Notice:
    source = world.positions.of(f"deployment:{spec.name}", *said.path)
    return Notice(code, what, said.hint or (str(source) if source else None), deployment=spec.name, source=source)
