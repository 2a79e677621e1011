"""The terminal UI over fake hosts that run the real agent. Journeys press keys and wait for what is shown."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.transport.fake import FakeHost, FakeTransport
from deployer.tui.app import DeployerApp
from tests.cli.conftest import fleet

__all__ = ["fleet"]

Journey = Callable[[Pilot[int]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a person's own terminal would change: colours switched off, keys of their own."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(autouse=True, scope="session")
def _styles_read_once() -> Iterator[None]:
    """Each application would read the same style sheets anew, which is much of its start. Nothing changes a rule that is read."""
    kept: dict[tuple[Any, ...], list[RuleSet]] = {}
    read = Stylesheet._parse_rules

    def once(sheet: Stylesheet, *args: Any, **named: Any) -> list[RuleSet]:
        key = (args, tuple(named.items()), tuple(sheet._variables.items()))
        if key not in kept:
            kept[key] = read(sheet, *args, **named)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", once)
        yield


@pytest.fixture
def hosts(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeHost]:
    found = {name: FakeHost(name, tmp_path / "machines", gpus=2) for name in ("h1", "h2")}
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: FakeTransport(found))
    monkeypatch.delenv("NO_COLOR", raising=False)  # the fleet of the command line's tests sets it
    return found


@pytest.fixture
def loaded(fleet: Path, hosts: dict[str, FakeHost]) -> Iterator[Fleet]:
    with Fleet.load(fleet) as opened:
        yield opened


@pytest.fixture
def app(loaded: Fleet) -> DeployerApp:
    return DeployerApp(Session(loaded), tick_s=0.05)


def travel(app: DeployerApp, journey: Journey, size: tuple[int, int] = (120, 40), *, toasts: bool = False) -> None:
    """Runs the application without a terminal while `journey` presses its keys. `toasts`: short notes are shown too."""

    async def running() -> None:
        async with app.run_test(size=size, notifications=toasts) as pilot:
            await journey(pilot)
            assert app.fault is None, app.fault

    asyncio.run(running())


async def until(pilot: Pilot[int], reached: Callable[[], Any], what: str = "", limit_s: float = 20.0) -> None:
    """Waits for what is shown; fails with the screen's text. Looks less and less often: each look asks every widget, and takes
    the processor from what is waited for.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    pause_s = 0.01
    while not reached():
        if loop.time() > end:
            raise AssertionError(f"it never came to {what or reached}:\n{shown(pilot)}")
        await pilot.pause(pause_s)
        pause_s = min(pause_s * 1.3, 0.05)


def shown(pilot: Pilot[int]) -> str:
    """The screen as text, line by line."""
    screen = pilot.app.screen
    lines = screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


async def see(pilot: Pilot[int], text: str, limit_s: float = 20.0) -> None:
    await until(pilot, lambda: text in shown(pilot), f"“{text}” on the screen", limit_s)
