"""What a deployment serves with, beyond its replicas: the type it really computes in on each host, and its LoRA adapters. Called
by app.dossier; pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.plan import computing
from deployer.plan.artifacts import adapter_need
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import Locked
from deployer.state.observed import Observed, Reached
from deployer.state.resources import Resource

#: Settings that decide what is computed in: when they differ from those that were applied, the files speak of another process.
_DECIDES = ("quantization", "compute_type", "device")


@dataclass(frozen=True, slots=True)
class AdapterState:
    """`source` and `rank` None: in no file any more, or not known. `served`: how many of `replicas` have it."""

    name: str
    source: str | None
    rank: int | None
    wanted: bool
    served: int
    replicas: int


def adapters(spec: DeploymentSpec | None, locked: Locked, serving: Sequence[Resource]) -> tuple[AdapterState, ...]:
    """Those that the files name, in their order, then those that are only served."""
    told = [{str(one["name"]) for one in resource.payload.get("adapters", ())} for resource in serving]
    wanted = {one.name: one for one in spec.adapters} if spec is not None else {}
    found = []
    for name in (*wanted, *sorted(set().union(*told) - set(wanted))):
        one = wanted.get(name)
        model = locked.models.get(adapter_need(one).key) if one is not None else None
        facts = model.facts.adapter if model is not None else None
        source = None if one is None else one.path or f"{one.repo} {one.revision}"
        served = sum(name in names for names in told)
        found.append(AdapterState(str(name), source, facts.rank if facts else None, one is not None, served, len(told)))
    return tuple(found)


def computed(
    spec: DeploymentSpec | None, locked: Locked, observed: Observed, serving: Sequence[Resource]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(in words what it computes in, the replicas of which this is true). Nothing of a replica whose settings the files say
    otherwise by now, or whose host is silent.
    """
    found: dict[str, list[str]] = {}
    for resource in serving:
        reached = observed.get(resource.host)
        if spec is None or not isinstance(reached, Reached) or not _as_applied(spec, resource):
            continue
        told = computing.on_machine(spec, locked, reached, tuple(resource.payload.get("gpus", ())))
        if told is not None and told.type is not None:
            found.setdefault(computing.words(told.type, told.asked, told.why), []).append(resource.name)
    return tuple((words, tuple(names)) for words, names in found.items())


def _as_applied(spec: DeploymentSpec, resource: Resource) -> bool:
    applied: Mapping[str, Any] = {one.name: one.value for one in resource.attributes}
    if applied.get("engine") != spec.engine.name:
        return False
    wanted = spec.engine.settings.model_dump(mode="json", include=set(_DECIDES))
    return all(applied[name] == value for name, value in wanted.items() if name in applied)
