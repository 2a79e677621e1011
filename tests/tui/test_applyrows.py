"""What the lines of an apply say, from events alone."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from deployer.app.board import Board
from deployer.execute.events import Event, HostReport, Report
from deployer.tui import applyrows, outcomerows
from deployer.tui.applyrows import Drawing
from deployer.tui.glyphs import ASCII, UNICODE
from deployer.tui.line import text_of
from deployer.tui.widgets.rows import Row

GIB = 1 << 30
NOW = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def at(seconds: float) -> str:
    return datetime.fromtimestamp(NOW - seconds, UTC).isoformat()


def step(state: str, ago: float = 0.0, *, host: str = "gpu-01", name: str = "m.0", label: str = "model x", **more: Any) -> Event:
    return Event("step", at(ago), host, step=name, transaction=name.partition(".")[0], label=label, state=state, **more)


def board(*events: Event, **more: Any) -> Board:
    made = Board(clock=lambda: NOW, **more)
    for event in events:
        made.take(event)
    return made


def lines(found: Board, drawing: Drawing | None = None) -> list[str]:
    drawing = drawing or Drawing(UNICODE, 120)
    rows: list[Row] = applyrows.rows(found, found.view(100), drawing)
    return ["  ".join(part for part in (text_of(row.left).rstrip(), text_of(row.right)) if part) for row in rows]


def test_a_download_says_how_far_it_is_how_fast_and_how_long_it_takes() -> None:
    data = {
        "done": int(12.1 * GIB),
        "total": int(41.2 * GIB),
        "unit": "bytes",
        "rate": 212 << 20,
        "eta_s": 140,
        "phase": "fetching",
    }
    (said,) = lines(board(step("start", 62), step("progress", data=data)))
    assert said.startswith("▶ model x")
    assert "running  ██░░░░░░░░  fetching  12.1 GiB of 41.2 GiB  212.0 MiB/s  2:20 left" in said
    assert said.endswith("1:02")


def test_a_start_says_its_phase_and_how_long_it_took_before() -> None:
    found = board(
        step("start", 37, label="chat/0 answers"),
        step("progress", label="chat/0 answers", data={"phase": "loading shards", "done": 5, "total": 15}),
        times={"gpu-01": {"chat/0 answers": 52.0}},
    )
    (said,) = lines(found)
    assert "loading shards  5 of 15" in said
    assert said.endswith("0:37 of about 0:52")


def test_failures_come_first_then_what_runs_and_finished_steps_never_push_it_away() -> None:
    done = [one for n in range(50) for one in (step("start", name=f"a.{n}"), step("done", name=f"a.{n}"))]
    found = board(
        *done,
        step("start", 5, host="gpu-02", name="b.0", label="start [red]"),
        step("start", 5, host="gpu-01", name="c.0", label="start c"),
        step(
            "failed", host="gpu-01", name="c.0", label="start c", message="no [/INST]", data={"cause": "memory", "hint": "less"}
        ),
    )
    said = lines(found)
    assert said[0].startswith("✗ start c")
    assert "failed  no [/INST]" in said[0]
    assert said[1:3] == ["    cause  memory", "    do     less"]
    assert said[3].startswith("▶ start [red]")
    assert said[4:] == ["✓ 50 steps done  z unfolds"]
    unfolded = lines(found, Drawing(UNICODE, 120, frozenset({"done"})))
    assert unfolded[:4] == said[:4]
    assert len(unfolded) == len(said) + 50


def test_every_sign_has_a_form_in_ascii() -> None:
    found = board(
        Event("locked", at(9), "gpu-01"),
        Event("host", at(1), "gpu-03", state="broken", message="gone"),
        step("start", 5),
        step("progress", data={"done": 1, "total": 2, "unit": "bytes", "phase": "x"}),
        step("start", name="b.0"),
        step("failed", name="b.0", message="no"),
        step("start", name="c.0"),
        step("done", name="c.0"),
    )
    drawing = Drawing(ASCII, 120)
    said = [*lines(found, drawing), text_of(applyrows.progress(found.view(10), 5.0, "paused", drawing))]
    assert all(one.isascii() for one in said), said
    assert said[-1].startswith("paused: p goes on")


def test_what_a_person_must_hear_beside_the_result_stands_on_the_last_screen() -> None:
    cut = "h1  chat: 3 requests still ran after 300 s and may have been cut"
    report = Report("r", "p", {"h1": HostReport("h1", "done", 64.0)}, (), 0, 64.0, (cut,))
    operation: Any = SimpleNamespace(error=None, report=report, endpoints={}, canaries={}, board=board())
    rows = outcomerows.rows(operation, Drawing(ASCII, 120))
    assert [text_of(row.left) for row in rows if row.key == "note:0"] == [f"- {cut}"]
