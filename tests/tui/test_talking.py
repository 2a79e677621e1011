"""The times of an answer that is read while it is drawn."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployer.tui.talking import Talking


class Scripted:
    """An answer whose pieces come at these seconds."""

    tokens: int | None = None
    finish: str | None = None

    def __init__(self, clock: list[float], *at: float) -> None:
        self._clock, self._at = clock, at

    def __iter__(self) -> Iterator[str]:
        for second in self._at:
            self._clock[0] = second
            yield "word "


def measured(monkeypatch: pytest.MonkeyPatch, *at: float) -> str:
    clock = [0.0]
    monkeypatch.setattr("deployer.tui.talking.time.monotonic", lambda: clock[0])
    answer: Any = Scripted(clock, *at)
    talking = Talking(answer)
    talking.read()
    return talking.measured()


def test_a_rate_is_of_the_time_after_the_first_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, 0.5, 1.0, 1.5) == "first token after 500 ms, 3 tokens, 2.0 tokens/s"


def test_pieces_that_came_in_one_burst_tell_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, 1.6, 1.6001, 1.6002) == "first token after 1600 ms, 3 tokens"
