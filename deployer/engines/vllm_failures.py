"""What vLLM writes when it fails, and what that means. Data only; read by engines.vllm, used by the agent (unit.ready).

The texts are those of vLLM 0.32.0's source, or as users reported them where they come from torch, CUDA and NCCL. They match
within one line, and the message only, never a file and line number. The first that fits wins: what names a number or a field
stands before what is only vague. Texts use only groups that always match.
"""

from dataclasses import replace

from deployer.engines.base import FailurePattern
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS

_OUT = r"CUDA out of memory\. Tried to allocate (?P<wanted>[\d.]+ [KMG]iB)"

_MEMORY = (
    FailurePattern(
        r"max seq len \((?P<wanted>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed.*?available KV cache memory "
        r"\((?P<there>[\d.]+) GiB\).*?estimated maximum model length is (?P<fits>\d+)",
        "the cache is too small for max_model_len {wanted}: {needed} GiB needed, {there} there",
        "engine.vllm.max_model_len: {fits} is what the engine says fits",
    ),
    FailurePattern(
        r"max seq len \((?P<wanted>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed.*?available KV cache memory "
        r"\((?P<there>[\d.]+) GiB\)",
        "the cache is too small for max_model_len {wanted}: {needed} GiB needed, {there} there",
        "engine.vllm.max_model_len: lower, or engine.vllm.gpu_memory_utilization: higher",
    ),
    FailurePattern(
        r"No available memory for the cache blocks",
        "the weights leave no memory for the cache",
        "engine.vllm.gpu_memory_utilization: higher, or a GPU with more memory, or a smaller quantization",
    ),
    FailurePattern(
        r"Available memory on node (?P<node>\d+) \((?P<free>[\d.]+)/[\d.]+ GiB\) on kv cache allocation is less than "
        r"requested memory for kv \((?P<wanted>[\d.]+)",
        "the host has {free} GiB free for the cache, and {wanted} GiB are wanted",
        'engine.vllm.env: VLLM_CPU_KVCACHE_SPACE: less than "{free}"',
    ),
    FailurePattern(
        r"Available memory on node (?P<node>\d+) \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup is less than desired CPU",
        "other processes use the host's memory: {free} of {total} GiB are free",
        'engine.vllm.env: VLLM_CPU_KVCACHE_SPACE: "1", or free the memory first',
    ),
    FailurePattern(
        r"Free memory on device .*?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup is less than desired",
        "another process uses the GPU: {free} of {total} GiB are free",
        "engine.vllm.gpu_memory_utilization: {free/total} is what is free, or free the GPU first (nvidia-smi shows who holds it)",
    ),
    FailurePattern(
        r"Free memory on device .*? on startup is less than desired",
        "another process uses the GPU",
        "engine.vllm.gpu_memory_utilization: lower, or free the GPU first (nvidia-smi shows who holds it)",
    ),
    FailurePattern(
        r"Error in memory profiling|Initial free memory .* current free memory",
        "another process took or freed GPU memory while this one measured it",
        "engine.vllm.gpu_memory_utilization: as it is; start again when nothing else starts on that GPU",
    ),
    FailurePattern(
        r"CUDA out of memory occurred when warming up (sampler|pooler) with (?P<rows>\d+) dummy requests",
        "the GPU ran out of memory in the warm-up with {rows} requests at once",
        "batch.max_size: lower than {rows}, or engine.vllm.gpu_memory_utilization: lower",
    ),
    FailurePattern(
        _OUT,
        "the weights do not fit on the GPU: {wanted} more were wanted while they were loaded",
        "engine.vllm.tensor_parallel: more GPUs, or engine.vllm.quantization: fp8_per_tensor, or a GPU with more memory",
        beside=r", in load_model\b",
    ),
    FailurePattern(
        _OUT,
        "no memory was left for CUDA graphs: {wanted} more were wanted",
        "engine.vllm.gpu_memory_utilization: lower by 0.05, or args: enforce_eager: true",
        beside=r", in (capture_model|_capture_cudagraphs|capture)\b",
    ),
    FailurePattern(
        _OUT,
        "the GPU ran out of memory when the longest batch was tried: {wanted} more were wanted",
        "engine.vllm.args: max_num_batched_tokens: lower, or batch.max_size: lower",
        beside=r", in (profile_run|determine_available_memory)\b",
    ),
    FailurePattern(
        r"torch\.(cuda\.)?OutOfMemoryError|CUDA out of memory|CUDA error: out of memory",
        "the GPU ran out of memory",
        "engine.vllm.max_model_len: lower, or engine.vllm.tensor_parallel: higher",
    ),
)

