"""API keys in the endpoint's tab: made and shown once, listed with what is not applied yet, revoked by their name."""

import hashlib
import re

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.tui.app import DeployerApp
from deployer.tui.modals.asking import Asking
from deployer.tui.modals.choosing import Choosing
from deployer.tui.modals.newkey import NewKeyPanel
from deployer.tui.screens.deployment import DeploymentPlace
from tests.tui.conftest import see, shown, travel, until
from tests.tui.test_deployment import applied, opened, rewrite

FILE = "deployments/chat.yaml"


@pytest.fixture
def app(loaded: Fleet) -> DeployerApp:
    closed = applied(rewrite(loaded, "endpoint: {open: true}", "endpoint: {timeout: 60s}  # one minute"))
    return DeployerApp(Session(closed), tick_s=0.05, watching=False)


def row_of(pilot: Pilot[int], text: str) -> str:
    return next((one for one in shown(pilot).splitlines() if text in one), "")


async def made(pilot: Pilot[int], name: str) -> str:
    """A key of this name is made; it is shown now."""
    app = pilot.app
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, Asking), "the question")
    await pilot.press(*name, "enter")
    await until(pilot, lambda: isinstance(app.screen, NewKeyPanel), "the key")
    await see(pilot, "sk-")
    found = re.search(r"sk-[\w-]{43}", shown(pilot))
    assert found, shown(pilot)
    return found[0]


def test_a_key_is_shown_once_copied_only_on_asking_and_works_after_an_apply(
    app: DeployerApp, loaded: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(DeployerApp, "copy", lambda self, text, what: copied.append(text))

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "a")
        await see(pilot, "none needed")
        key = await made(pilot, "team-a")
        assert "This is the only time it is shown" in shown(pilot)
        assert "It works once that is applied: 2 plans it." in shown(pilot)
        assert copied == []
        await pilot.press("enter")
        assert isinstance(app.screen, NewKeyPanel), "a second Enter does not take it away"
        await pilot.press("c")
        assert copied == [key]
        await pilot.press("escape")
        await see(pilot, "not applied yet: 2 plans it")
        assert key not in shown(pilot)
        digest = hashlib.sha256(key.encode()).hexdigest()
        assert f"sha256 {digest[:12]}" in row_of(pilot, "team-a")
        assert digest in (loaded.root / FILE).read_text()
        assert key not in (loaded.root / FILE).read_text()
        place = app.screen
        assert isinstance(place, DeploymentPlace)
        assert app.session.fleet.plan().apply().exit_code == 0
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "not applied yet" not in shown(pilot), "the gateway to know it")
        assert "team-a" in shown(pilot)

    travel(app, journey)


def test_a_key_is_revoked_by_its_name_and_works_until_an_apply(app: DeployerApp, loaded: Fleet) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "a")
        await see(pilot, "none needed")
        assert place.tab.check_action("revoke_key", ()) is None, "there is none"
        await made(pilot, "team-a")
        await pilot.press("escape")
        assert app.session.fleet.plan().apply().exit_code == 0
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "team-a" in shown(pilot) and "not applied yet" not in shown(pilot), "a key that works")
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Choosing), "which one")
        await pilot.press("enter")
        await see(pilot, "Type its name to revoke it: team-a")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is place, "the place")
        assert "team-a" in (loaded.root / FILE).read_text(), "Enter alone revokes nothing"
        await pilot.press("v", "enter")
        await see(pilot, "Type its name to revoke it: team-a")
        await pilot.press(*"team-a", "enter")
        await see(pilot, "revoked in the files; it works until that is applied")
        assert "team-a" not in (loaded.root / FILE).read_text()

    travel(app, journey)


def test_a_name_that_cannot_be_one_is_refused_with_what_can(app: DeployerApp, loaded: Fleet) -> None:
    before = (loaded.root / FILE).read_text()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "a", "n")
        await until(pilot, lambda: isinstance(app.screen, Asking), "the question")
        await pilot.press(*"Team_A", "enter")
        await see(pilot, "'Team_A' cannot be the name of a key")
        await see(pilot, "a-z, 0-9 and -, at most 40")

    travel(app, journey)
    assert (loaded.root / FILE).read_text() == before


def test_an_endpoint_that_is_open_to_everybody_gets_no_key(loaded: Fleet) -> None:
    app = DeployerApp(Session(applied(loaded)), tick_s=0.05, watching=False)
    before = (loaded.root / FILE).read_text()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "a", "n")
        await until(pilot, lambda: isinstance(app.screen, Asking), "the question")
        await pilot.press(*"team-a", "enter")
        await see(pilot, "the endpoint of chat is open to everybody: it has no keys")

    travel(app, journey)
    assert (loaded.root / FILE).read_text() == before


def test_in_a_read_only_view_no_key_is_made_nor_revoked(loaded: Fleet) -> None:
    app = DeployerApp(Session(applied(loaded), read_only=True), tick_s=0.05, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "a")
        await see(pilot, "none needed")
        await pilot.press("n", "v")
        assert app.screen is place
        assert place.tab.check_action("new_key", ()) is None

    travel(app, journey)
