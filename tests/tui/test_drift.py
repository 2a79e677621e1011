"""What somebody changed on a host: seen, put back by a plan of exactly that, or left alone by a rule. Over fake hosts."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.screens.drift import DriftPlace
from tests.tui.conftest import see, shown, travel, until


@pytest.fixture
def drifted(loaded: Fleet, hosts: dict[str, FakeHost]) -> dict[str, FakeHost]:
    """chat is deployed on h1; somebody put a drop-in beside its unit and edited its route in the gateway."""
    assert loaded.plan().apply().exit_code == 0
    unit = next(name for name in hosts["h1"].running() if "chat" in name)
    folder = hosts["h1"].path(f"/etc/systemd/system/{unit}.d")
    folder.mkdir()
    (folder / "[red].conf").write_text("[Service]\nNice=5\n")
    hosts["h1"].path("/etc/deployer/acme/_gateway/10-chat.cfg").write_text("# edited by hand\n")
    return hosts


def place(app: DeployerApp) -> DriftPlace:
    assert isinstance(app.screen, DriftPlace)
    return app.screen


async def opened(pilot: Pilot[int], *texts: str) -> None:
    await see(pilot, "chat")
    await pilot.press("4")
    for text in texts:
        await see(pilot, text)


async def onto(pilot: Pilot[int], app: DeployerApp, text: str) -> None:
    """The cursor to the row that says `text`."""
    screen = place(app)
    await until(pilot, lambda: any(text in key for key in screen.found), f"a row of {text}")
    screen.rows.move_to_key(next(key for key in screen.found if text in key))
    await pilot.pause()


def test_nothing_is_said_to_differ_only_after_the_hosts_were_asked(app: DeployerApp, hosts: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        hosts["h2"].unreachable = "timeout"
        await opened(pilot, "h2", "not asked", "unreachable")
        assert app.session.planned is None
        hosts["h2"].unreachable = None
        await pilot.press("r")
        await see(pilot, "nothing differs")

    travel(app, journey)


def test_what_was_changed_is_seen_with_its_host_and_its_words(app: DeployerApp, drifted: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "has a drop-in: [red].conf", "was added", "has changed", "checked ", "1 changed 1 added")
        await onto(pilot, app, "10-chat.cfg")
        await pilot.press("enter")
        await see(pilot, "ssh h1 sudo cat /etc/deployer/acme/_gateway/10-chat.cfg")
        assert "as it was written:" in shown(pilot)
        await pilot.press("escape", "slash", *"added", "enter")
        await until(pilot, lambda: "10-chat.cfg" not in shown(pilot), "only what was added")

    travel(app, journey)


def test_the_plan_that_puts_one_back_holds_exactly_that(app: DeployerApp, drifted: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "drop-in")
        await onto(pilot, app, "[red].conf")
        await pilot.press("p")
        await until(pilot, lambda: app.session.planned is not None, "a plan")
        assert app.current_mode == "plan"

    travel(app, journey)
    planned = app.session.planned
    assert planned is not None
    assert [(change.host, change.address, change.drift) for change in planned.plan.changes] == [("h1", "replica:chat/0", True)]
    assert planned.apply().exit_code == 0
    assert not list(drifted["h1"].path("/etc/systemd/system").glob("*.d/*.conf"))
    left = app.session.fleet.plan().plan
    assert [drift.what for drift in left.drift] == ["/etc/deployer/acme/_gateway/10-chat.cfg was changed"]
    assert "edited by hand" in drifted["h1"].path("/etc/deployer/acme/_gateway/10-chat.cfg").read_text()


def test_all_of_it_is_put_back_by_one_plan(app: DeployerApp, drifted: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "drop-in")
        await pilot.press("P")
        await until(pilot, lambda: app.session.planned is not None, "a plan")

    travel(app, journey)
    planned = app.session.planned
    assert planned is not None
    assert {change.address for change in planned.plan.changes} == {"endpoint:chat", "replica:chat/0"}
    assert planned.apply().exit_code == 0
    assert app.session.fleet.plan().plan.drift == ()


def test_after_an_apply_the_hosts_are_asked_again_by_themselves(app: DeployerApp, drifted: dict[str, FakeHost]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "drop-in")
        await pilot.press("P")
        await until(pilot, lambda: app.session.planned is not None, "a plan")
        assert app.session.planned is not None
        operation = app.session.begin(app.session.planned)
        await until(pilot, lambda: operation.over, "the end of the apply")
        app.go("drift")
        await see(pilot, "nothing differs from what was applied")

    travel(app, journey)


def test_a_rule_is_shown_then_written_and_what_it_names_is_left_alone(
    app: DeployerApp, drifted: dict[str, FakeHost], fleet: Path
) -> None:
    file = fleet / "deployer.yaml"
    file.write_text(file.read_text() + "# ours\n")
    before = file.read_text()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "drop-in")
        await onto(pilot, app, "[red].conf")
        await pilot.press("i")
        await see(pilot, "Ignore which difference?")
        await pilot.press("enter")
        await see(pilot, "+    - {host: h1, deployment: chat, what:")
        await pilot.press("enter", "i")
        assert file.read_text() == before
        await pilot.press("w")
        await see(pilot, "ignored 1")
        await see(pilot, "deployer.yaml:7")
        await onto(pilot, app, "ignored:")
        await pilot.press("enter")
        await see(pilot, "remove it, and the next plan puts this back")

    travel(app, journey)
    assert file.read_text().startswith(before)
    plan = app.session.fleet.plan().plan
    assert [drift.what.partition(" ")[0] for drift in plan.drift] == ["/etc/deployer/acme/_gateway/10-chat.cfg"]
    assert [change.address for change in plan.changes] == ["endpoint:chat"]
    assert [str(drift.source) for drift in plan.ignored] == ["deployer.yaml:7"]


def test_an_edit_that_is_not_confirmed_is_not_made(app: DeployerApp, drifted: dict[str, FakeHost], fleet: Path) -> None:
    before = (fleet / "deployer.yaml").read_text()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "drop-in")
        await pilot.press("i")
        await see(pilot, "Ignore which difference?")
        await pilot.press("enter")
        await see(pilot, "deployer.yaml will say")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DriftPlace), "the list")

    travel(app, journey)
    assert (fleet / "deployer.yaml").read_text() == before


def test_a_deployment_in_no_file_is_unmanaged_and_there_is_nothing_to_put_back(
    app: DeployerApp, drifted: dict[str, FakeHost], fleet: Path
) -> None:
    (fleet / "deployments/chat.yaml").unlink()

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "h1")
        await pilot.press("4")
        await see(pilot, "unmanaged")
        screen = place(app)
        await onto(pilot, app, "notice:")
        assert [screen.check_action(action, ()) for action in ("revert", "ignore")] == [None, None]
        await pilot.press("d")
        await see(pilot, "deployer prune")

    travel(app, journey)


def test_a_read_only_view_writes_no_rule(loaded: Fleet, drifted: dict[str, FakeHost]) -> None:
    app = DeployerApp(Session(loaded, read_only=True), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "drop-in")
        assert place(app).check_action("ignore", ()) is None
        await pilot.press("i")
        await pilot.pause()
        assert isinstance(app.screen, DriftPlace)

    travel(app, journey)


def test_what_cannot_be_checked_is_said_in_the_list_and_asked_once(app: DeployerApp, fleet: Path) -> None:
    (fleet / "deployer.lock").unlink()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "it could not be checked", "r tries again")
        assert isinstance(app.screen, DriftPlace)
        await pilot.press("r")
        await see(pilot, "deployer lock")
        assert not isinstance(app.screen, DriftPlace)

    travel(app, journey)