_DEVICE = (
    FailurePattern(
        r"NVIDIA driver on your system is too old \(found version (?P<found>\d+)\)",
        "the NVIDIA driver is too old for the CUDA that this vLLM was built with (the driver has {found})",
        "engine.vllm.version: one built for an older CUDA, or a newer driver on the host",
    ),
    FailurePattern(
        r"Error 803: |forward compatibility was attempted on non supported HW|Driver/library version mismatch",
        "the NVIDIA driver was updated and the host was not restarted since",
        "placement.hosts: restart that host",
    ),
    FailurePattern(
        r"Error 802: system not yet initialized",
        "the GPUs wait for NVIDIA's fabric manager, which does not run",
        "placement.hosts: on that host: systemctl enable --now nvidia-fabricmanager",
    ),
    FailurePattern(
        r"(?P<what>Found no NVIDIA driver|CUDA driver version is insufficient)",
        "the NVIDIA driver does not fit: {what}",
        "engine.vllm.variant: cpu, or a newer driver on the host",
    ),
    FailurePattern(
        r"No CUDA GPUs are available|no CUDA-capable device|invalid device ordinal",
        "the engine sees no GPU: the host has none, or the unit may not use it",
        "engine.vllm.variant: cpu for a host without GPUs, or placement.gpus and the host's gpus",
    ),
    FailurePattern(
        r"Failed to infer device type",
        "vLLM found no device it was built for",
        "engine.vllm.variant: cpu for a host without GPUs",
    ),
    FailurePattern(
        r"Bfloat16 is only supported on GPUs with compute capability of at least 8\.0\. Your (?P<gpu>.+?) GPU has compute "
        r"capability (?P<has>\d+\.\d+)",
        "{gpu} (compute capability {has}) cannot compute in bfloat16, which needs 8.0",
        "engine.vllm.dtype: float16",
    ),
    FailurePattern(
        r"quantization method (?P<method>\S+) is not supported for the current GPU\. Minimum capability: (?P<least>\d+)\. "
        r"Current capability: (?P<has>\d+)",
        "the GPU (capability {has}) cannot compute {method}, which needs {least}",
        "engine.vllm.quantization: another one, or placement.labels: of hosts with newer GPUs",
    ),
    FailurePattern(
        r"no kernel image is available for execution on the device",
        "this vLLM has no code for the host's GPU: it is older (or newer) than those it was built for",
        "engine.vllm.version: one that has it, or placement.labels: of hosts with other GPUs",
    ),
    FailurePattern(
        r"No valid attention backend found for (?P<what>\S+)",
        "there is no attention for this model and cache type on this device ({what})",
        "engine.vllm.kv_cache_dtype: auto",
    ),
    FailurePattern(
        r"ncclSystemError|NCCL error|ncclUnhandledCudaError|NCCL WARN",
        "the GPUs cannot talk to each other (NCCL)",
        'engine.vllm.env: NCCL_DEBUG: INFO says more; NCCL_P2P_DISABLE: "1" helps where GPUs may not reach each other\'s memory',
    ),
)

