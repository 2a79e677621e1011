"""Deployments and models for the engines' tests."""

from typing import Any

from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.spec.models import DeploymentSpec, EngineChoice, ModelSpec
from deployer.state.locked import LockedFile, LockedModel, ModelFacts

GPU = "GPU-8c1f2d3e-0000-1111-2222-333344445555"
CPU_SLOT = Slot("lab-1", 0, 20000, (), "x86_64")
GPU_SLOT = Slot("gpu-1", 0, 20000, (GPU,), "x86_64")


def deployment(engine: str, engine_settings: dict[str, Any] | None = None, **fields: Any) -> DeploymentSpec:
    choice = EngineChoice(name=engine, settings=ENGINES[engine].Settings(**(engine_settings or {})))
    return DeploymentSpec(**{"name": "chat", "model": ModelSpec(repo="acme/tiny"), "engine": choice, **fields})


def model(*files: str, **facts: Any) -> LockedModel:
    listed = files or ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    known = {"architectures": ("LlamaForCausalLM",), "dtype": "bfloat16", "context": 2048, "heads": 8, **facts}
    locked = tuple(LockedFile(path, 10, "sha256:00") for path in listed)
    return LockedModel("hub:acme/tiny@main", "hub", "acme/tiny", "main", "0" * 40, "0" * 64, locked, ModelFacts(**known))


def messages(engine: str, engine_settings: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    found = ENGINES[engine].complaints(deployment(engine, engine_settings, **fields))
    return [".".join(map(str, c.path)) + ": " + c.message + (f" [{c.hint}]" if c.hint else "") for c in found]
