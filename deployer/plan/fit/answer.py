"""Does it fit: every term, and what would. Pure; called through the package by plan and cli."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from deployer.engines.memory import SLOTS
from deployer.plan.fit import grown, weights
from deployer.plan.fit.cache import Pool, pool, request_bytes, requests
from deployer.plan.fit.layers import layers_of, sane
from deployer.plan.fit.measured import overhead_of, weights_of
from deployer.plan.fit.overhead import MARGIN, Overhead, overhead
from deployer.plan.fit.question import GIB, Question, Unknown

_SIZES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Answer:
    """All bytes are of one GPU, the fullest. `requests`: full requests at once, as vLLM counts them.

    `pool`: bytes of cache that its settings ask for, whatever one request takes; 0: as much as there is room for.
    `unknown` says why nothing could be computed; the numbers are then 0. `largest_context` in tokens, 0: not even one
    fits. `smallest_gpu` in bytes; `smallest_tensor_parallel`: GPUs like this one, None when eight are too few.
    `source`: "computed", "measured" or "stated". `certain`: it cannot fit, whatever the overhead turns out to be.
    """

    question: Question
    unknown: str | None = None
    weights: int = 0
    token: int = 0
    request: int = 0
    pool: int = 0
    overhead: Overhead = Overhead(0, 0, 0)
    usable: int = 0
    requests: Fraction = Fraction(0)
    largest_context: int = 0
    smallest_gpu: int = 0
    smallest_tensor_parallel: int | None = None
    fits: bool = False
    certain: bool = False
    source: str = "computed"

    @property
    def cache(self) -> int:
        return max(self.request, self.pool)

    @property
    def starved(self) -> bool:
        """No GPU helps: one request takes more cache than its settings give it."""
        return 0 < self.pool < self.request

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.overhead.total

    def json(self) -> dict[str, object]:
        """Bytes of one GPU, tokens, requests; None for what is more than anybody has."""
        more = self.overhead
        return {
            "weights": self.weights,
            "cache": self.cache,
            "token": self.token,
            "overhead": {name: getattr(more, name) for name in ("context", "activation", "graphs", "adapters")},
            "total": self.total,
            "usable": self.usable,
            "context": self.question.context,
            "requests": round(float(self.requests), 2),
            "largest_context": self.largest_context,
            "smallest_gpu": self.smallest_gpu or None,
            "smallest_tensor_parallel": self.smallest_tensor_parallel,
            "source": self.source,
        }

    @property
    def tight(self) -> bool:
        """So near that the overhead, which nobody knows before the start, decides."""
        doubtful = not self.certain and not self.starved and self.source == "computed"
        return self.unknown is None and doubtful and abs(self.usable - self.total) < MARGIN

    @property
    def refused(self) -> bool:
        """It does not fit, by more than what nobody knows before a start. Of a host's memory nobody is that sure."""
        return self.unknown is None and not self.fits and not self.tight and not self.question.gpu.cpu


@dataclass(frozen=True, slots=True)
class _Terms:
    weights: int
    overhead: Overhead
    request: int
    room: int  # for the cache
    usable: int
    cut: Pool | None


def answer(question: Question) -> Answer:
    """Never raises for a model that is odd: `unknown` says what is."""
    try:
        return _solve(question)
    except Unknown as why:
        return Answer(question, unknown=str(why))


def _solve(question: Question) -> Answer:
    if question.settings.stated is not None:
        return _stated(question, question.settings.stated)
    if question.settings.unread:
        raise Unknown(f"what {', '.join(question.settings.unread)} does to the memory is not known")
    if not question.context:
        raise Unknown("neither the deployment nor config.json says how long a request may be")
    terms = _terms(question)
    token = terms.cut.token if terms.cut else grown.token_bytes(question)
    return Answer(
        question,
        weights=terms.weights,
        token=token,
        request=terms.request,
        pool=_pool(question, terms),
        overhead=terms.overhead,
        usable=terms.usable,
        requests=_requests(question, terms),
        largest_context=_largest(question, terms),
        smallest_gpu=_smallest_gpu(question),
        smallest_tensor_parallel=_smallest_tensor_parallel(question),
        fits=terms.request <= terms.room,
        certain=_certain(question, terms.weights),
        source=terms.overhead.source,
    )