_SETTINGS = (
    FailurePattern(
        r"User-specified max_model_len \((?P<wanted>\d+)\) is greater than the derived max_model_len \([^=]*=?(?P<most>\d+)",
        "the model's context is shorter than max_model_len {wanted}",
        "engine.vllm.max_model_len: at most {most}",
    ),
    FailurePattern(
        r"error: unrecognized arguments: (?P<what>.+)",
        "this vLLM does not know {what}",
        "engine.vllm.args: take it out, or name the version that has it",
    ),
    FailurePattern(
        r"error: argument (?P<what>\S+): (?P<why>.+)",
        "vLLM refused {what}: {why}",
        "engine.vllm.args: correct it",
    ),
    FailurePattern(
        r"Total number of attention heads \((?P<heads>\d+)\) must be divisible by tensor parallel size \((?P<tp>\d+)\)",
        "{heads} attention heads cannot be divided among {tp} GPUs",
        "engine.vllm.tensor_parallel: a divisor of {heads}",
    ),
    FailurePattern(
        r"specified in the model config \((?P<model>\S+)\) does not match the quantization method specified in the "
        r"`quantization` argument \((?P<said>\S+)\)",
        "the model is quantized as {model}, and the file says {said}",
        "engine.vllm.quantization: leave it out, or {model}",
    ),
    FailurePattern(
        r"Cannot find the config file for (?P<what>\S+)",
        "the model is not quantized as {what}: it does not say how",
        "engine.vllm.quantization: fp8_per_tensor quantizes while it loads; or a repository that is {what}",
    ),
    FailurePattern(
        r"quantization method no longer supports online quantization",
        "the model is not quantized, and this method wants one that is",
        "engine.vllm.quantization: fp8_per_tensor",
    ),
    FailurePattern(
        r"Unknown quantization method: \S+|quantization method \S+ is not supported|Invalid quantization method",
        "vLLM does not know this quantization",
        "engine.vllm.quantization: leave it out when the model says its own",
    ),
    FailurePattern(
        r"[Tt]he quantization method %?(?P<what>\S+) is deprecated",
        "this vLLM wants no new deployments with this quantization",
        "engine.vllm.quantization: another one, or args: allow_deprecated_quantization: true",
    ),
    FailurePattern(
        r"Cannot find any of \[(?P<keys>[^\]]+)\] in the model's quantization config",
        "the model's quantization_config lacks {keys}",
        "model: a repository whose config.json (or quantize_config.json) is complete",
    ),
    FailurePattern(
        r"torch\.(?P<dtype>\w+) is not supported for quantization method (?P<method>\w+)\. Supported dtypes: "
        r"\[torch\.(?P<first>\w+)",
        "a model quantized as {method} cannot compute in {dtype}",
        "engine.vllm.dtype: {first}",
    ),
    FailurePattern(
        r"LoRA rank (?P<rank>\d+) is greater than max_lora_rank (?P<most>\d+)",
        "an adapter has rank {rank}, and the engine was started for {most} at most",
        "engine.vllm.args: max_lora_rank: {rank}",
    ),
    FailurePattern(
        r"Loading lora (?P<name>\S+) failed: No adapter found for (?P<path>\S+)",
        "the files of the adapter {name} are not there: {path}",
        "adapters: `deployer hosts probe --verify` says what is missing",
    ),
    FailurePattern(
        r"expected target modules in .*? but received (?P<what>\[.*?\])\. Please verify that the loaded LoRA",
        "an adapter changes layers that this model does not have: {what}",
        "adapters: one that was trained on this model",
    ),
    FailurePattern(
        r"(?P<what>vLLM does not( yet)? support (DoRA|LoRA bias|layer_replication|QALoRA|Activated LoRA)|"
        r"Adapter bias is not supported|Model .* is not supported for LoRA|vLLM only supports modules_to_save)",
        "vLLM cannot use this adapter: {what}",
        "adapters: a plain LoRA without bias, on a model that vLLM can adapt",
    ),
    FailurePattern(
        r"Timed out waiting for engine core processes to start.*?Waited (?P<s>\d+)s",
        "the weights were not loaded after {s} s",
        "engine.vllm.env: VLLM_ENGINE_READY_TIMEOUT_S: more than {s}, or faster disks for paths.models",
    ),
)

