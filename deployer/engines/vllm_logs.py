"""What vLLM writes while it starts, seen with 0.32. Data only; read by engines.vllm, used by the agent.

Patterns match within one line, and the message only, never a file and line number. Of several that match, the last counts.
"""

from deployer.engines.base import Figure, Phase

_GIB = 1 << 30

PHASES = (
    Phase(r"Resolved architecture: (?P<what>\w+)", "reading the model's configuration"),
    Phase(r"Initializing a V1 LLM engine", "starting the engine"),
    Phase(r"Starting to load model", "loading the model"),
    Phase(r"[Ll]oading \w+ checkpoint shards:\s+\d+% Completed \| (?P<done>\d+)/(?P<total>\d+)", "loading shards"),
    Phase(r"Loading weights took", "weights loaded"),
    Phase(r"Model loading took", "measuring memory"),  # a GPU's: the longest batch is tried
    Phase(r"Dynamo bytecode transform time|Warming up model for the compilation|Compile and warming up", "compiling"),
    Phase(r"torch\.compile took", "measuring memory"),
    Phase(r"Profiling CUDA graph memory", "measuring memory of CUDA graphs"),
    Phase(r"(GPU|CPU) KV cache size|Available KV cache memory", "making the cache"),
    Phase(r"Capturing [\w -]*CUDA graphs", "capturing CUDA graphs"),
    Phase(r"Capturing [\w -]*CUDA graphs[^|]*\|[^|]*\| (?P<done>\d+)/(?P<total>\d+)", "capturing CUDA graphs"),
    Phase(r"Graph capturing finished", "warming up"),
    Phase(r"init engine \(profile, create kv cache, warmup model\) took", "warmed up"),
    Phase(r"Starting vLLM server on", "starting the server"),
    Phase(r"Application startup complete", "answering"),
)

#: Each rank says its weights and what is left for its cache; the fullest counts. 0.32 says tokens and concurrency in one line.
FIGURES = (
    Figure(r"Model loading took (?P<number>[\d.]+) GiB", "weights", _GIB, "max"),
    Figure(r"Available KV cache memory: (?P<number>[\d.]+) GiB", "cache", _GIB, "min"),
    Figure(r"Explicitly set \((?P<number>[\d.]+)/[\d.]+\) GiB for KV cache", "cache", _GIB, "min"),
    Figure(r"(GPU|CPU) KV cache size: (?P<number>[\d,]+) tokens", "tokens", 1, "min"),
    Figure(r"Maximum concurrency for [\d,]+ tokens per request: (?P<number>[\d.]+)x", "concurrency", 1, "min"),
)
