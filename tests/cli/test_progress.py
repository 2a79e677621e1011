"""What is said while an apply goes on."""

import io

import pytest

from deployer.app import times
from deployer.app.board import Board, amount
from deployer.cli import plainprogress
from deployer.cli.liveprogress import LiveProgress
from deployer.cli.plainprogress import PlainProgress
from deployer.execute.events import Event

GIB = 1 << 30


def step(state: str, **more: object) -> Event:
    return Event("step", "now", "h1", step="chat.1", label="start chat/0", state=state, **more)  # type: ignore[arg-type]


def test_amounts_have_units_a_rate_and_what_is_left() -> None:
    data = {"done": int(9.8 * GIB), "total": 15 * GIB, "unit": "bytes", "rate": 62 * (1 << 20), "eta_s": 84}
    assert amount(data) == "9.8 GiB of 15.0 GiB  62.0 MiB/s  1:24 left"
    assert amount({"done": 3, "total": 4, "unit": "shards"}) == "3 of 4 shards"
    assert amount({"phase": "loading"}) == ""


def test_the_board_knows_what_each_host_does_now() -> None:
    board = Board()
    board.take(Event("locked", "now", "h1"))
    board.take(step("start"))
    board.take(step("progress", data={"phase": "loading shards"}))
    row = board.hosts["h1"]
    assert (row.label, row.message, row.ended) == ("start chat/0", "loading shards", False)
    board.take(step("failed", message="no memory"))
    assert "no memory, putting back" in row.label
    board.take(Event("host", "now", "h1", state="ended"))
    assert row.ended
    board.take(Event("stop", "now", message="stopping"))
    assert board.said == "stopping"


def test_without_a_terminal_only_what_took_its_time_or_failed_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.1, 10.0, 40.0, 60.0, 70.0])
    monkeypatch.setattr(plainprogress.time, "monotonic", lambda: next(clock))
    plain = PlainProgress()
    plain.take(step("start"))
    plain.take(step("done"))
    assert capsys.readouterr().err == ""
    plain.take(step("start"))
    plain.take(step("progress", data={"done": 1, "total": 4, "unit": "shards"}))
    assert capsys.readouterr().err == "h1  start chat/0: 1 of 4 shards\n"
    plain.take(step("done"))
    assert capsys.readouterr().err == "h1  start chat/0  0:50\n"
    plain.take(step("failed", message="no memory"))
    assert capsys.readouterr().err == "h1  start chat/0: failed: no memory; putting back what stood before\n"


def test_the_moving_display_draws_every_kind_of_event(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with LiveProgress() as live:
        for event in (
            Event("locked", "now", "h1"),
            step("start"),
            Event("transfer", "now", "h1", state="progress", data={"done": 1, "total": 2, "unit": "bytes"}),
            Event("barrier", "now", "h1", stage="switch", state="waiting"),
        ):
            live.take(event)
        for number in range(20):
            live.take(Event("locked", "now", f"host-{number}"))
        table = live._draw()
    assert table.row_count == 17  # sixteen hosts, and how many more there are


def test_a_step_that_took_its_time_before_says_how_long_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from rich.console import Console

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with LiveProgress({"h1": {"start chat/0": 52.0}}) as live:
        live.take(step("start"))
        said = Console(file=io.StringIO(), width=120)
        said.print(live._draw())
    assert "0:00 of about 0:52" in said.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (64, "1:04"), (3850, "1:04:10")])
def test_clocks(seconds: float, text: str) -> None:
    assert times.clock(seconds) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-01-01T11:59:50Z", "10 s ago"),
        ("2026-01-01T11:00:00+00:00", "1 h ago"),
        ("2025-12-30T12:00:00", "2 days ago"),
        (None, "–"),
        ("yesterday", "yesterday"),
    ],
)
def test_times_are_relative_for_people(at: str | None, text: str) -> None:
    from datetime import UTC, datetime

    assert times.ago(at, datetime(2026, 1, 1, 12, tzinfo=UTC)) == text
