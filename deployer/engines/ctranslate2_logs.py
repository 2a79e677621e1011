"""What our server and CTranslate2 4.8.5 write while they start and when they fail. Data only; read by engines.ctranslate2,
used by the agent.
"""

from deployer.engines.base import FailurePattern, Phase
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS

PHASES = (
    Phase(r"loading model ", "loading the model"),
    Phase(r"ready after ", "answering"),
)
FAILURES = (
    *HOST_FAILURES,
    FailurePattern(
        r"Library libcublas\.so\.12 is not found",
        "cuBLAS for CUDA 12 is missing",
        "engine.ctranslate2.device: cuda, so that the environment brings it",
    ),
    FailurePattern(
        r"CUDA failed with error out of memory|CUDA out of memory",
        "the GPU ran out of memory",
        "engine.ctranslate2.quantization: int8",
    ),
    FailurePattern(
        r"CUDA driver version is insufficient|no CUDA-capable device is detected|CUDA driver is a stub library",
        "the NVIDIA driver does not fit",
        "engine.ctranslate2.device: cpu, or a newer driver on the host",
    ),
    FailurePattern(
        r"Requested (?P<what>\w+) compute type, but the target device or backend do not support",
        "this device cannot compute in {what}",
        "engine.ctranslate2.compute_type: default",
    ),
    FailurePattern(
        r"Unsupported model binary version",
        "the model was converted by a newer CTranslate2",
        "engine.ctranslate2.version: the one that converted it",
    ),
    FailurePattern(
        r"Unable to open file '(?P<what>model\.bin|.*?/model\.bin)' in model|has an invalid payload size|"
        r"File model\.bin is incomplete",
        "model.bin is missing or cut off",
        "model: `deployer hosts probe --verify` reads the digests again",
    ),
    FailurePattern(
        r"max_model_len is missing",
        "the model does not say how long its context is",
        "engine.ctranslate2.max_model_len: a number of tokens",
    ),
    FailurePattern(
        r"chat template is not valid: (?P<why>.+)",
        "the model's chat template is not valid: {why}",
        "model: correct chat_template.jinja",
    ),
    FailurePattern(
        r"which token ends an answer",
        "the model does not say which token ends an answer",
        "model: name eos_token_id in generation_config.json",
    ),
    FailurePattern(
        r"tokenizer\.json",
        "the tokenizer cannot be read",
        "model: a repository with a tokenizer.json",
    ),
    *HOST_FALLBACKS,
)
