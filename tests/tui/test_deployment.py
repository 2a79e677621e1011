"""The place of one deployment: journeys over fake hosts on which it was applied."""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.screens.deployment import DeploymentPlace
from deployer.tui.screens.difference import DifferencePlace
from deployer.tui.screens.plan import PlanPlace
from tests.tui.conftest import see, shown, travel, until


def rewrite(fleet: Fleet, old: str, new: str, file: str = "deployments/chat.yaml") -> Fleet:
    path = fleet.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return fleet.again()


def applied(fleet: Fleet, why: str | None = None) -> Fleet:
    report = fleet.plan().apply(why=why)
    assert report.exit_code == 0, report
    return fleet


async def opened(pilot: Pilot[int], *keys: str) -> DeploymentPlace:
    """The deployment is open, the hosts have answered, and the keys are pressed."""
    app = pilot.app
    assert isinstance(app, DeployerApp)
    app.open_deployment("chat")
    place = app.screen
    assert isinstance(place, DeploymentPlace)
    await until(pilot, lambda: place.dossier is not None, "the hosts' answer")
    await pilot.press(*keys)
    return place


def test_overview_says_how_it_is_where_it_stands_and_what_serves(loaded: Fleet, app: DeployerApp) -> None:
    applied(loaded, "first")

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "● deployed  1/1 replicas  revision 1")
        screen = shown(pilot)
        assert "http://192.0.2.1:8443/chat/v1" in screen
        assert "ctranslate2 4.8.5 with local/tiny db2232a19d0a" in screen
        assert "deployer-acme-chat-0-" in screen
        assert "tags        prod" in screen

    travel(app, journey)


def test_one_that_was_never_applied_says_what_to_do(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "it was never applied: 2 plans it")
        await pilot.press("r")
        await see(pilot, "it was never applied: 2 plans it")

    travel(app, journey)


def test_a_host_that_does_not_answer_is_named_with_the_next_step(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)
    loaded.close()
    hosts["h1"].unreachable = "timeout"

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "NOT HEARD")
        await see(pilot, "timed out after")
        assert "never applied" not in shown(pilot)

    travel(app, journey)


def test_the_last_failure_stands_there_with_its_log_as_it_was_written(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)
    changed = rewrite(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: int8}")
    planned = changed.plan()
    (unit,) = (c.after.payload["unit"] for c in planned.plan.changes if c.after and c.kind == "replica")
    hosts["h1"].break_engine(unit, "RuntimeError: [/INST] [red] out of memory")
    assert planned.apply().exit_code == 5
    app.session.fleet = changed

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "LAST FAILURE  h1")
        await see(pilot, "RuntimeError: [/INST] [red] out of memory")

    travel(app, journey)


def test_an_orphan_opens_too_and_only_destroy_is_offered(loaded: Fleet, app: DeployerApp) -> None:
    applied(loaded)
    (loaded.root / "deployments/chat.yaml").unlink()
    app.session.fleet = loaded.again()

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot)
        await see(pilot, "it is in no file any more")
        assert [place.check_action("plan", (what,)) for what in ("stop", "start", "destroy")] == [None, None, True]
        await pilot.press("y")
        await see(pilot, "no file has a deployment chat")

    travel(app, journey)


