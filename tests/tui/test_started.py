"""`deployer ui`, `plan --ui`, `apply --ui` from the command line: what they open with, and how they end."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from deployer.app.session import Session
from deployer.cli.main import main
from deployer.errors import DeployerError, StalePlan
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.run import exit_code
from tests.tui.conftest import Journey, see, shown, until


@pytest.fixture
def sitting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sits there."""
    monkeypatch.setattr("deployer.cli.console.interactive", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def seen(monkeypatch: pytest.MonkeyPatch, journey: Journey) -> dict[str, Any]:
    """What the application is started with; `journey` runs in it."""
    started: dict[str, Any] = {}

    def run(self: DeployerApp, *, mouse: bool) -> int | None:
        started.update(app=self, mouse=mouse)

        async def with_journey() -> None:
            async with self.run_test(size=(120, 40)) as pilot:
                self.tick_s = 0.05
                await journey(pilot)

        asyncio.run(with_journey())
        return self.return_value

    monkeypatch.setattr(DeployerApp, "run", run)
    return started


async def look_and_leave(pilot: Pilot[int]) -> None:
    await see(pilot, "acme")
    await pilot.press("q")


def test_where_no_terminal_is_the_text_twins_are_named(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ui"], ["plan", "--ui"], ["apply", "--ui"]):
        assert main([*words, "-C", str(fleet)]) == 64
        said = capsys.readouterr().err
        assert "needs a terminal" in said
        assert "deployer status, deployer plan and --json say the same as text" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ui", "--theme", "drak"], "did you mean dark?"),
        (["ui", "--port", "80"], "--port belongs to --web"),
        (["plan", "--ui", "--json"], "--ui and --format exclude each other"),
        (["plan", "--ui", "--out", "x"], "--ui and --out exclude each other"),
        (["plan", "--ui", "--detailed-exitcode"], "--ui and --detailed-exitcode exclude each other"),
        (["apply", "--ui", "--yes"], "--ui and --yes exclude each other"),
        (["apply", "--ui", "chta"], "did you mean chat?"),
        (["apply", "--ui", "--host", "h9"], "there is no host h9"),
        (["apply", "--ui", "a.json", "--prune"], "--prune cannot change a saved plan"),
    ],
)
def test_what_cannot_be_is_said_before_the_screen_opens(
    fleet: Path, hosts: dict[str, FakeHost], sitting: None, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([*words, "-C", str(fleet)]) == 64
    assert said in capsys.readouterr().err


def test_a_wrong_ui_yaml_is_said_before_the_screen_opens(
    fleet: Path, hosts: dict[str, FakeHost], sitting: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config/deployer/ui.yaml"
    file.parent.mkdir(parents=True)
    for text, wanted in {
        "keys: {pan: p}": "nothing is called pan",
        "keys: {help: q}": "q would mean",
        "theme: drak": "there is no theme drak",
    }.items():
        file.write_text(text)
        assert main(["ui", "-C", str(fleet)]) == 64
        said = capsys.readouterr().err
        assert wanted in said
        assert str(file) in said


def test_what_the_command_line_says_wins_over_ui_yaml(
    fleet: Path, hosts: dict[str, FakeHost], sitting: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config/deployer/ui.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("theme: drak\n")
    started = seen(monkeypatch, look_and_leave)
    assert main(["ui", "-C", str(fleet), "--theme", "light", "--no-mouse", "--ascii", "--read-only"]) == 0
    app = started["app"]
    assert (app.theme, started["mouse"], app.session.read_only) == ("textual-light", False, True)
    assert app.glyphs.good.isascii()


def test_plan_ui_reviews_what_its_words_name(
    fleet: Path, hosts: dict[str, FakeHost], sitting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        app = pilot.app
        assert isinstance(app, DeployerApp)
        await until(pilot, lambda: app.session.planned is not None)
        await see(pilot, "chat/0")
        await pilot.press("q")
        await until(pilot, lambda: app._exit or "Throw" in shown(pilot))

    started = seen(monkeypatch, journey)
    assert main(["plan", "--ui", "chat", "--host", "h1", "-C", str(fleet)]) == 0
    assert started["app"].options.names == ("chat",)
    assert started["app"].options.hosts == ("h1",)
    assert {change.host for change in started["app"].session.planned.plan.changes} <= {"h1"}


def test_apply_ui_of_a_saved_plan_reviews_exactly_that_and_asks_no_host(
    fleet: Path, hosts: dict[str, FakeHost], sitting: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--out", str(fleet / "kept.json"), "-C", str(fleet)]) == 0

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat/0")
        await pilot.press("q")

    started = seen(monkeypatch, journey)
    monkeypatch.setattr("deployer.app.fleet.Fleet.plan", None)  # would be a second plan
    assert main(["apply", "--ui", str(fleet / "kept.json"), "--why", "because", "-C", str(fleet)]) == 0
    session = started["app"].session
    assert session.planned.plan.plan_id in (fleet / "kept.json").read_text()
    assert session.why == "because"


@pytest.mark.parametrize(
    ("state", "report", "error", "code"),
    [
        ("done", 0, None, 0),
        ("failed", 5, None, 5),
        ("failed", 6, None, 6),
        ("detached", 130, None, 0),  # left to the hosts: its end was not seen
        ("failed", None, StalePlan("moved"), 8),
        ("running", None, None, 0),
    ],
)
def test_the_exit_code_is_that_of_the_apply_seen_to_its_end(
    state: str, report: int | None, error: DeployerError | None, code: int
) -> None:
    operation = SimpleNamespace(state=state, report=report if report is None else SimpleNamespace(exit_code=report), error=error)
    assert exit_code(cast(Session, SimpleNamespace(operation=operation))) == code


def test_the_exit_code_without_any_apply_is_0() -> None:
    assert exit_code(cast(Session, SimpleNamespace(operation=None))) == 0
