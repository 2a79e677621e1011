"""Copying: the terminal's own way, also through tmux, the desktop's programs, and what is too much for either."""

import base64
import subprocess
from pathlib import Path

import pytest
from textual.pilot import Pilot

from deployer.tui import clipboard
from deployer.tui.app import DeployerApp
from tests.tui.conftest import see, travel


@pytest.fixture(autouse=True)
def _no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY", "TMUX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An xclip that writes down what it is given."""
    program = tmp_path / "bin/xclip"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncat > {tmp_path}/taken\n[ "$2" = clipboard ]\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DISPLAY", ":0")
    return tmp_path / "taken"


def test_without_a_desktop_the_terminal_is_asked() -> None:
    sequence = clipboard.copy("curl -s …")
    assert sequence is not None
    assert sequence.startswith("\033]52;c;")
    assert sequence.endswith("\a")
    assert base64.b64decode(sequence[7:-1]).decode() == "curl -s …"


def test_tmux_is_told_to_pass_it_on() -> None:
    plain = clipboard.osc52("x", {})
    assert clipboard.osc52("x", {"TMUX": "/tmp/tmux"}) == f"\033Ptmux;\033{plain}\033\\"


def test_beside_a_desktop_its_program_takes_the_text(desktop: Path) -> None:
    assert clipboard.copy("a b") is None
    assert desktop.read_text() == "a b"


def test_over_ssh_the_desktop_is_not_ours(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    assert clipboard.copy("a b") is not None
    assert not desktop.exists()


def test_osc52_is_taken_when_it_is_asked_for(desktop: Path) -> None:
    assert clipboard.copy("a b", "osc52") is not None
    assert not desktop.exists()


def test_more_than_a_terminal_takes_is_refused_with_what_to_do() -> None:
    most = clipboard.MOST_BYTES // 4 * 3
    assert clipboard.copy("x" * (most - 2)) is not None
    with pytest.raises(ValueError, match="save it to a file instead"):
        clipboard.copy("x" * (most + 2))


def test_a_desktop_program_that_fails_or_hangs_leaves_it_to_the_terminal(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("xclip", 5)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert clipboard.copy("a b") is not None
    with pytest.raises(ValueError, match="did not take it"):
        clipboard.copy("a b", "native")


def test_native_without_a_program_is_said() -> None:
    with pytest.raises(ValueError, match="no program for the clipboard was found"):
        clipboard.copy("a b", "native")


def test_what_was_copied_is_shown_and_written_to_the_terminal(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        app.copy("https://gw/[/INST]/v1", "address of chat")
        await see(pilot, "copied: address of chat")
        await see(pilot, "https://gw/[/INST]/v1")
        app.copy("x" * 80_000, "everything")
        await see(pilot, "not copied: everything")
        app.copy_to_clipboard("selected text")  # what Textual calls when text is selected
        await see(pilot, "selected text")

    travel(app, journey, toasts=True)
    assert clipboard.osc52("https://gw/[/INST]/v1", {}) in written
    assert clipboard.osc52("selected text", {}) in written
