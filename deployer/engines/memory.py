"""An engine's settings as far as they move memory on a GPU, read from a deployment. Called by plan.fit, which never asks
which engine it is. An engine that is not here has no fit: nothing is said of its memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.engines import ctranslate2_settings, vllm_adapters, vllm_settings
from deployer.engines.vllm_flags import ALIASES
from deployer.spec.models import DeploymentSpec

UTILIZATION = 0.92  # vLLM's --gpu-memory-utilization when nobody sets it, in the tested version
BLOCK = 16  # tokens in a block of the cache: vLLM's CacheConfig.DEFAULT_BLOCK_SIZE


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """`context` in tokens; None: the model's own. `batched_tokens`, `sequences`: None is what the engine picks for the GPU.

    `paged`: one pool of blocks for all requests, made at the start (vLLM); else each request brings its own (CTranslate2).
    """

    paged: bool = True
    version: str = ""
    context: int | None = None
    sequences: int | None = None
    batched_tokens: int | None = None
    utilization: float = UTILIZATION
    dtype: str = "auto"
    quantization: str | None = None
    cache_dtype: str = "auto"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    eager: bool = False
    block: int = BLOCK
    prefix_caching: bool = True
    adapters: tuple[int, int] = (0, 0)  # LoRA: the highest rank, and how many at once
    cache_bytes: int | None = None  # --kv-cache-memory-bytes: as much cache and no more, per GPU
    unread: tuple[str, ...] = ()  # settings that move memory and that the formulas do not know


#: Arguments of vLLM that move memory in ways plan.fit has no formula for.
_UNREAD = frozenset(
    {
        "additional-config",
        "cpu-offload-gb",
        "offload-backend",
        "decode-context-parallel-size",
        "disable-hybrid-kv-cache-manager",
        "fully-sharded-loras",
        "lora-target-modules",
        "hf-overrides",
        "kv-cache-dtype-skip-layers",
        "mamba-block-size",
        "mamba-cache-dtype",
        "mamba-cache-mode",
        "mamba-ssm-cache-dtype",
        "model-impl",
        "num-gpu-blocks-override",
        "prefill-context-parallel-size",
        "quantization-config",
        "runner",
        "speculative-config",
    }
)


def memory_settings(deployment: DeploymentSpec, adapter_rank: int = 0) -> MemorySettings | None:
    """None: nothing is known of how this engine uses a GPU's memory, or it uses none. `adapter_rank`: the highest of its LoRA
    adapters.
    """
    read = _READERS.get(deployment.engine.name)
    return read(deployment, adapter_rank) if read else None


def _vllm(deployment: DeploymentSpec, adapter_rank: int) -> MemorySettings | None:
    s = vllm_settings.settings_of(deployment)
    if s.variant == "cpu":
        return None
    given = {_option(name): value for name, value in s.args.items()}
    cache, unread = given.get("kv-cache-memory-bytes"), sorted(_UNREAD & set(given))
    if cache is not None and not _whole(cache):
        unread.append("kv-cache-memory-bytes")
    return MemorySettings(
        version=s.pinned,
        context=s.max_model_len,
        sequences=deployment.batch.max_size,
        batched_tokens=_number(given, "max-num-batched-tokens"),
        utilization=UTILIZATION if s.gpu_memory_utilization is None else s.gpu_memory_utilization,
        dtype=s.dtype or "auto",
        quantization=s.quantization,
        cache_dtype=s.kv_cache_dtype or "auto",
        tensor_parallel=s.tensor_parallel,
        pipeline_parallel=s.pipeline_parallel,
        eager=given.get("enforce-eager") is True,
        block=_number(given, "block-size") or BLOCK,
        prefix_caching=given.get("enable-prefix-caching") is not False,
        adapters=vllm_adapters.reserved(deployment, s, adapter_rank),
        cache_bytes=_number(given, "kv-cache-memory-bytes"),
        unread=tuple(unread),
    )


def _ctranslate2(deployment: DeploymentSpec, _adapter_rank: int) -> MemorySettings:
    """What it computes in is what it keeps: weights of another type are converted when it loads."""
    s = ctranslate2_settings.settings_of(deployment)
    kept = s.quantization if s.compute_type == "default" else s.compute_type
    return MemorySettings(
        paged=False,
        version=s.pinned,
        context=s.max_model_len,
        sequences=(deployment.batch.max_size or 16) * s.inter_threads,
        utilization=1.0,
        quantization=kept,
        unread=("compute_type auto",) if kept == "auto" else (),
    )


_READERS: Mapping[str, Callable[[DeploymentSpec, int], MemorySettings | None]] = {"vllm": _vllm, "ctranslate2": _ctranslate2}


def _option(name: str) -> str:
    wanted = name.removeprefix("--").replace("_", "-")
    return ALIASES.get(wanted, wanted)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    return value if _whole(value) else None
