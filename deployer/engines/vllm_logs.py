"""What vLLM writes while it starts, seen with 0.32. Data only; read by engines.vllm, used by the agent.

Patterns match within one line, and the message only, never a file and line number.
"""

from deployer.engines.base import Phase

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
