"""`engine: {vllm: {…}}` as a model. Read by spec.load through `settings_models`, used by engines.vllm."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from deployer.engines.settings import Requirement, Version
from deployer.spec.fields import Later
from deployer.spec.models import DeploymentSpec, Model

TESTED = {"cuda": "0.32.0", "cpu": "0.32.0"}


class VllmSettings(Model):
    """`engine: {vllm: {…}}`. Left out means vLLM's own default."""

    version: Version | None = None
    variant: Literal["cuda", "cpu"] = "cuda"
    dtype: Literal["auto", "bfloat16", "float", "float16", "float32", "half"] | None = None
    max_model_len: int | None = Field(default=None, ge=1)
    quantization: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_-]*$")
    kv_cache_dtype: str | None = None
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    args: Mapping[str, Any] = Field(default_factory=dict)
    env: Mapping[str, str] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    exclude: tuple[Requirement, ...] = ()
    wheel: Later = None
    index_url: str | None = None

    @property
    def pinned(self) -> str:
        return self.version or TESTED[self.variant]


def settings_of(deployment: DeploymentSpec) -> VllmSettings:
    settings = deployment.engine.settings
    assert isinstance(settings, VllmSettings)
    return settings
