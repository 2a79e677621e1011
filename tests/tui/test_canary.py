"""A canary in the terminal UI: what share goes to it, and what becomes of it. Over fake hosts that run the real agent."""

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.modals.asking import Asking
from deployer.tui.screens.deployment import DeploymentPlace
from deployer.tui.widgets.rowlist import RowList
from tests.tui.conftest import see, shown, travel, until
from tests.tui.test_deployment import applied, opened, rewrite
from tests.tui.test_holds import applied_here

CANARY = "tags: [prod]\nrollout: {strategy: canary, canary: {share: 20%, watch: 1m}}"


@pytest.fixture
def tried(loaded: Fleet) -> Fleet:
    """One replica on h1; what the files say now is tried by a canary."""
    applied(rewrite(loaded, "tags: [prod]", CANARY))
    return rewrite(loaded, "ctranslate2: {}", "ctranslate2: {max_model_len: 64}")


def test_the_review_says_the_share_and_the_end_of_the_apply_says_what_can_become_of_it(tried: Fleet) -> None:
    app = DeployerApp(Session(tried), tick_s=0.05, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        app.plan_again()
        await see(pilot, "canary: 20% of the requests")
        await applied_here(pilot)
        await see(pilot, "a canary of chat stands; nothing is decided yet")
        app.screen.query_one("#steps", RowList).move_to_key("canary:chat")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DeploymentPlace), "the deployment")
        await see(pilot, "20% of the requests go to chat/1, the others to revision 1; by")
        await see(pilot, "P plans that all become what it is, B that it goes and the others are held")

    travel(app, journey)


def test_it_is_promoted_through_a_plan(tried: Fleet, hosts: dict[str, FakeHost]) -> None:
    applied(tried)
    app = DeployerApp(Session(tried), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "canary 20% to chat/1")
        place = await opened(pilot)
        await until(pilot, lambda: place.state is not None and place.state.canary is not None, "the canary")
        await pilot.press("P")
        await until(pilot, lambda: not app.planning and app.session.planned is not None, "the plan")
        assert app.session.operation is None, "nothing is done before it is applied"
        await applied_here(pilot)
        app.go("fleet")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "requests go to" not in shown(pilot), "no canary any more")
        await pilot.press("P")
        assert app.screen is place, "there is nothing to promote"

    travel(app, journey)
    assert len([unit for host in hosts.values() for unit in host.running() if "gateway" not in unit]) == 1


def test_it_is_reverted_with_a_reason_and_the_others_are_held(tried: Fleet) -> None:
    applied(tried)
    app = DeployerApp(Session(tried), tick_s=0.05, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "B")
        await until(pilot, lambda: isinstance(app.screen, Asking), "the question")
        assert "Revert the canary of chat" in shown(pilot)
        await pilot.press(*"slower", "enter")
        await until(pilot, lambda: not app.planning and app.session.planned is not None, "the plan")
        assert app.session.planned is not None
        assert app.session.planned.holds == ("chat is rolled-back at revision 1",)
        await applied_here(pilot)
        app.go("fleet")
        await pilot.press("ctrl+r")
        await see(pilot, "rolled-back at revision 1 by")
        await see(pilot, ": slower")

    travel(app, journey)
    assert tried.deployment("chat").status().canary is None


def test_where_none_stands_nothing_is_promoted_nor_reverted(loaded: Fleet) -> None:
    app = DeployerApp(Session(applied(loaded)), tick_s=0.05, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "P", "B")
        assert app.screen is place
        app.say("promote chat")
        await see(pilot, "no canary of chat stands")

    travel(app, journey)
    assert app.session.planned is None
