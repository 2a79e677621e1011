"""What a replica that starts will really compute in on its host: a line under its change, `data.computes` in JSON, and a refusal
where the engine would not start. Called by make, once changes are known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from deployer.engines.effective import Computes, Machine, computes
from deployer.plan.artifacts import model_need
from deployer.plan.model import Change, Refusal
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.state.observed import Reached
from deployer.state.resources import Kind

#: In the data of a change: {"type", "asked", "why"}.
COMPUTES = "computes"


def with_types(world: World, places: Sequence[Place], changes: Iterable[Change]) -> tuple[Change, ...]:
    """The same changes; those that start a replica as the files say it tell what it computes in."""
    by_name = {(place.host, f"{place.deployment}/{place.number}"): place for place in places}
    return tuple(_telling(world, by_name.get((change.host, change.name)), change) for change in changes)


def _telling(world: World, place: Place | None, change: Change) -> Change:
    starts = change.kind is Kind.REPLICA and "create" in change.actions and change.after is not None
    found = _computes(world, place) if place is not None and starts else None
    if found is None:
        return change
    told = {"type": found.type, "asked": found.asked, "why": found.why}
    return replace(change, data={**change.data, COMPUTES: told})


def refusals(world: World, places: Sequence[Place], changes: Iterable[Change]) -> Iterator[Refusal]:
    """A type that a device cannot do and that was asked for by name: the engine ends at once."""
    starting = {(change.host, change.name) for change in changes if COMPUTES in change.data}
    for place in places:
        name = f"{place.deployment}/{place.number}"
        found = _computes(world, place) if (place.host, name) in starting else None
        if found is not None and found.refused:
            source = world.positions.of(f"deployment:{place.deployment}", *found.setting)
            hint = f"{found.setting[-1]}: default takes what the device has for the weights as they are stored"
            yield Refusal("compute-type", f"{name} on {place.host}: {found.why}", (), hint, place.host, place.deployment, source)


def line(change: Change) -> str | None:
    """As "computes in float32, not float16: this CPU has no fast float16"; None when there is nothing to say."""
    told = change.data.get(COMPUTES)
    if not told or told["type"] is None:
        return None
    if told["type"] == told["asked"]:
        return f"computes in {told['type']}" + (f": {told['why']}" if told["why"] else "")
    instead = f", not {told['asked']}" if told["why"] else ""
    return f"computes in {told['type']}{instead}" + (f": {told['why']}" if told["why"] else "")


def _computes(world: World, place: Place) -> Computes | None:
    spec, reached = world.fleet.deployments.get(place.deployment), world.observed.get(place.host)
    if spec is None or not isinstance(reached, Reached):
        return None
    gpus = {gpu["uuid"]: gpu.get("capability") for gpu in reached.probe.get("gpus", [])}
    machine = Machine(
        reached.probe.get("arch", ""), reached.probe.get("cpu_vendor") or None, tuple(gpus.get(uuid) for uuid in place.gpus)
    )
    return computes(spec, world.locked.models.get(model_need(spec).key), machine)
