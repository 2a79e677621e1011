"""What llama-server (build 11434) writes while it starts and when it fails. Data only; read by engines.llamacpp, used by the
agent.
"""

from deployer.engines.base import FailurePattern, Figure, Phase
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS

PHASES = (
    Phase(r"load_model: loading model '", "loading the model"),
    Phase(r"load_model: initializing, n_slots", "making the cache"),
    Phase(r"llama_server: model loaded", "starting the server"),
    Phase(r"llama_server: listening on ", "answering"),
)

#: Written by a server that logs as much as this (LLAMA_ARG_LOG_VERBOSITY from 4 on): a line for each buffer of each device.
_MIB = 1 << 20
FIGURES = (
    Figure(r"model buffer size = +(?P<number>[\d.]+) MiB", "weights", _MIB, "sum"),
    Figure(r"KV buffer size = +(?P<number>[\d.]+) MiB", "cache", _MIB, "sum"),
    Figure(r"(compute|output) buffer size = +(?P<number>[\d.]+) MiB", "overhead", _MIB, "sum"),
)

FAILURES = (
    *HOST_FAILURES,
    FailurePattern(
        r"failed to open GGUF file '(?P<what>[^']+)' \((?P<why>[^)]+)\)",
        "the GGUF file cannot be opened: {what} ({why})",
        "model.file: `deployer hosts probe --verify` says what is there",
    ),
    FailurePattern(
        r"invalid magic characters",
        "the file is not a GGUF file",
        "model.file: another one, or download it again",
    ),
    FailurePattern(
        r"this GGUF file is version (?P<what>\d+) but",
        "the file is of GGUF version {what}, which this build does not read",
        "engine.llamacpp.version: a newer build (script/llama-server)",
    ),
    FailurePattern(
        r"is not within the file bounds, model is corrupted or incomplete|failed to read tensor|has invalid data",
        "the GGUF file is cut off or damaged",
        "model: `deployer hosts probe --verify` reads the digests again",
    ),
    FailurePattern(
        r"unknown model architecture: '(?P<what>[^']*)'",
        "this build of llama.cpp does not know the architecture {what}",
        "engine.llamacpp.version: a newer build (script/llama-server)",
    ),
    FailurePattern(
        r"unknown pre-tokenizer type: '(?P<what>[^']*)'",
        "this build of llama.cpp does not know the tokenizer {what}",
        "engine.llamacpp.version: a newer build (script/llama-server)",
    ),
    FailurePattern(
        r"missing tensor '(?P<what>[^']+)'|wrong number of tensors|wrong shape",
        "the file does not hold the weights that its architecture has",
        "model.file: convert it again with a current convert_hf_to_gguf.py",
    ),
    FailurePattern(
        r"quantized V cache requires flash_attn|V cache quantization requires flash_attn",
        "quantized values in the cache want flash attention",
        "engine.llamacpp.flash_attn: on",
    ),
    FailurePattern(
        r"cudaMalloc failed: out of memory|CUDA error: out of memory|unable to allocate CUDA\d+ buffer",
        "the GPU ran out of memory",
        "engine.llamacpp.gpu_layers: fewer, or max_model_len lower, or a smaller quantization of the file",
    ),
    FailurePattern(
        r"failed to allocate (\w+ buffer of size|buffer of size|[\d. ]+ MB|memory|buffer for)",
        "the host has too little memory for the model and its cache",
        "engine.llamacpp.max_model_len: lower, or batch.max_size: fewer, or cache_type_k: q8_0",
    ),
    FailurePattern(
        r"invalid device: CUDA\d|no CUDA-capable device|CUDA driver version is insufficient",
        "llama.cpp found no GPU that it can use, or is built without CUDA",
        "engine.llamacpp.device: cpu, or the CUDA build (script/llama-server --cuda)",
    ),
    FailurePattern(
        r"invalid argument: (?P<what>\S+)",
        "this llama-server does not know {what}",
        "engine.llamacpp.program: a newer one, or leave it out for the tested one",
    ),
    FailurePattern(
        r'error while handling argument "(?P<what>[^"]+)": (?P<why>.+)',
        "llama-server refused {what}: {why}",
        "engine.llamacpp: correct the setting behind it",
    ),
    FailurePattern(
        r"chat template parsing error: (?P<why>.+)",
        "the model's chat template cannot be used: {why}",
        "model.file: one with a chat template that llama.cpp reads",
    ),
    *HOST_FALLBACKS,
    FailurePattern(
        r"exiting due to model loading error",
        "llama.cpp could not load the model; its first error is above in the log",
    ),
)
