"""Artifacts of a host: which are wanted there so far, where they lie, and which are there. The modules that say what an
artifact is made of (environments, modelfiles, conversions) add to it; serving asks them.
"""

from dataclasses import dataclass, field

from deployer.agent import wire
from deployer.engines.base import Conversion
from deployer.plan.model import Refusal
from deployer.plan.world import World
from deployer.spec.models import AdapterSpec, DeploymentSpec, HostSpec
from deployer.state.locked import Locked, LockedModel
from deployer.state.needs import ModelNeed, model_key
from deployer.state.observed import Reached
from deployer.state.resources import Resource


@dataclass(frozen=True, slots=True)
class Lacking:
    """A converted model that a host wants and does not have; who converts it is decided when all hosts' wishes are known."""

    spec: DeploymentSpec
    locked: LockedModel
    conversion: Conversion


@dataclass(slots=True)
class Artifacts:
    """Of one host: resources by address, texts by digest, what could not be had, and what is still to be decided (by name).
    `due`: addresses that something which is to run needs. `environments`: by what is locked, for this host.
    """

    resources: dict[str, Resource] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    lacking: dict[str, Lacking] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    environments: dict[str, Resource] = field(default_factory=dict)


def model_need(spec: DeploymentSpec) -> ModelNeed:
    m = spec.model
    plain = spec.handler is not None and spec.handler.predictor is not None
    return ModelNeed(repo=m.repo, revision=m.revision, path=m.path, host_path=m.host_path, file=m.file, plain=plain)


def locked_model(locked: Locked, spec: DeploymentSpec) -> LockedModel | None:
    """What the lock knows of a deployment's model."""
    m = spec.model
    return locked.models.get(model_key(m.repo, m.revision, m.path, m.host_path, m.file))


def adapter_need(adapter: AdapterSpec) -> ModelNeed:
    return ModelNeed(repo=adapter.repo, revision=adapter.revision, path=adapter.path)


def adapter_rank(world: World, spec: DeploymentSpec) -> int:
    return highest_rank(world.locked, spec)


def highest_rank(locked: Locked, spec: DeploymentSpec) -> int:
    """Of its adapters; 0 when there are none, or nobody knows."""
    if not spec.adapters:
        return 0
    found = [locked.models.get(adapter_need(adapter).key) for adapter in spec.adapters]
    return max([m.facts.adapter.rank or 0 for m in found if m is not None and m.facts.adapter is not None], default=0)


def engines_root(host: HostSpec) -> str:
    return host.paths.get("engines") or wire.ROOT_ENGINES


def models_root(host: HostSpec) -> str:
    return host.paths.get("models") or wire.ROOT_MODELS


def complete(reached: Reached) -> dict[str, wire.Artifact]:
    """Artifacts that may be used, by path."""
    return {a["path"]: a for a in reached.probe.get("artifacts", []) if a.get("complete")}
