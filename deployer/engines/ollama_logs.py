"""What Ollama, and the program that starts it, write while it starts and when it fails. Data only; read by engines.ollama,
used by the agent. Ollama's lines are from its source and from what users reported; none was provoked.
"""

from deployer.engines.base import FailurePattern, Phase
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS

PHASES = (
    Phase(r"bringing \S+ into the store", "bringing the file into Ollama's store"),
    Phase(r"^making the model", "making the model"),
    Phase(r"^loading the model", "loading the model"),
    Phase(r"ready after ", "answering"),
)

FAILURES = (
    *HOST_FAILURES,
    FailurePattern(
        r"bind: address already in use",
        "another process listens on the replica's port",
        "ports: of the host's file, or stop that process",
    ),
    FailurePattern(
        r"no space left on device",
        "the disk of the host is full: Ollama keeps a copy of the model below /var/cache/deployer",
        "keep: fewer revisions, then `deployer gc`",
    ),
    FailurePattern(
        r"No such file or directory: '(?P<what>[^']*\.gguf)'",
        "the GGUF file is not there: {what}",
        "model.file: `deployer hosts probe --verify` says what is there",
    ),
    FailurePattern(
        r"No such file or directory: '(?P<what>[^']*)'",
        "Ollama is not on the host at {what}",
        "engine.ollama.program: where it is, or install it there",
    ),
    FailurePattern(
        r"model requires more system memory \((?P<wanted>[^)]+)\) than is available \((?P<there>[^)]+)\)",
        "the model wants {wanted} of memory and {there} are free",
        "engine.ollama.max_model_len: lower, or a smaller quantization of the file",
    ),
    FailurePattern(
        r"the model does not fit on the GPU: (?P<there>[\d.]+) of (?P<wanted>[\d.]+) GiB are there",
        "the GPU holds {there} of the model's {wanted} GiB, and the CPU would compute the rest",
        "engine.ollama.max_model_len: lower, or kv_cache_type: q8_0, or partly_on_cpu: true",
    ),
    FailurePattern(
        r"CUDA error: out of memory|cudaMalloc failed: out of memory",
        "the GPU ran out of memory",
        "engine.ollama.max_model_len: lower, or batch.max_size: fewer",
    ),
    FailurePattern(
        r"unknown model architecture: '?(?P<what>[\w-]+)|unsupported architecture \"?(?P<other>[\w-]+)",
        "this Ollama does not know the model's architecture",
        "engine.ollama.program: a newer one",
    ),
    FailurePattern(
        r"llama runner process has terminated: (?P<why>.+)",
        "Ollama's runner ended: {why}",
        "engine.ollama.program: another version, or the engine llamacpp",
    ),
    FailurePattern(
        r"making the model failed: (?P<why>.+)",
        "Ollama does not make a model of this file: {why}",
        "model.file: one that it reads, or a newer Ollama on the host",
    ),
    FailurePattern(
        r"(?P<what>bringing the file|naming the model \S+|loading the model) failed: (?P<why>.+)",
        "{what} failed: {why}",
        "engine.ollama: the log says more (deployer logs)",
    ),
    FailurePattern(
        r"ollama serve did not answer within (?P<seconds>\d+) s",
        "Ollama did not begin to answer within {seconds} s",
        "engine.ollama.program: try it by hand on the host",
    ),
    *HOST_FALLBACKS,
    FailurePattern(
        r"ollama serve ended with exit code (?P<code>\d+)",
        "Ollama ended by itself with exit code {code}; why is above in the log",
    ),
)
