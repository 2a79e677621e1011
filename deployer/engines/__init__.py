"""One file per engine. `ENGINES` is kept by hand: an engine that is not in it does not exist."""

from collections.abc import Mapping

from pydantic import BaseModel

from deployer.engines.base import Engine
from deployer.engines.ctranslate2 import CTRANSLATE2
from deployer.engines.predictor import PREDICTOR
from deployer.engines.transformers import TRANSFORMERS
from deployer.engines.vllm import VLLM

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (VLLM, CTRANSLATE2, TRANSFORMERS, PREDICTOR)}


def settings_models() -> dict[str, type[BaseModel]]:
    """For spec.load, which lies below and cannot import engines: the model of each `engine.<name>` mapping."""
    return {name: engine.Settings for name, engine in ENGINES.items()}
