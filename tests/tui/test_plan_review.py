"""Reviewing a plan: what is seen of it, what is approved and rejected, and that exactly the approved part is done."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.screens.plan import PlanPlace
from deployer.tui.widgets.rowlist import RowList
from tests.cli.conftest import DEPLOYMENT
from tests.tui.conftest import see, shown, travel, until


def edit(root: Path, old: str, new: str, file: str = "deployments/chat.yaml") -> None:
    path = root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def applied(fleet: Path, hosts: dict[str, FakeHost]) -> Path:
    """A second deployment, and everything is as the files say."""
    (fleet / "deployments/other.yaml").write_text(DEPLOYMENT.replace("chat", "other"))
    with Fleet.load(fleet) as opened:
        assert opened.plan().apply().exit_code == 0
    return fleet


async def open_plan(pilot: Pilot[int]) -> PlanPlace:
    await pilot.press("2")
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanPlace) and pilot.app.screen.reviewing, "a plan")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, PlanPlace)
    return screen


async def on(pilot: Pilot[int], text: str) -> None:
    """The cursor to the first row that shows `text`."""
    rows = pilot.app.screen.query_one("#changes", RowList)
    place = next(n for n, row in enumerate(rows.rows) if text in "".join(t for t, _ in row.left))
    rows.cursor = place
    await pilot.pause()


def row_of(pilot: Pilot[int], text: str) -> str:
    return next(line for line in shown(pilot).splitlines() if text in line)


def test_a_plan_shows_each_change_with_sign_word_subject_and_cost_and_approves_nothing(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        assert "[ ] + create  model models/tiny" in shown(pilot)
        assert "145 B to bring" in shown(pilot)
        assert "approved 0 of 11" in shown(pilot)
        await on(pilot, "chat/0")
        await see(pilot, "deployments/chat.yaml:3")

    travel(app, journey)


def test_rejecting_a_change_blocks_what_needs_it_and_says_so(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await on(pilot, "model models/tiny as it is")
        await pilot.press("x")
        await see(pilot, "rejected with it: 2 changes that need it")
        assert "[!]" in row_of(pilot, "chat/0, port")
        assert "rejected 1 · blocked 2" in shown(pilot)
        await pilot.press("u")
        await see(pilot, "[ ] + create  chat/0")

    travel(app, journey)
