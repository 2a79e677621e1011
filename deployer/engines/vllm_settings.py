"""`engine: {vllm: {…}}` as a model. Read by spec.load through `settings_models`, used by engines.vllm."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from deployer.engines.settings import Requirement, Version
from deployer.spec.fields import Later
from deployer.spec.models import DeploymentSpec, Model

TESTED = {"cuda": "0.32.0", "cpu": "0.32.0"}
#: The oldest that is started. Of older ones the options are known (vllm_options/), for who comes from there, and nothing else:
#: what deployer knows of quantizations, start phases, failures and metrics was read in this one and tried with it.
OLDEST = "0.32"


class VllmSettings(Model):
    """`engine: {vllm: {…}}`. Left out means vLLM's own default."""

    version: Version | None = Field(
        default=None, description=f"of the package vllm, {OLDEST} or newer; left out: {TESTED['cuda']}"
    )
    variant: Literal["cuda", "cpu"] = Field(default="cuda", description="the build: for NVIDIA GPUs, or for CPUs")
    dtype: Literal["auto", "bfloat16", "float", "float16", "float32", "half"] | None = Field(
        default=None, description="what it computes in; left out: as the model's files say"
    )
    max_model_len: int | None = Field(
        default=None, ge=1, description="tokens of prompt and answer together; smaller needs less cache; left out: the model's"
    )
    quantization: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9_-]*$", description="fp8, awq, gptq, …; left out: as the model's files say"
    )
    kv_cache_dtype: str | None = Field(default=None, description="fp8 halves the cache; left out: as the model computes")
    gpu_memory_utilization: float | None = Field(
        default=None, gt=0, le=1, description="share of each GPU's memory that it takes for weights and cache"
    )
    tensor_parallel: int = Field(default=1, ge=1, description="GPUs that share each layer, for a model larger than one GPU")
    pipeline_parallel: int = Field(default=1, ge=1, description="GPUs that take the layers one after another")
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
    """With what placement.gpu_share says: as much of a GPU as is kept for it is what it may take."""
    settings = deployment.engine.settings
    assert isinstance(settings, VllmSettings)
    share = deployment.placement.share
    if share is None or settings.variant == "cpu" or settings.gpu_memory_utilization is not None:
        return settings
    return settings.model_copy(update={"gpu_memory_utilization": share / 100})
