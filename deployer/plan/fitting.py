"""Fits in a plan: of each replica on GPUs whose memory the probe knows, and on the memory of its host. A refusal for what does
not fit, a notice for what may not or is not known; every term for the deployments that `plan --explain` names. Called by
estimates and make.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from deployer.engines.choosing import choice
from deployer.engines.memory import memory_settings
from deployer.plan import computing, fit
from deployer.plan.artifacts import locked_model
from deployer.plan.conversions import memory_needed
from deployer.plan.fitted import FIT
from deployer.plan.measured import notes, question_of
from deployer.plan.model import Change, Notice, Refusal
from deployer.plan.room import ByUuid, gpu_number
from deployer.plan.roster import Place
from deployer.plan.starts import starting
from deployer.plan.world import World
from deployer.state.locked import LockedModel
from deployer.state.observed import Reached

Misfit = tuple[Place, fit.Answer]


class Asking(NamedTuple):
    """What is about to start, and the terms of it in brief. `model` None: its memory is stated, and no lock knows the model."""

    question: fit.Question
    engine: str
    model: LockedModel | None
    brief: Mapping[str, Any]


#: By host and replica. Replicas of one deployment on like GPUs share one.
Asked = Mapping[tuple[str, str], Asking]


def asked(world: World, places: Sequence[Place], changes: Sequence[Change]) -> Asked:
    """What is about to start, where enough is known to ask."""
    starts = {(c.host, c.name) for c in changes if starting(c)}
    if not starts:
        return {}
    known, gpus, found = notes(world.observed), ByUuid(), {}
    same: dict[tuple[str, fit.Gpu], Asking | None] = {}
    for place in places:
        name = (place.host, f"{place.deployment}/{place.number}")
        gpu = _gpu(world, place, gpus) if name in starts else None
        if gpu is None:
            continue
        alike = place.deployment, gpu
        if alike not in same:
            same[alike] = _asking(world, place, gpu, known)
        asking = same[alike]
        if asking is not None:
            found[name] = asking
    return found


def with_fits(changes: Iterable[Change], asking: Asked) -> tuple[Change, ...]:
    """The same changes; those that start a replica on GPUs carry the terms of its memory."""
    if not asking:
        return tuple(changes)
    found = ((change, asking.get((change.host, change.name))) for change in changes)
    return tuple(
        change._replace(data={**change.data, FIT: told.brief})
        if told is not None and starting(change) and not told.question.gpu.cpu
        else change
        for change, told in found
    )


def misfits(asking: Asked, places: Sequence[Place]) -> list[Misfit]:
    """What is about to start and does not fit, or of which nobody knows."""
    found: list[Misfit] = []
    answers: dict[int, fit.Answer | None] = {}
    for place in places if asking else ():
        told = asking.get((place.host, f"{place.deployment}/{place.number}"))
        if told is None:
            continue
        if id(told) not in answers:
            answers[id(told)] = None if told.brief.get("fits") else fit.answer(told.question)
        answer = answers[id(told)]
        if answer is not None:
            found.append((place, answer))
    return found


def refusals(world: World, found: Sequence[Misfit]) -> Iterable[Refusal]:
    """What no other overhead than the computed one can help, nor one that was measured."""
    for place, answer in found:
        if answer.refused:
            what, ways = fit.lacking(answer)
            source = world.positions.of(f"deployment:{place.deployment}", "engine")
            said = f"{place.deployment} does not fit on {_where(world, place)}"
            yield Refusal("fit", said, (what,), f"would fit: {ways}", place.host, place.deployment, source)


def notices(world: World, places: Sequence[Place], found: Sequence[Misfit]) -> Iterable[Notice]:
    explained = set(world.options.explain)
    for name in sorted(explained - {place.deployment for place in places}):
        what = f"{name} has no place, so there is no GPU to compute its memory for"
        yield Notice("fit", what, "what it lacks is said below", deployment=name)
    for place in places:
        if place.deployment in explained:
            yield _explained(world, place)
            yield from computing.explained(world, place)
            yield from _chosen(world, place)
    for place, answer in found:
        if answer.refused or place.deployment in explained:
            continue
        name, source = f"{place.deployment}/{place.number}", world.positions.of(f"deployment:{place.deployment}", "engine")
        if answer.unknown is not None:
            if place.gpus:
                said = f"nobody knows whether {name} fits on {_where(world, place)}: {answer.unknown}"
                yield Notice("fit", said, "resources: {gpu_memory: …} states it", place.host, place.deployment, source)
            continue
        what, ways = fit.lacking(answer)
        said = f"{name} may not fit on {_where(world, place)}: {what} ({answer.source})"
        yield Notice("fit", said, f"would fit: {ways}", place.host, place.deployment, source)


def _explained(world: World, place: Place) -> Notice:
    question = _question(world, place)
    if question is None:
        what = f"{place.deployment}/{place.number} on {place.host}: memory not computed"
        return Notice("fit", what, _why_not(world, place), place.host, place.deployment)
    found = fit.answer(question)
    what = f"{place.deployment}/{place.number} on {_where(world, place)}: {fit.line(found)}"
    return Notice("fit", what, "\n".join(fit.explain(found, _converting(world, place))), place.host, place.deployment)


def _converting(world: World, place: Place) -> int:
    spec = world.fleet.deployments[place.deployment]
    locked = locked_model(world.locked, spec)
    return memory_needed(locked, world.engines[spec.engine.name].conversion(spec, locked)) if locked is not None else 0


def _chosen(world: World, place: Place) -> Iterable[Notice]:
    """Which engine for this model on this hardware, whatever the file says now."""
    spec, reached = world.fleet.deployments.get(place.deployment), world.observed.get(place.host)
    if spec is None or not isinstance(reached, Reached):
        return
    known = {g["uuid"]: g.get("capability") for g in reached.probe.get("gpus", [])}
    locked = locked_model(world.locked, spec)
    found = choice(spec.engine.name, locked, [known.get(uuid) for uuid in place.gpus])
    if found is not None:
        now = "" if found.engine == spec.engine.name else f" (the file says {spec.engine.name})"
        what = f"{place.deployment}/{place.number} on {place.host}: {found.engine} is the engine for it{now}"
        source = world.positions.of(f"deployment:{place.deployment}", "engine")
        yield Notice("engine", what, "\n".join(found.why), place.host, place.deployment, source)


def _question(world: World, place: Place) -> fit.Question | None:
    """None when something is not known that no formula can make up for: see _why_not."""
    gpu = _gpu(world, place, ByUuid())
    found = _asking(world, place, gpu, notes(world.observed)) if gpu is not None else None
    return found.question if found is not None else None


def _asking(world: World, place: Place, gpu: fit.Gpu, known: Mapping[str, fit.Measured]) -> Asking | None:
    spec = world.fleet.deployments.get(place.deployment)
    if spec is None:
        return None
    if gpu.cpu and spec.resources.memory is not None:
        gpu = gpu._replace(memory=min(gpu.memory, spec.resources.memory))
    question = question_of(world, spec, gpu, known)
    if question is None or question.settings.cpu != gpu.cpu:
        return None
    return Asking(question, spec.engine.name, locked_model(world.locked, spec), fit.brief(question))


def _why_not(world: World, place: Place) -> str:
    spec = world.fleet.deployments.get(place.deployment)
    settings = memory_settings(spec) if spec is not None else None
    if spec is None or settings is None:
        return "this engine says nothing of its memory"
    if settings.cpu and place.gpus:
        return "it runs on the CPU, whatever GPUs it is given"
    if locked_model(world.locked, spec) is None:
        state = "" if settings.cpu else "; resources: {gpu_memory: …} states it"
        return f"the model lies on the host already, so deployer.lock knows nothing of it{state}"
    return f"{place.host} does not say how much memory {'its GPUs have' if place.gpus else 'it has'}"


def _gpu(world: World, place: Place, gpus: ByUuid) -> fit.Gpu | None:
    """The smallest of those that the replica has: all take the same share. None of them: the host's memory."""
    reached = world.observed.get(place.host)
    if not place.gpus:
        memory = reached.probe.get("memory_total", 0) if isinstance(reached, Reached) else 0
        return fit.Gpu(memory, "", cpu=True) if memory > 0 else None
    known = gpus.of(reached) if isinstance(reached, Reached) else {}
    mine = [known[uuid] for uuid in place.gpus if uuid in known]
    if len(mine) != len(place.gpus) or not all([g.get("memory_total", 0) > 0 for g in mine]):
        return None
    least = min(mine, key=lambda g: g["memory_total"])
    return fit.Gpu(least["memory_total"], least.get("name", ""), capability=least.get("capability") or "")


def _where(world: World, place: Place) -> str:
    """As "gpu-01 GPU 0 (24 GiB)"; for the CPU "cpu-01 (64 GiB)"."""
    reached = world.observed.get(place.host)
    if not place.gpus:
        memory = reached.probe.get("memory_total", 0) if isinstance(reached, Reached) else 0
        return f"{place.host} ({round(memory / fit.GIB)} GiB)"
    known = {g["uuid"]: g for g in reached.probe.get("gpus", [])} if isinstance(reached, Reached) else {}
    mine = [known[uuid] for uuid in place.gpus if uuid in known]
    numbers = ", ".join(gpu_number(g) for g in mine)
    sizes = sorted({f"{round(g.get('memory_total', 0) / fit.GIB)} GiB" for g in mine})
    share = "" if place.share is None else f"{place.share}% of "
    return f"{share}{place.host} GPU{'s' * (len(mine) > 1)} {numbers} ({', '.join(sizes)})"
