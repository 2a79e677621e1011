"""Rates and percentiles out of two looks at an engine's counters."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.state.rates import began_again, increase, observed_since, quantile, together
from deployer.state.samples import EngineFigures, Histogram

BOUNDS = (0.01, 0.1, 0.25, 0.5, 1.0, 5.0, math.inf)
seconds = st.floats(0.001, 4.9)
observed = st.lists(seconds, max_size=60)


def histogram(values: list[float]) -> Histogram:
    return Histogram(tuple((bound, float(sum(value <= bound for value in values))) for bound in BOUNDS))


def engine(at: float, values: list[float]) -> EngineFigures:
    return EngineFigures(at=at, requests=float(len(values)), generation_tokens=10.0 * len(values), ttft=histogram(values))


def test_an_example_by_hand() -> None:
    before, after = engine(10.0, [0.05] * 4), engine(12.0, [0.05] * 4 + [0.3] * 10 + [0.7] * 10)
    found = increase(before, after)
    assert (found.requests_s, found.tokens_s) == (10.0, 100.0)
    # the 19th of 20 is the 9th of the 10 in the bucket from 0.5 to 1.0
    assert quantile(0.95, observed_since(before.ttft, after.ttft)) == pytest.approx(0.95)
    assert quantile(0.5, observed_since(before.ttft, after.ttft)) == pytest.approx(0.5)


def test_beyond_the_last_bound_that_bound_is_the_answer() -> None:
    assert quantile(0.95, histogram([30.0] * 10)) == 5.0


def test_without_requests_there_is_no_percentile_and_no_time_no_rate() -> None:
    same = engine(5.0, [0.2])
    assert quantile(0.95, observed_since(same.ttft, same.ttft)) is None
    assert increase(same, replace(same, at=7.0)).requests_s == 0.0
    assert increase(same, same).requests_s is None
    assert quantile(0.95, Histogram()) is None


def test_what_an_engine_does_not_tell_stays_untold() -> None:
    found = increase(EngineFigures(at=1.0), EngineFigures(at=2.0, requests=5.0))
    assert (found.requests_s, found.tokens_s) == (None, None)


@given(observed, observed)
def test_the_increase_is_what_came_since(first: list[float], more: list[float]) -> None:
    found = increase(engine(0.0, first), engine(4.0, first + more))
    assert found.requests_s == len(more) / 4
    assert observed_since(histogram(first), histogram(first + more)) == histogram(more)
    assert not began_again(engine(0.0, first), engine(4.0, first + more))


@given(st.lists(seconds, min_size=1, max_size=60), observed)
def test_after_a_restart_all_that_is_counted_is_new(first: list[float], more: list[float]) -> None:
    again = engine(4.0, more[: len(first) - 1])
    found = increase(engine(0.0, first), again)
    assert found.requests_s == len(more[: len(first) - 1]) / 4
    assert observed_since(histogram(first), again.ttft) == again.ttft
    assert began_again(engine(0.0, first), again)


@given(st.lists(seconds, min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    found = quantile(share, histogram(values))
    assert found is not None
    true = sorted(values)[max(math.ceil(share * len(values) - 1e-9), 1) - 1]
    upper = next(bound for bound in BOUNDS if true <= bound)
    lower = max((bound for bound in BOUNDS if bound < upper), default=0.0)
    assert lower - 1e-9 <= found <= upper + 1e-9


@given(st.lists(seconds, min_size=1, max_size=60))
def test_a_higher_quantile_is_never_lower(values: list[float]) -> None:
    found = [quantile(share, histogram(values)) or 0.0 for share in (0.1, 0.5, 0.9, 0.95, 1.0)]
    assert found == sorted(found)


@given(observed, observed)
def test_replicas_together_are_as_if_one_had_served_all(one: list[float], other: list[float]) -> None:
    assert together([histogram(one), histogram(other), Histogram()]) == histogram(one + other)


def test_replicas_with_other_buckets_still_give_a_total() -> None:
    coarse = Histogram(((1.0, 4.0), (math.inf, 4.0)))
    both = together([histogram([0.05] * 4), coarse])
    assert both.buckets[-1] == (math.inf, 8.0)
    assert dict(both.buckets)[0.5] == 4.0, "of the coarse one nothing is known there"
