"""An engine's own metrics, under vLLM's names (our server says them under the same) or llama.cpp's, as what `watch` sends."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional

from deployer.agent.system import System

TIMEOUT_S = 1.0

_NAMES = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_cache",
    "vllm:gpu_cache_usage_perc": "kv_cache",  # its name before vLLM 0.10
    "vllm:request_success_total": "requests",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:prompt_tokens_total": "prompt_tokens",
    "llamacpp:tokens_predicted_total": "generation_tokens",
}
_TTFT = "vllm:time_to_first_token_seconds_bucket"


def scrape(system: System, port: int, at: float) -> Optional[Dict[str, Any]]:
    """The figures of the engine on this port of the host, `at` that time; None when it does not answer or tells none."""
    try:
        status, body = system.http("GET", "http://127.0.0.1:%d/metrics" % port, timeout=TIMEOUT_S)
    except OSError:
        return None
    found = figures(body.decode("utf-8", "replace")) if status == 200 else {}
    return dict(found, at=at) if found else None


def figures(text: str) -> Dict[str, Any]:
    """Sums over all labels of Prometheus' text format; of the cache's fill, the fullest. "ttft" is a list of [upper bound in
    seconds, count], in order; the last bound is None: infinity is not in JSON.
    """
    found: Dict[str, Any] = {}
    buckets: Dict[float, float] = {}
    for line in text.splitlines():
        if not line.startswith(("vllm:", "llamacpp:")):
            continue
        end = min(at for at in (line.find("{"), line.find(" "), len(line)) if at >= 0)
        name = line[:end]
        if name == _TTFT:
            bound, value = _float(_label(line, "le")), _value(line)
            if bound is not None and value is not None:
                buckets[bound] = buckets.get(bound, 0.0) + value
        elif name in _NAMES:
            _add(found, _NAMES[name], _value(line))
    if buckets:
        found["ttft"] = [[None if math.isinf(bound) else bound, buckets[bound]] for bound in sorted(buckets)]
    return found


def _add(found: Dict[str, Any], key: str, value: Optional[float]) -> None:
    if value is None or not math.isfinite(value):
        return
    found[key] = max(found.get(key, 0.0), value) if key == "kv_cache" else found.get(key, 0.0) + value


def _value(line: str) -> Optional[float]:
    """What stands after the labels; a time may follow it."""
    words: List[str] = line[line.rfind("}") + 1 :].split() if "}" in line else line.split()[1:]
    return _float(words[0]) if words else None


def _label(line: str, name: str) -> str:
    for before in "{,":
        start = line.find('%s%s="' % (before, name)) + len(name) + 3
        if start >= len(name) + 3:
            return line[start : line.find('"', start)]
    return ""


def _float(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return None
