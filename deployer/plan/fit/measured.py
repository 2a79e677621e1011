"""What an engine said and held when it started, in the place of what is computed of it. Called by answer.py.

It counts for starts with the same key: engine and version, model, settings that move memory, and GPU; not the context nor the
share of the GPU, from which what is left for the cache is computed anew.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from deployer.plan.fit.overhead import Overhead
from deployer.plan.fit.question import Measured, Question, Settings
from deployer.state.canonical import digest

_LEFT_OUT = {"context", "utilization", "share", "stated", "unread", "one_cache_type", "pooling"}
_COUNTED = sorted(set(Settings._fields) - _LEFT_OUT)


def key(engine: str, version: str, model: str, question: Question) -> str:
    """What determines the memory of a start. `model`: the digest of its files."""
    settings = [getattr(question.settings, name) for name in _COUNTED]
    settings += ["pooling"] if question.settings.pooling else []  # added later: notes of other starts keep their key
    gpu = question.gpu
    return digest([engine, version, model, settings, gpu.name, 0 if gpu.cpu else gpu.memory], 16)


def measured(noted: Mapping[str, Any], at: str, host: str) -> Measured:
    """From a host's note; what is no number there is left out."""
    numbers = {
        field.name: noted[field.name]
        for field in fields(Measured)
        if field.name not in ("at", "host_name") and _number(noted.get(field.name))
    }
    return Measured(at=at, host_name=host, **numbers)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def weights_of(question: Question, computed: int) -> int:
    found = question.measured
    return found.weights if found is not None and found.weights is not None else computed


def overhead_of(question: Question, computed: Overhead, held: int, allocated: int) -> Overhead:
    """What is neither weights nor cache. `held`: the weights; `allocated`: bytes of cache that are there once it has started."""
    found = question.measured
    if found is None:
        return computed
    rest: int | None = None
    if (
        found.usable is not None
        and found.cache is not None
        and found.weights is not None
        and question.settings.cache_bytes is None
    ):
        rest = found.usable - found.weights - found.cache
    elif found.weights is not None and found.overhead is not None:
        rest = found.overhead + computed.context
    elif question.gpu.cpu or not question.settings.paged:  # a pool of pages takes the whole share of a GPU
        whole = found.host if question.gpu.cpu else found.gpu
        rest = whole - held - allocated if whole is not None else None
    # a negative rest is no measurement of ours: something else counted
    return (
        computed
        if rest is None or rest < 0
        else replace(computed, context=rest, activation=0, graphs=0, adapters=0, source="measured")
    )
