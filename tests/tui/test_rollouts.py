"""How replicas are replaced, as the review says it before and the apply's place while it is done: strategies, waves, phases."""

from datetime import UTC, datetime

import pytest
from textual.pilot import Pilot

from deployer.app.board import Board
from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.execute.events import Event
from deployer.plan import steps
from deployer.plan.model import Plan
from deployer.tui import applyrows
from deployer.tui.app import DeployerApp
from deployer.tui.applyrows import Drawing
from deployer.tui.glyphs import ASCII, UNICODE
from deployer.tui.line import text_of
from deployer.tui.screens.plan import PlanPlace
from tests.tui.conftest import see, shown, travel
from tests.tui.test_deployment import applied, rewrite

NOW = 1_767_268_800.0


@pytest.fixture
def rolling(loaded: Fleet) -> Fleet:
    """Two replicas on h1 that an update replaces one after the other."""
    applied(rewrite(loaded, "tags: [prod]", "tags: [prod]\nreplicas: 2\nplacement: {hosts: [h1]}"))
    rewrite(loaded, "ctranslate2: {}", "ctranslate2: {max_model_len: 64}")
    return rewrite(loaded, "replicas: 2", "replicas: 2\nrollout: {strategy: rolling}")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_the_review_says_how_and_why_replicas_are_replaced_and_when_the_turn_of_each_is(
    rolling: Fleet, size: tuple[int, int]
) -> None:
    app = DeployerApp(Session(rolling), tick_s=0.05, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        app.plan_again()
        await see(pilot, "rolling in 2 waves: as")
        place = app.screen
        assert isinstance(place, PlanPlace)
        for number in (1, 2):
            assert f"wave {number}/2" in shown(pilot)
        second = next(c for c in app.session.planned.plan.changes if c.wave == 2 and c.kind == "replica")  # type: ignore[union-attr]
        place.rows.move_to_key(second.id)
        await see(pilot, "rollout  wave 2 of 2, rolling: as rollout.strategy")

    travel(app, journey, size)


def test_one_that_gets_room_beside_the_old_says_that_the_new_one_comes_first(loaded: Fleet) -> None:
    applied(loaded)
    app = DeployerApp(Session(rewrite(loaded, "ctranslate2: {}", "ctranslate2: {max_model_len: 64}")), watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        app.plan_again()
        await see(pilot, "new one first")
        await see(pilot, "blue_green: ")
        assert "wave" not in shown(pilot)

    travel(app, journey)


def event(state: str, step: object, transaction: object, **more: object) -> Event:
    at = datetime.fromtimestamp(NOW, UTC).isoformat()
    return Event("step", at, "h1", step=str(step), transaction=str(transaction), state=state, **more)  # type: ignore[arg-type]


def at_the_drain_of_wave_2(plan: Plan) -> Board:
    """All of the first wave is done; in the second three requests are to end."""
    board = Board(plan, clock=lambda: NOW)
    for transaction in steps.transactions(plan, "h1"):
        for step in transaction["steps"]:
            if not step["stage"].endswith("-2"):
                board.take(event("start", step["id"], transaction["id"], label=step["label"]))
                board.take(event("done", step["id"], transaction["id"], label=step["label"]))
            elif step["stage"] == "drain-2" and step["kind"] == "gateway.drained":
                board.take(event("start", step["id"], transaction["id"], label=step["label"]))
                board.take(event("progress", step["id"], transaction["id"], data={"phase": "waiting for 3 requests to end"}))
    return board


def test_while_it_goes_on_the_phase_the_wave_and_what_a_drain_waits_for_are_said(rolling: Fleet) -> None:
    board, drawing = at_the_drain_of_wave_2(rolling.plan().plan), Drawing(UNICODE, 120)
    view = board.view(10)
    said = text_of(applyrows.phases(view, drawing))
    drains = next(one for one in view.phases if (one.wave, one.part) == (2, "drain"))
    assert said == f"wave 2 of 2  ▶ drain 0/{drains.total}  ◌ start  ◌ switch  ◌ hold  ◌ finish  "
    (running,) = (text_of(row.left) for row in applyrows.rows(board, view, drawing) if row.key in {s.key for s in view.running})
    assert "running  wave 2, drain  waiting for 3 requests to end" in running
    assert text_of(applyrows.phases(view, Drawing(ASCII, 80))).isascii()
    assert len(said) <= 80


def test_what_waits_is_named_by_its_wave(rolling: Fleet) -> None:
    board = Board(rolling.plan().plan, clock=lambda: NOW)
    rows = [text_of(row.left) for row in applyrows.rows(board, board.view(10), Drawing(UNICODE, 120))]
    assert any("chat, wave 2" in row for row in rows), rows
    assert not any("~" in row for row in rows), rows


def test_an_apply_whose_plan_is_not_known_here_has_no_phases() -> None:
    board = Board(clock=lambda: NOW)
    board.take(event("start", "a.0", "a", label="a"))
    assert applyrows.phases(board.view(10), Drawing(UNICODE, 120)) == ()
