"""A fit in words: a line of terms, and a refusal with what would fit. Called by plan and cli."""

import bisect
from collections.abc import Sequence
from dataclasses import replace

from deployer.engines.memory import CAST, CONVERTED, SLOTS
from deployer.plan.fit.answer import Answer, answer, quick
from deployer.plan.fit.cache import pool, requests
from deployer.plan.fit.question import GIB
from deployer.plan.words import count

#: From which compute capability vLLM does it. Weights: Fp8Config.get_min_capability, below 8.9 as weights only (Marlin). Cache:
#: FlashInfer, and below 8.0 only kernels of Triton's that have no such type (vllm-project/vllm#7714, #24577).
_FP8 = {"kv_cache_dtype": (8, 0), "quantization": (7, 5)}


def gib(size: int) -> str:
    return f"{size / GIB:.2f}"


def line(found: Answer) -> str:
    """One line under a change: "weights 14.96 + cache 2.00 + overhead 3.15 = 20.11 of 73.60 GiB; 26 full requests at once"."""
    if found.unknown is not None:
        return f"memory not computed: {found.unknown}; the engine says it when it starts"
    if found.source == "stated":
        return f"{gib(found.total)} of {gib(found.usable)} GiB, as resources.gpu_memory states"
    terms = f"weights {gib(found.weights)} + cache {gib(found.cache)} + overhead {gib(found.overhead.total)}"
    at_once = count(int(found.requests), "full request") + " at once"
    return f"{terms} = {gib(found.total)} of {gib(found.usable)} GiB; {at_once} ({found.source})"


def explain(found: Answer, converting: int = 0) -> tuple[str, ...]:
    """Every term in a line of its own. `converting`: bytes of the host's memory that a conversion takes at its peak."""
    return (
        *_explained(found),
        *([f"the conversion needs about {gib(converting)} GiB of the host's memory"] if converting else []),
    )


def _explained(found: Answer) -> tuple[str, ...]:
    if found.unknown is not None:
        state = "state it: resources: {gpu_memory: 20GiB} is then what each of its GPUs must have for it"
        return (line(found),) if found.question.gpu.cpu else (line(found), state)
    if found.source == "stated":
        return (line(found), f"a GPU of {found.smallest_gpu // GIB} GiB would do{_of_it(found)}")
    q, more = found.question, found.overhead
    adapters = f", adapters {gib(more.adapters)}" if more.adapters else ""
    each = f" on each of {q.settings.tensor_parallel} GPUs" if q.settings.tensor_parallel > 1 else ""
    stages = f", {q.settings.pipeline_parallel} stages, the fullest" if q.settings.pipeline_parallel > 1 else ""
    lines = [
        f"weights   {gib(found.weights)} GiB{each}{stages}",
        f"cache     {_cache(found)}; {found.token} B for each token",
        f"overhead  {gib(more.total)} GiB: context {gib(more.context)}, activation {gib(more.activation)}, "
        f"graphs {gib(more.graphs)}{adapters}; computed, within about 1 GiB"
        if more.source == "computed"
        else f"overhead  {gib(more.total)} GiB; measured",
        f"together  {gib(found.total)} of {gib(found.usable)} GiB usable, of {gib(q.gpu.memory)}{_of_it(found)}",
        f"at once   {float(found.requests):.2f} full requests",
        f"would fit at most {found.largest_context} tokens here; {_smallest(found)}",
    ]
    if found.smallest_tensor_parallel and not q.settings.cpu:
        lines.append(f"GPUs like this one needed: {found.smallest_tensor_parallel}")
    lines += _measured(found)
    if found.tight:
        lines.append("tight: only a start tells")
    return tuple(lines)


def _cache(found: Answer) -> str:
    if found.pool:
        return f"{gib(found.pool)} GiB, as {_setter(found)} sets it; {gib(found.request)} for {_whom(found)}"
    return f"{gib(found.request)} GiB for {_whom(found)}"


def _setter(found: Answer) -> str:
    return "VLLM_CPU_KVCACHE_SPACE" if found.question.settings.cpu else "kv-cache-memory-bytes"


def _smallest(found: Answer) -> str:
    what = "host" if found.question.settings.cpu else "GPU"
    if found.starved:
        return f"a larger {what} gives it no larger cache"
    size = f"{found.smallest_gpu // GIB} GiB" if found.smallest_gpu else "more than 4096 GiB"
    return f"the smallest {what} that would do has {size}"


def _measured(found: Answer) -> list[str]:
    """What the engine said of its cache when it started, against what is computed of it for the same request."""
    told, q = found.question.measured, found.question
    if told is None:
        return []
    lines = [f"measured  at the start of {told.at[:16].replace('T', ' ')} on {told.host_name}"]
    if told.tokens and told.context and told.cache and q.settings.paged:
        asked = q.with_context(told.context)
        cut = pool(asked)
        ours = int(requests(asked, cut, told.cache) * told.context)
        off = 100 * abs(ours - told.tokens) / told.tokens
        lines[0] += f": {told.tokens} tokens of cache in {gib(told.cache)} GiB; computed {ours}, {off:.1f} % off"
    return lines


def _whom(found: Answer) -> str:
    settings = found.question.settings
    if settings.scheme == SLOTS and not settings.shared and (settings.sequences or 1) > 1:
        return f"{settings.sequences} requests of {found.question.context} tokens, made at the start"
    return f"one request of {found.question.context} tokens"


