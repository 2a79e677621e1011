"""A fit in words: a line of terms, and a refusal with what would fit. Called by plan and cli."""

from collections.abc import Sequence
from dataclasses import replace

from deployer.plan.fit.answer import Answer, answer
from deployer.plan.fit.question import GIB
from deployer.plan.words import count


def gib(size: int) -> str:
    return f"{size / GIB:.2f}"


def line(found: Answer) -> str:
    """One line under a change: "weights 14.96 + cache 2.00 + overhead 3.15 = 20.11 of 73.60 GiB; 26 full requests at once"."""
    if found.unknown is not None:
        return f"memory not computed: {found.unknown}; the engine says it when it starts"
    terms = f"weights {gib(found.weights)} + cache {gib(found.request)} + overhead {gib(found.overhead.total)}"
    at_once = count(int(found.requests), "full request") + " at once"
    return f"{terms} = {gib(found.total)} of {gib(found.usable)} GiB; {at_once} ({found.source})"


def explain(found: Answer) -> tuple[str, ...]:
    """Every term in a line of its own."""
    if found.unknown is not None:
        return (line(found), "state the memory yourself: there is no field for it yet, so the plan neither refuses nor promises")
    q, more = found.question, found.overhead
    adapters = f", adapters {gib(more.adapters)}" if more.adapters else ""
    each = f" on each of {q.settings.tensor_parallel} GPUs" if q.settings.tensor_parallel > 1 else ""
    stages = f", {q.settings.pipeline_parallel} stages, the fullest" if q.settings.pipeline_parallel > 1 else ""
    lines = [
        f"weights   {gib(found.weights)} GiB{each}{stages}",
        f"cache     {gib(found.request)} GiB for one request of {q.context} tokens; {found.token} B for each token",
        f"overhead  {gib(more.total)} GiB: context {gib(more.context)}, activation {gib(more.activation)}, "
        f"graphs {gib(more.graphs)}{adapters}; {more.source}, within about 1 GiB",
        f"together  {gib(found.total)} of {gib(found.usable)} GiB usable, of {gib(q.gpu.memory)}",
        f"at once   {float(found.requests):.2f} full requests",
        f"would fit at most {found.largest_context} tokens here; the smallest GPU that would do has "
        + (f"{found.smallest_gpu // GIB} GiB" if found.smallest_gpu else "more than 4096 GiB"),
    ]
    if found.smallest_tensor_parallel:
        lines.append(f"GPUs like this one needed: {found.smallest_tensor_parallel}")
    if found.conversion:
        lines.append(f"the conversion needs about {gib(found.conversion)} GiB of the host's memory at its peak")
    if found.tight:
        lines.append("tight: only a start tells")
    return tuple(lines)


def lacking(found: Answer) -> tuple[str, str]:
    """(what is missing, what would fit) of one that does not fit."""
    q = found.question
    if found.certain:
        what = f"weights {gib(found.weights)} GiB are more than the {gib(q.gpu.memory)} GiB of the GPU"
    else:
        what = (
            f"weights {gib(found.weights)} + cache for one request of {q.context} tokens {gib(found.request)}"
            f" + overhead {gib(found.overhead.total)} = {gib(found.total)}, of {gib(found.usable)} GiB usable"
        )
    return what, " · or ".join(_ways_out(found))


def _ways_out(found: Answer) -> Sequence[str]:
    q = found.question
    ways = [f"max_model_len {found.largest_context}"] if found.largest_context else []
    if q.settings.paged:
        ways += [
            f"{key} {value}" for key, value in (("kv_cache_dtype", "fp8"), ("quantization", "fp8")) if _would(found, key, value)
        ]
        if found.smallest_tensor_parallel and found.smallest_tensor_parallel > q.settings.tensor_parallel:
            ways.append(f"tensor_parallel {found.smallest_tensor_parallel}")
    elif _would(found, "quantization", "int8"):
        ways.append("quantization int8")
    if found.smallest_gpu:
        ways.append(f"a GPU of {found.smallest_gpu // GIB} GiB")
    return ways or ["a smaller model"]


def _would(found: Answer, key: str, value: str) -> bool:
    """Is one setting enough? Asked only where it is not set."""
    settings = found.question.settings
    if key == "quantization" and (settings.quantization or found.question.facts.quantization):
        return False
    if key == "kv_cache_dtype" and settings.cache_dtype != "auto":
        return False
    changed = replace(settings, quantization=value) if key == "quantization" else replace(settings, cache_dtype=value)
    other = answer(replace(found.question, settings=changed))
    return other.unknown is None and other.fits
