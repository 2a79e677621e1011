"""From counters of an engine at two moments to what happened between them, per second. Pure; called by app for the live view."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deployer.state.samples import EngineFigures, Histogram


@dataclass(frozen=True, slots=True)
class Increase:
    """What came in so many `seconds`. None: the engine does not tell."""

    seconds: float
    requests: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None

    @property
    def requests_s(self) -> float | None:
        return _per_second(self.requests, self.seconds)

    @property
    def tokens_s(self) -> float | None:
        """Generated ones."""
        return _per_second(self.generation_tokens, self.seconds)


def increase(before: EngineFigures, after: EngineFigures) -> Increase:
    """A counter that fell has begun again at nought: the engine was started anew, and all it counts came since then (as
    Prometheus' `increase` has it).
    """
    return Increase(
        max(after.at - before.at, 0.0),
        _grown(before.requests, after.requests),
        _grown(before.prompt_tokens, after.prompt_tokens),
        _grown(before.generation_tokens, after.generation_tokens),
    )


def observed_since(before: Histogram, after: Histogram) -> Histogram:
    """What was observed in between; all of it when it was counted anew."""
    if _count(after) < _count(before) or [b for b, _ in before.buckets] != [b for b, _ in after.buckets]:
        return after
    pairs = zip(before.buckets, after.buckets, strict=True)
    return Histogram(tuple([(bound, now - old if now > old else 0.0) for (_, old), (bound, now) in pairs]))


def began_again(before: EngineFigures, after: EngineFigures) -> bool:
    """Whether the engine was started anew in between."""
    pairs = (
        (before.requests, after.requests),
        (before.prompt_tokens, after.prompt_tokens),
        (before.generation_tokens, after.generation_tokens),
        (_count(before.ttft), _count(after.ttft)),
    )
    return any(a is not None and b is not None and b < a for a, b in pairs)


def quantile(share: float, histogram: Histogram) -> float | None:
    """The value that this share (0 to 1) of the observations does not exceed, in seconds; None without observations.

    As Prometheus' `histogram_quantile` for classic histograms (promql/quantile.go, bucketQuantile): linear inside a bucket,
    whose lower bound is the bound before it, 0 for the first; beyond the last finite bound that bound is the answer.
    """
    buckets = histogram.buckets
    total = _count(histogram)
    if not total or len(buckets) < 2 or not math.isinf(buckets[-1][0]):
        return None
    rank = share * total
    below_bound, below = 0.0, 0.0
    for bound, counted in buckets[:-1]:
        here = max(counted, below)
        if here >= rank and here > below:
            return below_bound + (bound - below_bound) * (rank - below) / (here - below)
        below_bound, below = bound, here
    return buckets[-2][0]


def together(histograms: Iterable[Histogram]) -> Histogram:
    """The sum; of bounds that not all have, what is known at the bound below counts."""
    parts = [one for one in histograms if one.buckets]
    first = [bound for bound, _ in parts[0].buckets] if parts else []
    if all([bound for bound, _ in one.buckets] == first for one in parts):
        counts = zip(*([counted for _, counted in one.buckets] for one in parts), strict=True)
        return Histogram(tuple([(bound, sum(counted)) for bound, counted in zip(first, counts, strict=True)]))
    bounds = sorted({bound for one in parts for bound, _ in one.buckets})
    return Histogram(tuple((bound, sum(_at_most(one, bound) for one in parts)) for bound in bounds))


def _at_most(histogram: Histogram, bound: float) -> float:
    return max((counted for limit, counted in histogram.buckets if limit <= bound), default=0.0)


def _per_second(amount: float | None, seconds: float) -> float | None:
    return None if amount is None or seconds <= 0 else amount / seconds


def _grown(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    return after - before if after >= before else after


def _count(histogram: Histogram) -> float:
    return histogram.buckets[-1][1] if histogram.buckets else 0.0
