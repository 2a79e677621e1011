"""Counters, gauges and histograms under vLLM's names, so that one dashboard and one alert serve both engines."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence

_SECONDS = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
    160.0,
    640.0,
)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000)
_HISTOGRAMS: dict[str, str] = {
    "time_to_first_token_seconds": "Time from arrival to the first token.",
    "inter_token_latency_seconds": "Time between two tokens of one answer.",
    "request_time_per_output_token_seconds": "Mean time per token after the first, one value per request.",
    "e2e_request_latency_seconds": "Time from arrival to the end of the answer.",
    "request_queue_time_seconds": "Time a request waited for its batch.",
    "request_inference_time_seconds": "Time a request was in its batch.",
    "request_prefill_time_seconds": "Time from the start of its batch to its first token.",
    "request_decode_time_seconds": "Time from its first token to its end.",
    "request_prompt_tokens": "Tokens of the prompt, one value per answer.",
    "request_generation_tokens": "Tokens generated, one value per answer.",
}
_COUNTERS: dict[str, tuple[str, str]] = {  # name → (its label, help)
    "prompt_tokens": ("", "Tokens of prompts that were run."),
    "generation_tokens": ("", "Tokens generated."),
    "request_success": ("finished_reason", "Requests that ended, by reason."),
    "admission_rejections": ("reason", "Requests that were refused before they ran."),
    "num_preemptions": ("", "Answers that went on in another batch, so that others need not wait for it to end."),
    "batches": ("", "Batches run; generation happens in static batches."),
}


class Histogram:
    def __init__(self, bounds: Sequence[float] = _SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def _bounds(name: str) -> Sequence[float]:
    return _SECONDS if name.endswith("_seconds") else _TOKENS


class Metrics:
    """Thread-safe: the batch threads count, the server renders."""

    def __init__(self, model_name: str) -> None:
        self._lock = threading.Lock()
        self._labels = {"engine": "0", "model_name": model_name}
        self.info: Mapping[str, str] = {}  # what the model is served as, once it is loaded
        self._histograms = {name: Histogram(_bounds(name)) for name in _HISTOGRAMS}
        self._counters: dict[str, dict[str, int]] = {name: {} if label else {"": 0} for name, (label, _) in _COUNTERS.items()}

    def count(self, name: str, amount: int = 1, label: str = "") -> None:
        with self._lock:
            values = self._counters[name]
            values[label] = values.get(label, 0) + amount

    def observe(self, name: str, value: float) -> None:
        with self._lock:
            self._histograms[name].observe(value)

    def render(self, gauges: Mapping[str, float]) -> str:
        """Prometheus' text format, 0.0.4."""
        lines: list[str] = []
        if self.info:
            lines += ["# HELP ctranslate2:model_info What the model is served as; compute_type is what it really computes in."]
            lines += ["# TYPE ctranslate2:model_info gauge", f"ctranslate2:model_info{self._tags(**self.info)} 1.0"]
        with self._lock:
            for name, value in gauges.items():
                lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{self._tags()} {float(value)}"]
            for name, values in self._counters.items():
                label, text = _COUNTERS[name]
                lines += [f"# HELP vllm:{name}_total {text}", f"# TYPE vllm:{name}_total counter"]
                lines += [f"vllm:{name}_total{self._tags(**({label: k} if label else {}))} {float(v)}" for k, v in values.items()]
            for name, histogram in self._histograms.items():
                lines += [
                    f"# HELP vllm:{name} {_HISTOGRAMS[name]}",
                    f"# TYPE vllm:{name} histogram",
                    *self._buckets(name, histogram),
                ]
        return "\n".join(lines) + "\n"

    def _buckets(self, name: str, histogram: Histogram) -> list[str]:
        lines, total = [], 0
        for bound, count in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts):  # noqa: B905  Python 3.9
            total += count
            lines.append(f"vllm:{name}_bucket{self._tags(le=bound)} {float(total)}")
        return [*lines, f"vllm:{name}_sum{self._tags()} {histogram.sum}", f"vllm:{name}_count{self._tags()} {float(total)}"]

    def _tags(self, **more: str) -> str:
        pairs = ",".join(f'{key}="{_escape(value)}"' for key, value in {**self._labels, **more}.items())
        return "{" + pairs + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
