"""One file per engine. `ENGINES` is kept by hand: an engine that is not in it does not exist."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from deployer.engines.base import Engine, RunsPrograms
from deployer.engines.ctranslate2 import CTRANSLATE2
from deployer.engines.llamacpp import LLAMACPP
from deployer.engines.ollama import OLLAMA
from deployer.engines.predictor import PREDICTOR
from deployer.engines.transformers import TRANSFORMERS
from deployer.engines.vllm import VLLM
from deployer.spec.models import DeploymentSpec

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (VLLM, CTRANSLATE2, TRANSFORMERS, LLAMACPP, OLLAMA, PREDICTOR)}


def programs(deployment: DeploymentSpec) -> Sequence[str]:
    """What must be on a host already for this deployment, beside its model."""
    engine = ENGINES[deployment.engine.name]
    return engine.programs(deployment) if isinstance(engine, RunsPrograms) else ()


def settings_models() -> dict[str, type[BaseModel]]:
    """For spec.load, which lies below and cannot import engines: the model of each `engine.<name>` mapping."""
    return {name: engine.Settings for name, engine in ENGINES.items()}
