"""What a replica that starts will really compute in on its host: a line under its change, `data.computes` in JSON, and a refusal
where the engine would not start. Called by estimates and make, once changes are known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from deployer.engines.effective import Computes, Machine, computes, tells
from deployer.plan.artifacts import locked_model
from deployer.plan.model import Change, Notice, Refusal
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import Locked
from deployer.state.observed import Reached
from deployer.state.resources import Kind

#: In the data of a change: {"type", "asked", "why"}.
COMPUTES = "computes"


def with_types(world: World, places: Sequence[Place], changes: Iterable[Change]) -> tuple[Change, ...]:
    """The same changes; those that start a replica as the files say it tell what it computes in."""
    by_name = {(place.host, f"{place.deployment}/{place.number}"): place for place in places if _tells(world, place)}
    kind = Kind.REPLICA
    return tuple([_telling(world, by_name, change) if by_name and change.kind is kind else change for change in changes])


def _tells(world: World, place: Place) -> bool:
    spec = world.fleet.deployments.get(place.deployment)
    return spec is not None and tells(spec.engine.name)


def _telling(world: World, by_name: Mapping[tuple[str, str], Place], change: Change) -> Change:
    starts = "create" in change.actions and change.after is not None
    place = by_name.get((change.host, change.name)) if starts else None
    found = _computes(world, place) if place is not None else None
    if found is None:
        return change
    told = {"type": found.type, "asked": found.asked, "why": found.why}
    return change._replace(data={**change.data, COMPUTES: told})


def refusals(world: World, places: Sequence[Place], changes: Iterable[Change]) -> Iterator[Refusal]:
    """A type that a device cannot do and that was asked for by name: the engine ends at once."""
    starting = {(change.host, change.name) for change in changes if COMPUTES in change.data}
    for place in places if starting else ():
        name = f"{place.deployment}/{place.number}"
        found = _computes(world, place) if (place.host, name) in starting else None
        if found is not None and found.refused:
            source = world.positions.of(f"deployment:{place.deployment}", *found.setting)
            hint = f"{found.setting[-1]}: default takes what the device has for the weights as they are stored"
            yield Refusal("compute-type", f"{name} on {place.host}: {found.why}", (), hint, place.host, place.deployment, source)


def line(change: Change) -> str | None:
    """As "computes in float32, not float16: this CPU has no fast float16"; None when there is nothing to say."""
    told = change.data.get(COMPUTES)
    return None if not told or told["type"] is None else f"computes in {words(told['type'], told['asked'], told['why'])}"


def explained(world: World, place: Place) -> Iterator[Notice]:
    """For `plan --explain`, also where nothing starts."""
    found = _computes(world, place)
    if found is not None and found.type is not None:
        said = f"{place.deployment}/{place.number} on {place.host} computes in {words(found.type, found.asked, found.why)}"
        yield Notice("computes", said, host=place.host, deployment=place.deployment)


def words(kind: str, asked: str, why: str | None) -> str:
    """As "float32, not float16: this CPU has no fast float16"."""
    instead = f", not {asked}" if why and kind != asked else ""
    return f"{kind}{instead}" + (f": {why}" if why else "")


def _computes(world: World, place: Place) -> Computes | None:
    spec, reached = world.fleet.deployments.get(place.deployment), world.observed.get(place.host)
    if spec is None or not isinstance(reached, Reached):
        return None
    return on_machine(spec, world.locked, reached, place.gpus)


def on_machine(spec: DeploymentSpec, locked: Locked, reached: Reached, uuids: Sequence[str]) -> Computes | None:
    """What a replica of it computes in there, on these GPUs."""
    gpus = {gpu["uuid"]: gpu.get("capability") for gpu in reached.probe.get("gpus", [])}
    machine = Machine(reached.probe.get("arch", ""), reached.probe.get("cpu_vendor") or None, tuple(gpus.get(u) for u in uuids))
    return computes(spec, locked_model(locked, spec), machine)
