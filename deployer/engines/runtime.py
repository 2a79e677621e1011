"""What a running process is made of, as a person sees it in a diff, and where in the YAML each part came from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from deployer.spec.models import DeploymentSpec
from deployer.state.resources import Scalar

Runtime = tuple[dict[str, Scalar], dict[str, tuple[str | int, ...]]]  # values by name, and their places by the same names


def sampling_of(deployment: DeploymentSpec) -> dict[str, Any]:
    """What the deployment says of it, as JSON values."""
    if not deployment.sampling.model_fields_set:  # as most do; to ask pydantic costs more than all the rest of a process
        return {}
    return deployment.sampling.model_dump(mode="json", exclude_defaults=True)


def runtime_of(
    deployment: DeploymentSpec,
    settings: BaseModel,
    names: Sequence[str],
    *,
    first: Mapping[str, Scalar],
    groups: Sequence[str] = ("env",),
) -> Runtime:
    """`first`: of the engine itself, such as its version; `names`: its settings that a process is made of; `groups`: those that
    are mappings, each entry a value of its own.
    """
    here = ("engine", deployment.engine.name)
    values: dict[str, Scalar] = {**first}
    values |= {name: value for name in names if (value := getattr(settings, name)) is not None}
    sources: dict[str, tuple[str | int, ...]] = {name: (*here, name) for name in (*first, *names)}
    for group in groups:
        for name, value in sorted(getattr(settings, group).items()):
            label = f"{group}.{name}"
            values[label] = value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True, default=list)
            sources[label] = (*here, group, name)
    for name, value in sampling_of(deployment).items():
        values[f"sampling.{name}"] = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        sources[f"sampling.{name}"] = ("sampling", name)
    if deployment.model.file is not None:
        values["file"], sources["file"] = deployment.model.file, ("model", "file")
    for name in ("max_size", "max_wait"):
        if (given := getattr(deployment.batch, name)) is not None:
            values[f"batch.{name}"], sources[f"batch.{name}"] = given, ("batch", name)
    if deployment.endpoint.model_names:
        values["model_names"] = json.dumps(deployment.endpoint.model_names, ensure_ascii=False)
        sources["model_names"] = ("endpoint", "model_names")
    return values, sources