def lacking(found: Answer) -> tuple[str, str]:
    """(what is missing, what would fit) of one that does not fit."""
    q = found.question
    if found.source == "stated":
        what = f"resources.gpu_memory states {gib(found.total)} GiB, of {gib(found.usable)} GiB usable"
    elif found.certain:
        part = "of the GPU" if q.settings.share == 1.0 else "of its share of the GPU"
        whose = "that it may have" if q.gpu.cpu else part  # on a CPU the host's memory, or resources.memory
        what = f"weights {gib(found.weights)} GiB are more than the {gib(q.budget)} GiB {whose}"
    elif found.starved:
        what = f"cache for {_whom(found)} {gib(found.request)}, of {gib(found.pool)} GiB that {_setter(found)} sets"
    else:
        whose = f"that {_setter(found)} sets" if found.pool else f"for {_whom(found)}"
        what = (
            f"weights {gib(found.weights)} + cache {whose} {gib(found.cache)}"
            f" + overhead {gib(found.overhead.total)} = {gib(found.total)}, of {gib(found.usable)} GiB usable"
        )
    return what, " · or ".join(_ways_out(found))


def _ways_out(found: Answer) -> Sequence[str]:
    q = found.question
    larger = _larger_share(found)
    share = [f"gpu_share {larger}%"] if larger else []
    if found.source == "stated":
        return [*share, f"a GPU of {found.smallest_gpu // GIB} GiB"]
    ways = [_shorter(found)] if found.largest_context else []
    if found.starved:
        return [*ways, *_more_cache(found)] or ["a smaller model"]
    ways += share
    if q.settings.paged and not q.settings.cpu:
        ways += [f"{key} fp8" for key in _FP8 if _computes_fp8(found, key) and _would(found, key, "fp8")]
        if found.smallest_tensor_parallel and found.smallest_tensor_parallel > q.settings.tensor_parallel:
            ways.append(f"tensor_parallel {found.smallest_tensor_parallel}")
    elif q.settings.scheme == SLOTS:
        name = "kv_cache_type" if q.settings.one_cache_type else "cache_type_k and cache_type_v"
        ways += [f"{name} {kind}" for kind in ("q8_0",) if _would(found, "cache_types", kind)]
        ways += ["batch.max_size 1"] if (q.settings.sequences or 1) > 1 and _would(found, "sequences", "1") else []
    elif q.settings.scheme == CONVERTED:
        ways += ["quantization int8"] if _would(found, "quantization", "int8") else []
    elif q.settings.scheme == CAST and not q.settings.cpu:
        ways += ["quantization bnb-4bit"] if _would(found, "quantization", "bnb-4bit") else []
    if found.smallest_gpu:
        ways.append(f"{'a host' if q.settings.cpu else 'a GPU'} of {found.smallest_gpu // GIB} GiB")
    return ways or ["a smaller model"]


def _computes_fp8(found: Answer, key: str) -> bool:
    """A GPU that does not say what it can is not held to it."""
    major, _, minor = found.question.gpu.capability.partition(".")
    return not (major.isdigit() and minor.isdigit()) or (int(major), int(minor)) >= _FP8[key]


def _shorter(found: Answer) -> str:
    """Transformers takes requests of any length: who sends none that are longer states what it takes."""
    q = found.question
    if q.settings.scheme != CAST:
        return f"max_model_len {found.largest_context}"
    stated = "" if q.settings.cpu else f"resources.gpu_memory {found.usable // GIB}GiB, when "
    return f"{stated}no request is longer than {found.largest_context} tokens"


def _more_cache(found: Answer) -> Sequence[str]:
    """As much as one request takes, where there is room for it."""
    q = found.question
    wanted = -(-found.request // GIB) * GIB if q.settings.cpu else found.request
    if not answer(q.with_settings(q.settings._replace(cache_bytes=wanted))).fits:
        return ()
    if q.settings.cpu:
        return (f"env: {{VLLM_CPU_KVCACHE_SPACE: {wanted // GIB}}}",)
    return (f"args: {{kv-cache-memory-bytes: {wanted}}}",)


def _of_it(found: Answer) -> str:
    share = found.question.settings.share
    return "" if share == 1.0 else f", with a share of {share:.0%}"


def _larger_share(found: Answer) -> int | None:
    """The smallest share of this GPU, in percent, that would hold it. None: no share would, or it has none."""
    q = found.question
    if q.settings.share == 1.0:
        return None

    def holds(percent: int) -> bool:
        part = percent / 100
        utilization = part if q.settings.paged else q.settings.utilization
        return quick(replace(q, settings=q.settings._replace(share=part, utilization=utilization))) is True

    first = round(q.settings.share * 100) + 1
    least = first + bisect.bisect_left(range(first, 100), True, key=holds)
    return least if least < 100 else None


def _would(found: Answer, key: str, value: str) -> bool:
    """Is one setting enough? Asked only where it is not set."""
    settings = found.question.settings
    if key == "quantization" and (settings.quantization or found.question.facts.quantization):
        return False
    if key == "kv_cache_dtype" and settings.cache_dtype != "auto":
        return False
    if key == "cache_types" and settings.cache_types != ("f16", "f16"):
        return False
    changed = {
        "quantization": settings._replace(quantization=value),
        "kv_cache_dtype": settings._replace(cache_dtype=value),
        "cache_types": settings._replace(cache_types=(value, value)),
        "sequences": settings._replace(sequences=1),
    }[key]
    other = answer(found.question.with_settings(changed))
    return other.unknown is None and other.fits
