"""What the lock must hold for a fleet: which models, which environments. Asked by the lock stage and by `validate`."""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.engines import front
from deployer.engines.base import Engine
from deployer.plan.artifacts import adapter_need, model_need
from deployer.plan.environments import HUB
from deployer.spec.models import DeploymentSpec, FleetSpec, SecretRef
from deployer.state.needs import EnvironmentNeed, ModelNeed


@dataclass(frozen=True, slots=True)
class NeededModel:
    """A model with the first deployment that wants it, and the token it names."""

    need: ModelNeed
    deployment: str
    token: SecretRef | None
    path: tuple[str | int, ...] = ("model",)  # of the deployment's YAML


@dataclass(frozen=True, slots=True)
class Needed:
    models: tuple[NeededModel, ...]
    environments: tuple[EnvironmentNeed, ...]


def needed(fleet: FleetSpec, engines: Mapping[str, Engine]) -> Needed:
    """Each model and environment once, sorted by name. Models that are already on hosts need no lock."""
    models: dict[str, NeededModel] = {}
    environments: dict[str, EnvironmentNeed] = {}
    for name, spec in sorted(fleet.deployments.items()):
        need = model_need(spec)
        if need.host_path is None:
            models.setdefault(need.key, NeededModel(need, name, spec.model.token))
        for number, adapter in enumerate(spec.adapters):
            wanted = adapter_need(adapter)
            token = adapter.token or spec.model.token
            models.setdefault(wanted.key, NeededModel(wanted, name, token, ("adapters", number)))
        if need.repo is not None or any(adapter.repo for adapter in spec.adapters):
            environments.setdefault(HUB.name, HUB)
        for environment in _environments(spec, engines):
            environments.setdefault(environment.name, environment)
    return Needed(tuple(models[k] for k in sorted(models)), tuple(environments[k] for k in sorted(environments)))


def _environments(spec: DeploymentSpec, engines: Mapping[str, Engine]) -> tuple[EnvironmentNeed, ...]:
    before = front.environment_of(spec)
    return (*engines[spec.engine.name].environments(spec), *((before,) if before is not None else ()))
