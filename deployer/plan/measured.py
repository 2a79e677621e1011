"""What hosts noted of the memory of starts (agent/starts.py), for the fits of the starts to come; and what a start shall be noted
under. Called by estimates, fitting, wishes and `deployer fit`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deployer.engines.memory import memory_settings
from deployer.plan import fit
from deployer.plan.artifacts import adapter_rank, locked_model
from deployer.plan.fit.measured import key, measured
from deployer.plan.fit.question import Measured
from deployer.plan.model import Change
from deployer.plan.roster import Place
from deployer.plan.starts import starting
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel, ModelFacts
from deployer.state.observed import Observed, Reached

if TYPE_CHECKING:
    from deployer.plan.fitting import Asking

#: In the data of a change: {"key", "context", "usable", "gpus"}, for unit.ready; "shared" of GPUs that others use too.
MEMORY = "memory"


def notes(observed: Observed) -> Mapping[str, Measured]:
    """By key, the latest; of two as late, the one of the first host."""
    found: dict[str, Measured] = {}
    for host, reached in sorted(observed.items()):
        told = (reached.probe.get("starts") or {}) if isinstance(reached, Reached) else {}
        for _, starts in sorted(told.items()):
            for one in starts:
                noted = one.get("memory")
                if isinstance(noted, dict) and isinstance(noted.get("key"), str):
                    said = measured(noted, str(one.get("at") or ""), host)
                    if noted["key"] not in found or said.at > found[noted["key"]].at:
                        found[noted["key"]] = said
    return found


def with_measured(question: fit.Question, engine: str, model: LockedModel, known: Mapping[str, Measured]) -> fit.Question:
    """The same question, with what was measured of a start like it."""
    if not known:
        return question
    found = known.get(key(engine, question.settings.version, model.digest, question))
    return replace(question, measured=found) if found is not None else question


def question_of(world: World, spec: DeploymentSpec, gpu: fit.Gpu, known: Mapping[str, Measured]) -> fit.Question | None:
    """What is asked about a replica on such a GPU, or in the memory of such a host. None: nobody knows what its engine takes, or
    neither the lock knows the model nor a person states its memory.
    """
    settings = memory_settings(spec, adapter_rank(world, spec))
    if settings is None:
        return None
    locked = locked_model(world.locked, spec)
    if locked is None and settings.stated is None:
        return None
    question = fit.Question(locked.facts if locked is not None else ModelFacts(), settings, gpu)
    return question if locked is None else with_measured(question, spec.engine.name, locked, known)


def with_keys(
    changes: Iterable[Change],
    places: Sequence[Place],
    asking: "Mapping[tuple[str, str], Asking]",
) -> tuple[Change, ...]:
    """The same changes; those that start a replica say under what its memory is noted. `asking`: by host and
    replica.
    """
    if not asking:
        return tuple(changes)
    stands = {(place.host, f"{place.deployment}/{place.number}"): place for place in places}
    return tuple(_keyed(change, stands.get((change.host, change.name)), asking) for change in changes)


def _keyed(change: Change, place: Place | None, asking: "Mapping[tuple[str, str], Asking]") -> Change:
    found = asking.get((change.host, change.name)) if starting(change) else None
    if found is None or found.model is None:
        return change
    question, engine, model = found.question, found.engine, found.model
    usable = int(question.gpu.memory * question.settings.utilization)
    noted = {
        "key": key(engine, question.settings.version, model.digest, question),
        "context": question.context,
        "usable": usable,
        "gpus": list(place.gpus if place is not None else ()),
        **({"shared": True} if place is not None and place.share is not None else {}),
    }
    return change._replace(data={**change.data, MEMORY: noted})
