"""What vLLM writes while it starts and when it fails, seen with 0.32. Data only; read by engines.vllm, used by the agent.

Patterns match within one line, and the message only, never a file and line number. Failures are tried in this order; texts
use only groups that always match.
"""

from deployer.engines.base import FailurePattern, Phase

PHASES = (
    Phase(r"Resolved architecture: (?P<what>\w+)", "reading the model's configuration"),
    Phase(r"Initializing a V1 LLM engine", "starting the engine"),
    Phase(r"Starting to load model", "loading the model"),
    Phase(r"Loading safetensors checkpoint shards:\s+\d+% Completed \| (?P<done>\d+)/(?P<total>\d+)", "loading shards"),
    Phase(r"Loading weights took", "weights loaded"),
    Phase(r"Dynamo bytecode transform time|Warming up model for the compilation", "compiling"),
    Phase(r"(GPU|CPU) KV cache size|Available KV cache memory", "making the cache"),
    Phase(r"Capturing CUDA graphs", "capturing CUDA graphs"),
    Phase(r"init engine \(profile, create kv cache, warmup model\) took", "warmed up"),
    Phase(r"Starting vLLM server on", "starting the server"),
    Phase(r"Application startup complete", "answering"),
)

FAILURES = (
    FailurePattern(
        r"max seq len \((?P<wanted>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed.*?available KV cache memory "
        r"\((?P<there>[\d.]+) GiB\).*?estimated maximum model length is (?P<fits>\d+)",
        "the cache is too small for max_model_len {wanted}: {needed} GiB needed, {there} there",
        "engine.vllm.max_model_len: {fits} is what the engine says fits",
    ),
    FailurePattern(
        r"No available memory for the cache blocks",
        "the weights leave no memory for the cache",
        "engine.vllm.gpu_memory_utilization: higher, or a GPU with more memory, or a smaller quantization",
    ),
    FailurePattern(
        r"Free memory on device .*?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup is less than desired",
        "another process uses the GPU: {free} of {total} GiB are free",
        "engine.vllm.gpu_memory_utilization: lower, or free the GPU first (nvidia-smi shows who holds it)",
    ),
    FailurePattern(
        r"Free memory on device .*? on startup is less than desired",
        "another process uses the GPU",
        "engine.vllm.gpu_memory_utilization: lower, or free the GPU first (nvidia-smi shows who holds it)",
    ),
    FailurePattern(
        r"torch\.OutOfMemoryError|CUDA out of memory",
        "the GPU ran out of memory",
        "engine.vllm.max_model_len: lower, or engine.vllm.tensor_parallel: higher",
    ),
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
        r"Unknown quantization method: \S+|quantization method \S+ is not supported",
        "vLLM does not know this quantization",
        "engine.vllm.quantization: leave it out when the model says its own",
    ),
    FailurePattern(
        r"Total number of attention heads \((?P<heads>\d+)\) must be divisible by tensor parallel size \((?P<tp>\d+)\)",
        "{heads} attention heads cannot be divided among {tp} GPUs",
        "engine.vllm.tensor_parallel: a divisor of {heads}",
    ),
    FailurePattern(
        r"Model architectures (?P<what>\[.*?\]) (are not|failed to be)",
        "this vLLM has no implementation of {what}",
        "engine.vllm.version: one that has it, or another engine",
    ),
    FailurePattern(
        r"trust_remote_code=True|requires you to execute the configuration file",
        "the model brings code of its own",
        "engine.vllm.args: trust_remote_code: true, after reading that code",
    ),
    FailurePattern(
        r"OSError: \[Errno 98\] (Address already in use|error while attempting to bind)",
        "another process listens on the replica's port",
        "ports: of the host's file, or stop that process",
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
        r"SafetensorError|Error while deserializing header",
        "a weight file is damaged",
        "model: `deployer hosts probe --verify` reads the digests again",
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
        r"(?P<what>NVIDIA driver on your system is too old|CUDA driver version is insufficient|no CUDA-capable device)",
        "the NVIDIA driver does not fit: {what}",
        "engine.vllm.variant: cpu, or a newer driver on the host",
    ),
    FailurePattern(
        r"Failed to infer device type",
        "vLLM found no device it was built for",
        "engine.vllm.variant: cpu for a host without GPUs",
    ),
    FailurePattern(
        r"(gcc|cc|nvcc|ninja).*?(No such file or directory|not found)|Failed to find C compiler",
        "the engine wants to compile and found no compiler",
        "engine.vllm.args: enforce_eager: true, or install gcc on the host",
    ),
    FailurePattern(
        r"Engine process failed to start|Engine core initialization failed",
        "the engine did not start; its first error is above in the log",
    ),
)
