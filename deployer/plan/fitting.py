"""Fits in a plan: of each replica on GPUs whose memory the probe knows. Its terms in its change; a refusal only for what is
certain; a notice for what does not fit by the computed terms; every term for the deployments that `plan --explain` names. Called
by make.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from deployer.engines.choosing import choice
from deployer.engines.memory import memory_settings
from deployer.plan import fit
from deployer.plan.artifacts import adapter_rank, model_need
from deployer.plan.fitted import FIT
from deployer.plan.model import Change, Notice, Refusal
from deployer.plan.room import gpu_number
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.state.observed import Reached
from deployer.state.resources import Kind

Misfit = tuple[Place, fit.Answer]


def with_fits(world: World, places: Sequence[Place], changes: Iterable[Change]) -> tuple[Change, ...]:
    """The same changes; those that start a replica on GPUs carry the terms of its memory."""
    changes = tuple(changes)
    starts = {(c.host, c.name) for c in changes if c.kind is Kind.REPLICA and "create" in c.actions and c.after is not None}
    if not starts:
        return changes
    by_name = {(place.host, f"{place.deployment}/{place.number}"): place for place in places if place.gpus}
    terms: dict[tuple[str, fit.Gpu], dict[str, Any]] = {}  # replicas of one deployment on like GPUs are asked for once
    found = []
    for change in changes:
        place = by_name.get((change.host, change.name)) if (change.host, change.name) in starts else None
        question = _question(world, place) if place is not None else None
        if place is not None and question is not None:
            key = place.deployment, question.gpu
            if key not in terms:
                terms[key] = fit.brief(question)
            change = replace(change, data={**change.data, FIT: terms[key]})
        found.append(change)
    return tuple(found)


def misfits(world: World, places: Sequence[Place], changes: Iterable[Change]) -> list[Misfit]:
    """What is about to start and does not fit, by the computed terms."""
    lacking = {(change.host, change.name) for change in changes if change.data.get(FIT, {}).get("fits") is False}
    found: list[Misfit] = []
    answers: dict[tuple[str, fit.Gpu], fit.Answer] = {}
    for place in places if lacking else ():
        question = _question(world, place) if (place.host, f"{place.deployment}/{place.number}") in lacking else None
        if question is not None:
            key = place.deployment, question.gpu
            if key not in answers:
                answers[key] = fit.answer(question)
            found.append((place, answers[key]))
    return found


def refusals(world: World, found: Sequence[Misfit]) -> Iterable[Refusal]:
    """Weights that are larger than the GPU: no setting of the overhead can help."""
    for place, answer in found:
        if answer.certain:
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
            yield from _chosen(world, place)
    for place, answer in found:
        if not answer.certain and place.deployment not in explained:
            what, ways = fit.lacking(answer)
            said = f"{place.deployment}/{place.number} may not fit on {_where(world, place)}: {what} (computed)"
            source = world.positions.of(f"deployment:{place.deployment}", "engine")
            yield Notice("fit", said, f"would fit: {ways}", place.host, place.deployment, source)


def _explained(world: World, place: Place) -> Notice:
    question = _question(world, place)
    if question is None:
        what = f"{place.deployment}/{place.number} on {place.host}: memory not computed"
        return Notice("fit", what, _why_not(world, place), place.host, place.deployment)
    found = fit.answer(question)
    what = f"{place.deployment}/{place.number} on {_where(world, place)}: {fit.line(found)}"
    return Notice("fit", what, "\n".join(fit.explain(found)), place.host, place.deployment)


def _chosen(world: World, place: Place) -> Iterable[Notice]:
    """Which engine for this model on this hardware, whatever the file says now."""
    spec, reached = world.fleet.deployments.get(place.deployment), world.observed.get(place.host)
    if spec is None or not isinstance(reached, Reached):
        return
    known = {g["uuid"]: g.get("capability") for g in reached.probe.get("gpus", [])}
    locked = world.locked.models.get(model_need(spec).key)
    found = choice(spec.engine.name, locked, [known.get(uuid) for uuid in place.gpus])
    if found is not None:
        now = "" if found.engine == spec.engine.name else f" (the file says {spec.engine.name})"
        what = f"{place.deployment}/{place.number} on {place.host}: {found.engine} is the engine for it{now}"
        source = world.positions.of(f"deployment:{place.deployment}", "engine")
        yield Notice("engine", what, "\n".join(found.why), place.host, place.deployment, source)


def _question(world: World, place: Place) -> fit.Question | None:
    """None when something is not known that no formula can make up for: see _why_not."""
    spec = world.fleet.deployments.get(place.deployment)
    if spec is None or not place.gpus:
        return None
    settings, gpu = memory_settings(spec, adapter_rank(world, spec)), _gpu(world, place)
    locked = world.locked.models.get(model_need(spec).key)
    return None if settings is None or locked is None or gpu is None else fit.Question(locked.facts, settings, gpu)


def _why_not(world: World, place: Place) -> str:
    spec = world.fleet.deployments.get(place.deployment)
    if not place.gpus:
        return "it runs on the CPU, and only the memory of GPUs is computed"
    if spec is None or memory_settings(spec) is None:
        return "this engine says nothing of its memory"
    if world.locked.models.get(model_need(spec).key) is None:
        return "the model lies on the host already, so deployer.lock knows nothing of it"
    return f"{place.host} does not say how much memory its GPUs have"


def _gpu(world: World, place: Place) -> fit.Gpu | None:
    """The smallest of those that the replica has: all take the same share."""
    reached = world.observed.get(place.host)
    known = {g["uuid"]: g for g in reached.probe.get("gpus", [])} if isinstance(reached, Reached) else {}
    mine = [known[uuid] for uuid in place.gpus if uuid in known]
    if len(mine) != len(place.gpus) or not all(g.get("memory_total", 0) > 0 for g in mine):
        return None
    least = min(mine, key=lambda g: g["memory_total"])
    return fit.Gpu(least["memory_total"], least.get("name", ""))


def _where(world: World, place: Place) -> str:
    """As "gpu-01 GPU 0 (24 GiB)"."""
    reached = world.observed.get(place.host)
    known = {g["uuid"]: g for g in reached.probe.get("gpus", [])} if isinstance(reached, Reached) else {}
    mine = [known[uuid] for uuid in place.gpus if uuid in known]
    numbers = ", ".join(gpu_number(g) for g in mine)
    sizes = sorted({f"{round(g.get('memory_total', 0) / fit.GIB)} GiB" for g in mine})
    return f"{place.host} GPU{'s' * (len(mine) > 1)} {numbers} ({', '.join(sizes)})"
