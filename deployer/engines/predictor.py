"""A predictor: a class of the user's own answers in an engine's place. `handler.predictor` names its file; docs/handlers.md."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from deployer.engines import front
from deployer.engines.base import Complaint, Conversion, LogPatterns, Process, Slot
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS
from deployer.engines.launch import placeholder_complaints
from deployer.engines.runtime import sampling_of
from deployer.spec.models import DeploymentSpec, Model
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed
from deployer.state.resources import Scalar

Route = Annotated[str, StringConstraints(pattern=r"^/v1(/[a-z0-9][a-z0-9_-]*)+$")]
PREDICT = "/v1/predict"
_CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
_PROBES: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": _CHAT,
    "/v1/completions": {"prompt": "Hello", "max_tokens": 1},
    "/v1/embeddings": {"input": "Hello"},
}
_ENV = {"PYTHONUNBUFFERED": "1", "HOME": "{cache}"}


class PredictorSettings(Model):
    """`engine: {predictor: {…}}`."""

    paths: tuple[Route, ...] = Field(default=(PREDICT,), min_length=1, description="the routes it answers; the first is probed")
    probe: Mapping[str, Any] | None = Field(
        default=None, description='a body that it answers once it is ready; left out: {"inputs": ["Hello"]}'
    )
    threads: int = Field(default=1, ge=1, le=1024, description="calls of a predict that is not async, at the same time")


def settings_of(deployment: DeploymentSpec) -> PredictorSettings:
    settings = deployment.engine.settings
    assert isinstance(settings, PredictorSettings)
    return settings


class Predictor:
    name = "predictor"
    about = "a Python class of your own answers in an engine's place, with the packages it needs"
    Settings: type[BaseModel] = PredictorSettings
    serve = False
    log = LogPatterns(failures=(*HOST_FAILURES, *HOST_FALLBACKS))

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return tuple(_complaints(deployment, settings_of(deployment)))

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        need = front.environment_of(deployment)
        return (need or EnvironmentNeed(front.BASE, front.REQUIREMENTS, python=">=3.10"),)

    def gpus(self, deployment: DeploymentSpec) -> int:
        return deployment.placement.gpus or 0

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        return ()

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        return ()

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        return None

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        s = settings_of(deployment)
        first = s.paths[0]
        body = {"model": deployment.name, **(s.probe or _PROBES.get(first) or {"inputs": ["Hello"]})}
        runtime: dict[str, Scalar] = {"paths": " ".join(s.paths), "threads": s.threads}
        runtime |= {"probe": json.dumps(s.probe, ensure_ascii=False)} if s.probe is not None else {}
        runtime |= {"model_names": " ".join(deployment.endpoint.model_names)} if deployment.endpoint.model_names else {}
        runtime |= {f"sampling.{name}": json.dumps(value) for name, value in sampling_of(deployment).items()}
        runtime |= {"batch.max_size": deployment.batch.max_size} if deployment.batch.max_size is not None else {}
        sources: dict[str, tuple[str | int, ...]] = {
            name: ("engine", "predictor", name) for name in ("paths", "probe", "threads")
        }
        return Process(
            argv=front.ARGV,  # the handler itself is the process
            env={**_ENV, **({"CUDA_VISIBLE_DEVICES": ",".join(slot.gpus)} if slot.gpus else {})},
            files=(),
            runtime=runtime,
            ready_path="/health",
            inference={"path": first, "body": body},
            paths=(*s.paths, "/v1/models"),
            start_timeout_s=max(600.0, deployment.rollout.healthy_deadline),
            stop_timeout_s=10.0,
            stop_signal="SIGTERM",
            sources={**sources, "model_names": ("endpoint", "model_names"), "batch.max_size": ("batch", "max_size")},
        )


def _complaints(deployment: DeploymentSpec, s: PredictorSettings) -> Iterator[Complaint]:
    if deployment.handler is None or deployment.handler.predictor is None:
        hint = "handler: {predictor: handlers/NAME.py}"
        yield Complaint(("engine", "predictor"), "the engine predictor needs handler.predictor", hint)
    for name in sampling_of(deployment):
        yield Complaint(("sampling", name), f"a predictor reads its requests itself, so {name} would be ignored", "handler.env")
    yield from placeholder_complaints(("engine", "predictor", "probe"), s.probe or {})


PREDICTOR = Predictor()