_MODEL = (
    FailurePattern(
        r"supplied chat template \((?P<what>.+?)\) looks like a file path, but it failed to be opened",
        "the chat template {what} is not there",
        "engine.vllm.args: chat_template: the template itself, or leave it out",
    ),
    FailurePattern(
        r"jinja2\.exceptions\.\w+: (?P<why>.+)",
        "the chat template is not valid: {why}",
        "model: correct its chat_template.jinja, or args: chat_template",
    ),
    FailurePattern(
        r"Model architectures? (?P<what>\[.*?\]|\S+) (are not|failed to be|is not supported|was supported)",
        "this vLLM has no implementation of {what}",
        "engine.vllm.version: one that has it, or another engine",
    ),
    FailurePattern(
        r"model type `(?P<what>[^`]+)` but Transformers does not recognize this architecture",
        "the Transformers library of this vLLM does not know the model type {what}",
        "engine.vllm.version: a newer one",
    ),
    FailurePattern(
        r"Unrecognized model in |Should have a `model_type` key",
        "config.json does not say what model it is",
        "model: a repository in the format of Transformers",
    ),
    FailurePattern(
        r"trust_remote_code=True|requires you to execute",
        "the model brings code of its own",
        "engine.vllm.args: trust_remote_code: true, after reading that code",
    ),
    FailurePattern(
        r"Can't load tokenizer for|Couldn't instantiate the backend tokenizer|is not a valid tokenizer",
        "the model's tokenizer is missing or cannot be read",
        "model: a repository with a tokenizer.json (or args: tokenizer)",
    ),
    FailurePattern(
        r"GatedRepoError|Cannot access gated repo|Access to model \S+ is restricted",
        "the repository is gated",
        "model.token: of somebody who was let in, and model.accept_license",
    ),
    FailurePattern(
        r"RepositoryNotFoundError|Repository Not Found for url",
        "the repository is not there, or not for this token",
        "model.repo: as the hub spells it, or model.token",
    ),
    FailurePattern(
        r"FileNotFoundError: .*?(?P<what>[^ ']+\.(safetensors|bin|json))",
        "a model file is missing or not readable for other users: {what}",
        "model: check its files on the host (mode 0644)",
    ),
    FailurePattern(
        r"Cannot find any model weights with",
        "the model's folder holds no weights",
        "model: a repository with safetensors files",
    ),
    FailurePattern(
        r"SafetensorError|Error while deserializing header|invalid JSON in header|PytorchStreamReader failed",
        "a weight file is damaged or cut off",
        "model: `deployer hosts probe --verify` reads the digests again",
    ),
    FailurePattern(
        r"weights were not initialized from checkpoint: (?P<what>.{1,80})|There is no module or parameter named (?P<name>\S+) in",
        "the weights are not those of this architecture, or a shard is missing",
        "model: one whose files belong together (model.safetensors.index.json names the shards)",
    ),
    FailurePattern(
        r"Repo id must be in the form",
        "the model's folder is not there",
        "model: `deployer hosts probe --verify` says what is missing",
    ),
    FailurePattern(
        r"LocalEntryNotFoundError|OfflineModeIsEnabled",
        "the engine looked for a file on the hub, where it may not go",
        "engine.vllm.args: name only what the model's folder holds",
    ),
    FailurePattern(
        r"\b(gcc|g\+\+|cc|nvcc|ninja)\b.*?(No such file or directory|not found)|Failed to find C compiler|InvalidCxxCompiler",
        "the engine wants to compile and found no compiler",
        "engine.vllm.args: enforce_eager: true, or install gcc on the host",
    ),
)

_VAGUE = (
    FailurePattern(
        r"EngineDeadError|EngineCore encountered an issue|died unexpectedly",
        "the engine died after it was loaded; its first error is above in the log",
        "engine.vllm.args: enforce_eager: true shows whether the compiled code is at fault",
    ),
    FailurePattern(
        r"Engine process failed to start|Engine core initialization failed|WorkerProc initialization failed",
        "the engine did not start; its first error is above in the log",
    ),
)

FAILURES = (*HOST_FAILURES, *_MEMORY, *_DEVICE, *_SETTINGS, *_MODEL, *HOST_FALLBACKS, *_VAGUE)
_MINE, _PLACEMENTS = "engine.vllm.gpu_memory_utilization", "placement.gpu_share"
#: Where the placement says what vLLM may take.
OF_A_SHARE = tuple(replace(f, hint=f.hint.replace(_MINE, _PLACEMENTS)) if f.hint and _MINE in f.hint else f for f in FAILURES)
