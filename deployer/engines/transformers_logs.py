"""What `transformers serve` 5.23 writes while it starts and when it fails. Data only; read by engines.transformers, used by the
agent.
"""

from deployer.engines.base import FailurePattern, Phase
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS

PHASES = (
    Phase(r"loading the model from ", "importing torch"),
    Phase(r"\[transformers\] Loading /", "loading the model"),
    Phase(r"Loading weights:\s+\d+%.*\| (?P<done>\d+)/(?P<total>\d+) \[[^|]*$", "loading weights"),
    Phase(r"ready after ", "starting the server"),
    Phase(r"Application startup complete", "answering"),
)

FAILURES = (
    *HOST_FAILURES,
    FailurePattern(
        r"torch\.OutOfMemoryError|CUDA out of memory",
        "the GPU ran out of memory",
        "engine.transformers.quantization: bnb-4bit, or placement.gpus: more",
    ),
    FailurePattern(
        r"Some modules are dispatched on the CPU or the disk",
        "the model does not fit on its GPUs",
        "placement.gpus: more, or engine.transformers.quantization: bnb-4bit",
    ),
    FailurePattern(
        r"NVIDIA driver on your system is too old|CUDA driver version is insufficient|no CUDA-capable device|"
        r"No CUDA GPUs are available",
        "the NVIDIA driver does not fit, or shows no GPU",
        "engine.transformers.device: cpu, or a newer driver on the host",
    ),
    FailurePattern(
        r"Torch not compiled with CUDA enabled",
        "torch in this environment is built for CPUs",
        "engine.transformers.device: cuda, and `deployer lock --upgrade` where a folder of wheels brought the CPU build",
    ),
    FailurePattern(
        r"FlashAttention\d? has been toggled on, but it cannot be used",
        "flash attention is not installed",
        "engine.transformers.attn_implementation: sdpa, or requirements: [flash-attn]",
    ),
    FailurePattern(
        r"quantization requires bitsandbytes: |No package metadata was found for bitsandbytes",
        "bitsandbytes is not installed",
        "engine.transformers.quantization: bnb-4bit or bnb-8bit bring it; a quantized model wants requirements: [bitsandbytes]",
    ),
    FailurePattern(
        r"None of the available devices .* are supported by the bitsandbytes",
        "bitsandbytes found no GPU that it can use",
        "engine.transformers.quantization: leave it out, or placement.gpus: 1",
    ),
    FailurePattern(
        r"model type `(?P<what>[^`]+)` but Transformers does not recognize this architecture",
        "this version of transformers does not know the model type {what}",
        "engine.transformers.version: a newer one",
    ),
    FailurePattern(
        r"module transformers has no attribute (?P<what>\w+)",
        "this version of transformers has no {what}",
        "engine.transformers.version: one that has it",
    ),
    FailurePattern(
        r"contains custom code which must be executed|requires you to execute custom code",
        "the model brings code of its own",
        "engine.transformers.trust_remote_code: true, after reading that code",
    ),
    FailurePattern(
        r"ValueError: Unrecognized model in ",
        "the model's folder has no config.json that says what it is",
        "model: the folder or repository that holds config.json itself",
    ),
    FailurePattern(
        r"It looks like the config file at .*config\.json' is not a valid JSON file",
        "config.json is not JSON",
        "model: correct config.json",
    ),
    FailurePattern(
        r"SafetensorError|Error while deserializing header",
        "a weight file is damaged",
        "model: `deployer hosts probe --verify` reads the digests again",
    ),
    FailurePattern(
        r"no file named (model\.safetensors|pytorch_model\.bin)",
        "the model's folder holds no weights",
        "model: a repository with safetensors files",
    ),
    FailurePattern(
        r"Couldn't instantiate the backend tokenizer|Can't load tokenizer for|Unrecognized processing class in ",
        "the tokenizer cannot be read",
        "model: a repository with a tokenizer.json",
    ),
    FailurePattern(
        r"ImportError: .*requires the (?P<what>[\w-]+) library but it was not found",
        "the model wants the package {what}",
        "engine.transformers.requirements: [{what}]",
    ),
    FailurePattern(
        r"ModuleNotFoundError: No module named '(?P<what>[\w.]+)'",
        "a package is missing in the environment: {what}",
        "engine.transformers.requirements: [{what}]",
    ),
    FailurePattern(
        r"__init__\(\) got an unexpected keyword argument '(?P<what>\w+)'",
        "this version of transformers serve does not know {what}",
        "engine.transformers.version: the tested one, by leaving it out",
    ),
    FailurePattern(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?P<what>[^']+)'",
        "a folder or file of the model is not there: {what}",
        "model: `deployer hosts probe --verify` says what is missing",
    ),
    FailurePattern(
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to 'https?://",
        "it looked for a file on the hub, where it may not go",
        "model: a repository that holds all its files",
    ),
    *HOST_FALLBACKS,
)