@pytest.fixture
def twice(loaded: Fleet, app: DeployerApp) -> Fleet:
    """Applied, changed, applied again."""
    applied(loaded, "first [/INST]")
    app.session.fleet = applied(rewrite(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: int8}"), "smaller")
    return app.session.fleet


def test_two_revisions_are_compared_by_attribute_and_by_file(twice: Fleet, app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "r")
        await see(pilot, "smaller")
        assert "first [/INST]" in shown(pilot)
        await pilot.press("space", "j", "space", "d")
        await see(pilot, "from revision 1")
        await see(pilot, "compute_type  default → int8  needs a new process")
        assert '+  "compute_type": "int8"' in shown(pilot)
        assert '-  "compute_type": "default"' in shown(pilot)
        await pilot.press("slash", *"int8")
        await until(pilot, lambda: "from revision 1" not in shown(pilot), "the filtered lines")
        await pilot.press("escape", "escape")
        await see(pilot, "smaller")

    travel(app, journey)


def test_without_marks_the_one_under_the_cursor_is_compared_with_what_stands_now(twice: Fleet, app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "r", "j", "d")
        screen = pilot.app.screen
        assert isinstance(screen, DifferencePlace)
        assert (screen.before.number, screen.after.number, screen.after.current) == (1, 2, True)

    travel(app, journey)


def test_every_value_of_the_yaml_says_where_it_comes_from(loaded: Fleet, app: DeployerApp) -> None:
    (loaded.root / "defaults").mkdir()
    (loaded.root / "defaults/all.yaml").write_text("sampling: {temperature: 0.5}\n")
    changed = rewrite(loaded, "name: chat", "name: chat\nextends: ../defaults/all.yaml")
    changed = rewrite(changed, "name: acme", "name: acme\ndefaults: {rollout: {min_healthy: 7s}}", "deployer.yaml")
    app.session.fleet = changed

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "y")
        await see(pilot, "temperature: 0.5")
        lines = {line.split(":")[0].strip(): line for line in shown(pilot).splitlines()}
        assert lines["path"].endswith("deployments/chat.yaml:3")
        assert lines["temperature"].endswith("defaults/all.yaml:1  extended")
        assert lines["min_healthy"].endswith("deployer.yaml:3  fleet's defaults")
        assert lines["replicas"].endswith("default")
        await pilot.press("d")
        await until(pilot, lambda: "replicas" not in shown(pilot), "the values without defaults")
        await pilot.press("slash", *"all.yaml", "enter")
        await until(pilot, lambda: "min_healthy" not in shown(pilot), "the values of one file")
        assert "temperature: 0.5" in shown(pilot)

    travel(app, journey)


def test_a_value_is_opened_in_the_editor_and_the_files_are_read_again(
    loaded: Fleet, app: DeployerApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "ed"
    editor.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nsed -i s/prod/team/ "$2"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))

    @contextlib.contextmanager
    def suspend() -> Iterator[None]:
        yield

    monkeypatch.setattr(app, "suspend", suspend)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "y", "d", "slash", *"prod", "enter")
        await until(pilot, lambda: "ctranslate2" not in shown(pilot), "the filtered line")
        await pilot.press("o", "slash", "escape")
        await see(pilot, "- team")
        assert (tmp_path / "asked").read_text() == f"+5 {loaded.root}/deployments/chat.yaml\n"

    travel(app, journey)


def test_the_endpoint_is_shown_and_its_curl_is_copied_through_the_terminal(
    loaded: Fleet, app: DeployerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(loaded)
    monkeypatch.setattr("deployer.tui.clipboard.program", lambda: None)
    monkeypatch.delenv("TMUX", raising=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "a")
        await see(pilot, "none needed")
        assert "from openai import OpenAI" in shown(pilot)
        written: list[str] = []
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        await pilot.press("c")
        assert [note.message for note in app._notifications] == ["copied: the curl command"]
        assert place.dossier is not None
        assert place.dossier.endpoint is not None
        sequence = base64.b64encode(place.dossier.endpoint.curl.encode()).decode()
        assert f"\033]52;c;{sequence}\a" in written

    travel(app, journey)


def test_an_endpoint_of_its_own_host_alone_says_how_to_reach_it(loaded: Fleet, app: DeployerApp) -> None:
    app.session.fleet = applied(rewrite(loaded, "endpoint: {open: true}\n", ""))

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "a")
        await see(pilot, "on h1 itself alone")
        await see(pilot, "ssh -N -L 8443:127.0.0.1:8443 192.0.2.1")

    travel(app, journey)


def test_stop_asks_why_and_opens_the_review_and_nothing_stops(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)
    before = hosts["h1"].running()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "x")
        await see(pilot, "Stop chat")
        await pilot.press(*"quiet", "enter")
        await until(pilot, lambda: app.session.planned is not None, "a plan")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanPlace), "the review")
        assert app.session.planned is not None
        plan = app.session.planned.plan
        assert [(c.name, c.actions) for c in plan.changes if c.kind == "replica"] == [("chat/0", ("update",))]
        assert plan.roster["holds"]["chat"]["why"] == "quiet"

    travel(app, journey)
    assert hosts["h1"].running() == before


def test_in_a_read_only_view_nothing_can_be_planned_or_edited(loaded: Fleet) -> None:
    applied(loaded)
    app = DeployerApp(Session(loaded, read_only=True), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "x")
        assert pilot.app.screen is place
        await pilot.press("y")
        assert place.tab.check_action("edit", ()) is None

    travel(app, journey)
