"""An engine's settings as far as they move memory, of a GPU or of the host, read from a deployment. Called by plan.fit, which
never asks which engine it is. An engine that is not here has no fit: nothing is said of its memory.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deployer.engines import ctranslate2_settings, llamacpp, ollama, transformers, vllm_adapters, vllm_settings
from deployer.engines.settings import wanted_gpus
from deployer.engines.vllm_flags import ALIASES
from deployer.spec.models import DeploymentSpec

UTILIZATION = 0.92  # vLLM's --gpu-memory-utilization when nobody sets it, in the tested version
BLOCK = 16  # tokens in a block of the cache: vLLM's CacheConfig.DEFAULT_BLOCK_SIZE
CPU_BLOCK = 128  # on CPUs (vllm/platforms/cpu.py); 16 for latent attention
_CPU_SEQUENCES = 128  # EngineArgs.get_batch_defaults, on a CPU
_CPU_TOKENS = 2048

#: How an engine keeps weights and cache. PAGED: one pool of blocks for all requests, made at the start (vLLM). CONVERTED: weights
#: by the types they were converted to, and each request brings its cache (CTranslate2). CAST: weights as the files have them or
#: cast, and each request brings its cache (Transformers). SLOTS: weights as the file has them, and the cache of all requests at
#: the start (llama.cpp).
PAGED, CONVERTED, CAST, SLOTS = "paged", "converted", "cast", "slots"


class MemorySettings(NamedTuple):
    """`context` in tokens; None: the model's own. `batched_tokens`, `sequences`: None is what the engine picks for the GPU.

    `scheme`: one of those above. `cpu`: the memory is the host's. `shared`: with SLOTS, all requests share one context.
    """

    scheme: str = PAGED
    version: str = ""
    cpu: bool = False
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
    cache_types: tuple[str, str] = ("f16", "f16")  # with SLOTS: of K and of V
    one_cache_type: bool = False  # it has one setting for both
    shared: bool = False
    flash: bool = True  # attention never holds all scores at once
    pooling: bool = False  # it answers with vectors or scores, and no token is chosen
    share: float = 1.0  # of each GPU that is this replica's: placement.gpu_share
    stated: int | None = None  # resources.gpu_memory: a person says what it takes of a GPU, and nothing is computed
    unread: tuple[str, ...] = ()  # settings that move memory and that the formulas do not know

    @property
    def paged(self) -> bool:
        return self.scheme == PAGED


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
        "speculative-config",
    }
)


def memory_settings(deployment: DeploymentSpec, adapter_rank: int = 0) -> MemorySettings | None:
    """None: nothing is known of how this engine uses a GPU's memory, or it uses none. `adapter_rank`: the highest of its LoRA
    adapters.
    """
    read = _READERS.get(deployment.engine.name)
    found = read(deployment, adapter_rank) if read else None
    stated, share = deployment.resources.gpu_memory, deployment.placement.share
    if found is None or found.cpu:
        return found
    if share is not None:
        found = found._replace(share=share / 100)
    return found if stated is None else found._replace(stated=stated)


def _vllm(deployment: DeploymentSpec, adapter_rank: int) -> MemorySettings | None:
    s = vllm_settings.settings_of(deployment)
    given = {_option(name): value for name, value in s.args.items()}
    cache, unread = given.get("kv-cache-memory-bytes"), sorted(_UNREAD & set(given))
    if cache is not None and not _whole(cache):
        unread.append("kv-cache-memory-bytes")
    found = _vllm_on_gpus(deployment, adapter_rank, s, given, tuple(unread))
    return found if s.variant == "cuda" else _on_a_cpu(found, s, given)


def _on_a_cpu(found: MemorySettings, s: vllm_settings.VllmSettings, given: Mapping[str, Any]) -> MemorySettings:
    """The cache is as large as the environment says (engines.vllm sets 1 GiB where nobody says it), in larger blocks."""
    space = s.env.get("VLLM_CPU_KVCACHE_SPACE", "1")
    whole = space.isascii() and space.isdigit() and int(space) > 0
    return found._replace(
        cpu=True,
        utilization=1.0,
        cache_bytes=found.cache_bytes or (int(space) << 30 if whole else None),
        block=_number(given, "block-size") or CPU_BLOCK,
        sequences=found.sequences or _CPU_SEQUENCES,
        batched_tokens=found.batched_tokens or _CPU_TOKENS,
        eager=True,
        unread=found.unread if whole or found.cache_bytes else (*found.unread, "VLLM_CPU_KVCACHE_SPACE"),
    )


def _vllm_on_gpus(
    deployment: DeploymentSpec,
    adapter_rank: int,
    s: vllm_settings.VllmSettings,
    given: Mapping[str, Any],
    unread: tuple[str, ...],
) -> MemorySettings:
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
        pooling=given.get("runner") == "pooling",
        unread=unread if given.get("runner", "auto") in ("auto", "generate", "pooling") else (*unread, "runner"),
    )


def _ctranslate2(deployment: DeploymentSpec, _adapter_rank: int) -> MemorySettings:
    """What it computes in is what it keeps: weights of another type are converted when it loads."""
    s = ctranslate2_settings.settings_of(deployment)
    kept = s.quantization if s.compute_type == "default" else s.compute_type
    cpu = not wanted_gpus(deployment, s.device)
    return MemorySettings(
        scheme=CONVERTED,
        version=s.pinned,
        cpu=cpu,
        context=s.max_model_len,
        sequences=(deployment.batch.max_size or 16) * s.inter_threads,
        utilization=1.0,
        quantization=kept,
        unread=("compute_type auto",) if kept == "auto" else (),
    )


def _transformers(deployment: DeploymentSpec, _adapter_rank: int) -> MemorySettings:
    """Spread over its GPUs layer by layer (device_map auto)."""
    s = transformers.settings_of(deployment)
    gpus = wanted_gpus(deployment, s.device)
    return MemorySettings(
        scheme=CAST,
        version=s.pinned,
        cpu=not gpus,
        sequences=1,
        utilization=1.0,
        dtype=s.dtype,
        quantization=s.quantization,
        pipeline_parallel=max(1, gpus),
        flash=s.attn_implementation != "eager",
        unread=("continuous_batching",) if s.continuous_batching else (),
    )


def _llamacpp(deployment: DeploymentSpec, _adapter_rank: int) -> MemorySettings:
    s = llamacpp.settings_of(deployment)
    gpus = wanted_gpus(deployment, s.device)
    return MemorySettings(
        scheme=SLOTS,
        version=s.pinned if s.program is None else s.program,
        cpu=not gpus,
        context=s.max_model_len,
        sequences=deployment.batch.max_size or llamacpp.SLOTS,
        utilization=1.0,
        pipeline_parallel=max(1, gpus),
        cache_types=(s.cache_type_k or "f16", s.cache_type_v or "f16"),
        shared=s.max_model_len is None,
        flash=s.flash_attn != "off",
        unread=("gpu_layers",) if s.gpu_layers is not None else (),
    )


def _ollama(deployment: DeploymentSpec, _adapter_rank: int) -> MemorySettings:
    """The same engine below. How long a context is that nobody says, Ollama decides by the memory that it finds."""
    s = ollama.settings_of(deployment)
    gpus = wanted_gpus(deployment, s.device)
    unread = {"max_model_len left out": s.max_model_len is None, "partly_on_cpu": s.partly_on_cpu}
    kind = s.kv_cache_type or "f16"
    return MemorySettings(
        scheme=SLOTS,
        version=s.program,
        cpu=not gpus,
        context=s.max_model_len,
        sequences=deployment.batch.max_size or ollama.PARALLEL,
        utilization=1.0,
        pipeline_parallel=max(1, gpus),
        cache_types=(kind, kind),
        one_cache_type=True,
        flash=s.flash_attention is not False,
        unread=tuple(name for name, given in unread.items() if given),
    )


_READERS: Mapping[str, Callable[[DeploymentSpec, int], MemorySettings | None]] = {
    "vllm": _vllm,
    "ctranslate2": _ctranslate2,
    "transformers": _transformers,
    "llamacpp": _llamacpp,
    "ollama": _ollama,
}


def _option(name: str) -> str:
    wanted = name.removeprefix("--").replace("_", "-")
    return ALIASES.get(wanted, wanted)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    return value if _whole(value) else None