def _stated(question: Question, size: int) -> Answer:
    """By the number that a person states."""
    settings = question.settings
    usable = int(question.gpu.memory * settings.utilization) if settings.paged else question.budget
    fits = size <= usable
    need = -(-int(size / (settings.utilization if settings.paged else settings.share)) // GIB) * GIB
    said = Overhead(size, 0, 0, source="stated")
    return Answer(
        question, overhead=said, usable=usable, requests=Fraction(int(fits)), smallest_gpu=need, fits=fits, source="stated"
    )


def _certain(question: Question, held: int) -> bool:
    """Weights alone are more than the GPU, by more than files hold that is not loaded (layers for speculation: 2 %)."""
    return bool(question.facts.tensors) and held > question.budget * 1.05


@lru_cache(maxsize=4096)
def quick(question: Question) -> bool | None:
    """Does it fit? None: not known. Cheap, for a plan of thousands that ask the same of few models; `answer` says why and what
    would.
    """
    if question.settings.stated is not None:
        return _stated(question, question.settings.stated).fits
    if question.settings.unread or not question.context:
        return None
    try:
        terms = _terms(question)
    except Unknown:
        return None
    return terms.request <= terms.room


@lru_cache(maxsize=4096)
def brief(question: Question) -> Mapping[str, Any]:
    """The terms alone, in bytes of one GPU, as a change of a plan carries them; or {"unknown": why}. Cheap, for a plan of
    thousands; `answer` says why and what would.
    """
    if question.settings.stated is not None:
        return _brief(_stated(question, question.settings.stated))
    try:
        if question.settings.unread or not question.context:
            return {"unknown": answer(question).unknown}
        terms = _terms(question)
    except Unknown as why:
        return {"unknown": str(why)}
    found = Answer(
        question,
        weights=terms.weights,
        request=terms.request,
        pool=_pool(question, terms),
        overhead=terms.overhead,
        usable=terms.usable,
        requests=_requests(question, terms),
        fits=terms.request <= terms.room,
        certain=_certain(question, terms.weights),
        source=terms.overhead.source,
    )
    return _brief(found)


def _brief(found: Answer) -> dict[str, Any]:
    return {
        "weights": found.weights,
        "cache": found.cache,
        "overhead": found.overhead.total,
        "usable": found.usable,
        "requests": round(float(found.requests), 2),
        "fits": found.fits,
        "source": found.source,
        **({"refused": True} if found.refused else {}),
    }


def _terms(question: Question) -> _Terms:
    sane(question.facts)
    settings, computed = question.settings, overhead(question)
    usable = question.budget
    if not settings.paged:
        held, cache = weights_of(question, grown.weights_bytes(question)), grown.cache_bytes(question)
        more = overhead_of(question, computed, held, cache if settings.scheme == SLOTS else 0)
        return _Terms(held, more, cache, usable - held - more.total, usable, None)
    held = weights_of(question, weights.vllm_bytes(question))
    more = overhead_of(question, computed, held, settings.cache_bytes or 0)
    every = layers_of(question.facts)
    if not every:  # an encoder keeps nothing between requests
        return _Terms(held, more, 0, int(question.gpu.memory * settings.utilization) - held - more.total, usable, None)
    cut = pool(question, every)
    # vllm/v1/worker/utils.py, request_memory: the share of all memory, whatever is free
    usable = int(question.gpu.memory * settings.utilization)
    room = usable - held - more.total
    if settings.cache_bytes is not None:  # made at the start, however little one request takes
        usable, left = question.budget, question.budget - held - more.total - settings.cache_bytes
        room = settings.cache_bytes if left >= 0 else left
    return _Terms(held, more, request_bytes(question, cut), room, usable, cut)


def _pool(question: Question, terms: _Terms) -> int:
    return (question.settings.cache_bytes or 0) if terms.cut is not None else 0


def _requests(question: Question, terms: _Terms) -> Fraction:
    if terms.cut is not None:
        return requests(question, terms.cut, terms.room)
    if question.settings.scheme == SLOTS:  # all of them have their cache from the start, or none has
        return Fraction(question.settings.sequences or 1) if terms.request <= terms.room else Fraction(0)
    return Fraction(max(0, terms.room), terms.request) if terms.request else Fraction(question.sequences)


def _largest(question: Question, terms: _Terms) -> int:
    """The longest request that fits, at most the model's own context: vLLM's "estimated maximum model length"."""
    most = max(question.facts.context or 0, question.context or 0)

    def fits(context: int) -> bool:
        asked = question.with_context(context)
        if terms.cut:
            return request_bytes(asked, terms.cut) <= terms.room
        shorter = _terms(asked)  # a step over a shorter prompt holds less besides
        return shorter.request <= shorter.room

    return _last(fits, most)


def longest(question: Question, room: int) -> int:
    """As `_largest`, in a cache of `room` bytes. For those who know the room from an engine's log. Raises Unknown."""
    cut = pool(question)
    most = max(question.facts.context or 0, question.context or 0)
    return _last(lambda context: request_bytes(question.with_context(context), cut) <= room, most)


def _last(fits: Callable[[int], bool], most: int) -> int:
    """The greatest number from 1 to `most` for which `fits`, which is true up to some number; 0 if for none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _smallest_gpu(question: Question) -> int:
    """In whole GiB, 0 when 4096 are too few. vLLM makes larger batches from 70 and from 160 GiB on, so what fits 69 need not
    fit 70: the ranges are searched one after the other.
    """

    def fits(size: int) -> bool:
        terms = _terms(question.with_gpu(size * GIB))
        return terms.request <= terms.room

    for first, last in ((1, 69), (70, 159), (160, 4096)):
        if fits(last):
            return (last - _last(lambda fewer, last=last: fits(last - fewer), last - first)) * GIB  # type: ignore[misc]
    return 0


def _smallest_tensor_parallel(question: Question) -> int | None:
    if not question.settings.paged:
        return None
    heads = question.facts.heads or 1
    for size in _SIZES:
        if heads % size == 0:
            terms = _terms(question.with_tensor_parallel(size))
            if terms.request <= terms.room:
                return size
    return None
