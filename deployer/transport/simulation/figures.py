"""What a simulated engine says at /metrics, as vLLM writes it."""

import math
from dataclasses import dataclass, field

BOUNDS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, math.inf)
_LABELS = 'engine="0",model_name="simulated"'


@dataclass
class Figures:
    """Counters since the engine's start; `ttft` holds each request's seconds to its first token."""

    running: int = 0
    waiting: int = 0
    kv_cache: float = 0.0  # 0 to 1
    requests: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    ttft: list[float] = field(default_factory=list)

    def served(self, requests: int, *, ttft_s: float = 0.05, tokens: int = 10) -> None:
        """So many more requests, each with `tokens` generated tokens."""
        self.requests += requests
        self.prompt_tokens += requests * 5
        self.generation_tokens += requests * tokens
        self.ttft += [ttft_s] * requests

    def text(self) -> str:
        values = {
            "num_requests_running": self.running,
            "num_requests_waiting": self.waiting,
            "kv_cache_usage_perc": self.kv_cache,
            "prompt_tokens_total": self.prompt_tokens,
            "generation_tokens_total": self.generation_tokens,
        }
        lines = [f"vllm:{name}{{{_LABELS}}} {float(value)}" for name, value in values.items()]
        lines.append(f'vllm:request_success_total{{{_LABELS},finished_reason="stop"}} {float(self.requests)}')
        for bound in BOUNDS:
            count = sum(seconds <= bound for seconds in self.ttft)
            le = "+Inf" if math.isinf(bound) else str(bound)
            lines.append(f'vllm:time_to_first_token_seconds_bucket{{{_LABELS},le="{le}"}} {float(count)}')
        return "\n".join(lines) + "\n"
