"""The bar of a replica's memory in the plan review: as a value, and on the screen."""

from typing import Any

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.app.session import Session
from deployer.plan.fitted import FIT, GIB
from deployer.plan.make import make_plan
from deployer.plan.model import Change
from deployer.state.resources import Kind
from deployer.tui import fitbar
from deployer.tui.app import DeployerApp
from deployer.tui.glyphs import ASCII, UNICODE
from deployer.tui.line import text_of
from tests.plan import models
from tests.plan.test_fitting import chat, world
from tests.tui.conftest import see, shown, travel

ROOMY = {"weights": 15, "cache": 2, "overhead": 3, "usable": 80}


def change(**told: Any) -> Change:
    data = {name: value * GIB if isinstance(value, int) else value for name, value in told.items()}
    return Change("1", "h1", Kind.REPLICA, "chat/0", "chat", ("create",), "new", data={FIT: {"requests": 31.5, **data}})


def test_a_bar_shows_each_term_by_a_sign_of_its_own_and_what_is_left() -> None:
    known = {name: value * GIB for name, value in ROOMY.items()}
    assert text_of(fitbar.bar(known, 16, UNICODE)) == "███▒░░░░░░░░░░░░"
    assert text_of(fitbar.bar(known, 80, UNICODE)) == "█" * 15 + "▓▓▒▒▒" + "░" * 60
    assert text_of(fitbar.bar(known, 80, ASCII)) == "#" * 15 + "==+++" + "." * 60
    assert {role for _, role in fitbar.bar(known, 80, UNICODE)} == {"accent", "good", "update", "dim"}


@pytest.mark.parametrize("width", [1, 7, 8, 24])
@pytest.mark.parametrize("terms", [(15, 16, 3, 22), (100, 1, 1, 22), (0, 0, 0, 0), (1, 1, 0, 2), (20, 1, 1, 21)])
def test_a_bar_is_as_long_as_its_room_and_marks_what_is_too_much(width: int, terms: tuple[int, int, int, int]) -> None:
    known = dict(zip(("weights", "cache", "overhead", "usable"), terms, strict=True))
    drawn = fitbar.bar(known, width, UNICODE)
    assert len(text_of(drawn)) == width
    assert any(role == "bad" for _, role in drawn) == (sum(terms[:3]) > terms[3])


def test_in_words_it_says_what_is_used_what_is_free_and_what_is_too_much() -> None:
    fits = change(**ROOMY, fits=True, source="computed")
    assert text_of(fitbar.short(fits, UNICODE)) == "██░░░░░░ 20.0 of 80.0 GiB"
    assert [text_of(one) for one in fitbar.lines(fits, ASCII)] == [
        "fits     ####=+..............  20.00 of 80.00 GiB",
        "  # weights 15.00  = cache 2.00  + overhead 3.00",
        "at once  31 full requests (computed)",
    ]
    lacks = change(weights=15, cache=16, overhead=3, usable=22, fits=False, source="measured")
    assert text_of(fitbar.short(lacks, ASCII)).startswith("x ")
    first, _, last = fitbar.lines(lacks, UNICODE)
    assert "34.00 of 22.00 GiB, 12.00 too much" in text_of(first)
    assert text_of(last) == "at once  may not fit (measured)"
    stated = change(weights=0, cache=0, overhead=20, usable=22, fits=True, source="stated")
    assert [text_of(one) for one in fitbar.lines(stated, ASCII)] == [
        "fits     ++++++++++++++++++..  20.00 of 22.00 GiB",
        "         as resources.gpu_memory states",
    ]
    refused = change(weights=15, cache=16, overhead=3, usable=22, fits=False, source="computed", refused=True)
    assert [text_of(one) for one in fitbar.lines(refused, UNICODE)][-1] == "at once  does not fit (computed)"
    odd = change(unknown="unknown architecture zebra")
    assert fitbar.short(odd, UNICODE) == ()
    assert [text_of(one) for one in fitbar.lines(odd, UNICODE)] == ["fits     not computed: unknown architecture zebra"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_review_shows_it_in_the_row_and_its_terms_in_the_details(loaded: Fleet, size: tuple[int, int]) -> None:
    plan = make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=8192)))
    app = DeployerApp(Session(loaded), tick_s=0.05, watching=False)
    app.session.review(Planned(loaded, plan, None, None))

    async def journey(pilot: Pilot[int]) -> None:
        app.go("plan")
        await see(pilot, "of 22.1 GiB")
        row = next(number for number, line in enumerate(shown(pilot).splitlines()) if "of 22.1 GiB" in line)
        assert "██" in shown(pilot).splitlines()[row]
        await pilot.press("slash", *"chat/0", "enter")
        await pilot.press("G")
        await see(pilot, "weights 14.99")

    travel(app, journey, size)
