"""What a person holds, through the terminal UI: a deployment at an earlier revision, a host that is cordoned or drained. Each
is a plan that is reviewed; nothing is done before it is applied. Over fake hosts that run the real agent.
"""

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.modals.approve import Approve
from deployer.tui.modals.asking import Asking
from deployer.tui.modals.host import HostPanel
from deployer.tui.screens.deployment import DeploymentPlace
from deployer.tui.widgets.rowlist import RowList
from tests.tui.conftest import see, shown, travel, until
from tests.tui.test_deployment import applied, opened, rewrite


@pytest.fixture
def app(loaded: Fleet) -> DeployerApp:
    """Nothing is heard but what it asks for."""
    return DeployerApp(Session(loaded), tick_s=0.05, watching=False)


@pytest.fixture
def updated(loaded: Fleet, app: DeployerApp) -> Fleet:
    """Two revisions: the second has another engine setting."""
    applied(loaded, "first")
    found = applied(rewrite(loaded, "ctranslate2: {}", "ctranslate2: {max_model_len: 64}"), "longer")
    app.session.fleet = found
    return found


def row_of(pilot: Pilot[int], text: str) -> str:
    return next((one for one in shown(pilot).splitlines() if text in one), "")


async def applied_here(pilot: Pilot[int]) -> None:
    """All of the plan under review is approved, confirmed and done."""
    app = pilot.app
    assert isinstance(app, DeployerApp)
    await until(pilot, lambda: not app.planning and app.session.planned is not None, "the plan")
    assert app.session.planned is not None
    if app.session.planned.plan.changes:
        await pilot.press("g")
        for _ in range(20):
            if isinstance(app.screen, Approve) or "ok 0/" not in shown(pilot):
                break
            await pilot.press("space", "j")
    await pilot.press("A")
    await until(pilot, lambda: isinstance(app.screen, Approve), "the question")
    panel = app.screen
    assert isinstance(panel, Approve)
    await see(
        pilot, f"noted on the hosts: {'; '.join(app.session.planned.holds)}" if app.session.planned.holds else "Apply this?"
    )
    if panel.named:
        panel.query_one("#name", Input).value = "acme"
        await pilot.press("enter")
    else:
        await pilot.press("y")
    await until(pilot, lambda: app.session.operation is not None and app.session.operation.over, "the end of the apply")
    assert app.session.operation is not None
    assert app.session.operation.report is not None, app.session.operation.error
    assert app.session.operation.report.exit_code == 0, app.session.operation.report


def test_a_revision_is_gone_back_to_through_a_plan_and_released_again(updated: Fleet, app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "r")
        await see(pilot, "longer")
        await pilot.press("j", "b")
        await until(pilot, lambda: isinstance(app.screen, Asking), "the question")
        assert "Roll chat back to revision 1" in shown(pilot)
        await pilot.press(*"slow", "enter")
        await see(pilot, "chat goes back to revision 1")
        assert app.session.operation is None, "nothing is done before it is applied"
        assert app.session.planned is not None
        assert app.session.planned.holds == ("chat is rolled-back at revision 1",)
        await applied_here(pilot)
        app.go("fleet")
        place = app.screen
        assert isinstance(place, DeploymentPlace)
        await pilot.press("i", "ctrl+r")
        await see(pilot, "rolled-back at revision 1 by")
        await see(pilot, ": slow")
        await see(pilot, "U plans its release")
        await pilot.press("U")
        await until(pilot, lambda: app.session.planned is not None and app.session.planned.holds == ("nothing holds chat",))
        await applied_here(pilot)

    travel(app, journey)
    state = updated.deployment("chat").status()
    assert state.hold is None
    assert state.revision == 4


def test_a_rollback_that_is_refused_says_why_in_the_review(updated: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        app.say("rollback chat 7")
        await until(pilot, lambda: isinstance(app.screen, Asking), "the question")
        await pilot.press("enter")
        await see(pilot, "no host that answered remembers revision 7 of chat")
        await see(pilot, "there is: 1, 2")

    travel(app, journey)


def test_in_a_read_only_view_nothing_is_held_nor_released(updated: Fleet) -> None:
    app = DeployerApp(Session(updated, read_only=True), tick_s=0.05, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "r")
        await see(pilot, "longer")
        await pilot.press("j", "b")
        assert app.screen is place
        for said in ("rollback chat", "release chat", "drain h2"):
            app.say(said)
            await see(pilot, "is not possible here: this is a read-only view")
            await pilot.press("escape")
            assert app.screen is place

    travel(app, journey)
    assert app.session.planned is None


@pytest.fixture
def two(loaded: Fleet) -> DeployerApp:
    """A replica on each host, heard all the time; h1 is the gateway."""
    rewrite(loaded, "name: h1\n", "name: h1\ngateway: true\n", "hosts/h1.yaml")
    fleet = applied(rewrite(loaded, "name: chat\n", "name: chat\nreplicas: 2\n"))
    return DeployerApp(Session(fleet), tick_s=0.05)


async def on_host(pilot: Pilot[int], host: str) -> None:
    app = pilot.app
    rows = app.screen.query_one("#hosts", RowList)
    await until(pilot, lambda: any(row.key.startswith(f"{host}/") for row in rows.rows), host)
    rows.focus()
    rows.move_to_key(next(row.key for row in rows.rows if row.key.startswith(f"{host}/")))
    await pilot.pause()


def test_a_drained_host_says_so_its_replicas_move_and_it_is_lifted(two: DeployerApp, hosts: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "2/2 hosts")
        await until(pilot, lambda: two.now.status is not None)
        await on_host(pilot, "h2")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(two.screen, Asking), "the question")
        await pilot.press(*"disks", "enter")
        await see(pilot, "chat/1 moves: host h2 is drained")
        await applied_here(pilot)
        two.go("fleet")
        await see(pilot, "● drained")
        await see(pilot, "drained by")
        assert ": disks" in row_of(pilot, "drained by")
        await on_host(pilot, "h2")
        await pilot.press("D")
        assert not isinstance(two.screen, Asking), "it is drained already"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(two.screen, HostPanel), "the host")
        assert "drained by" in row_of(pilot, "held  ")
        await pilot.press("U")
        await until(pilot, lambda: two.session.planned is not None and two.session.planned.holds == ("nothing holds h2",))
        await see(pilot, "A notes it on the hosts: nothing holds h2")
        await applied_here(pilot)
        two.go("fleet")
        await until(pilot, lambda: "drained" not in shown(pilot), "the end of the hold")

    travel(two, journey)
    assert not [unit for unit in hosts["h2"].running() if "chat" in unit]


def test_a_cordon_changes_nothing_and_is_noted_all_the_same(two: DeployerApp, hosts: dict[str, FakeHost]) -> None:
    before = {name: host.running() for name, host in hosts.items()}

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "2/2 hosts")
        two.say("cordon h2")
        await until(pilot, lambda: isinstance(two.screen, Asking), "the question")
        await pilot.press("enter")
        await see(pilot, "A notes it on the hosts: h2 is cordoned")
        await pilot.press("A")
        await see(pilot, "fleet acme: nothing starts, moves or stops")
        await pilot.press("escape")
        await applied_here(pilot)
        two.go("fleet")
        await see(pilot, "● cordoned")

    travel(two, journey)
    assert {name: host.running() for name, host in hosts.items()} == before
