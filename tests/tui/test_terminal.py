"""In a real terminal: it is put back as it was however the terminal UI ends, and the exit code says how."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A process with a terminal of its own; `said` is all it wrote there."""

    def __init__(self, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.said = b""

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.alone", *words],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, preexec_fn=own_terminal,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip

    def see(self, text: bytes, limit_s: float = 30.0) -> None:
        end = time.monotonic() + limit_s
        while text not in self.said:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} never came:\n{self.said[-3000:]!r}"
            if select.select([self.ours], [], [], left)[0]:
                self.said += os.read(self.ours, 65536)

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def end(self, limit_s: float = 20.0) -> int:
        """Reads on until it is over."""
        end = time.monotonic() + limit_s
        while self.process.poll() is None:
            assert time.monotonic() < end, "it did not end"
            if select.select([self.ours], [], [], 0.05)[0]:
                self.said += os.read(self.ours, 65536)
        while select.select([self.ours], [], [], 0)[0]:
            self.said += os.read(self.ours, 65536)
        return self.process.returncode

    def is_as_before(self) -> bool:
        """Lines are edited and shown again, and the other screen is left."""
        return termios.tcgetattr(self.theirs) == self.before and self.said.rfind(BACK) > self.said.rfind(ALTERNATE)

    def close(self) -> None:
        os.close(self.theirs)
        os.close(self.ours)


@pytest.fixture
def terminal(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.delenv("NO_COLOR")
    opened = Terminal(str(tmp_path / "machines"), "ui", "-C", str(fleet))
    yield opened
    opened.process.kill()
    opened.process.wait()


def test_q_leaves_with_0_and_the_terminal_is_as_before(terminal: Terminal) -> None:
    terminal.see(b"chat")
    terminal.press(b"q")
    assert terminal.end() == 0
    assert terminal.is_as_before()
    terminal.close()


def test_sigterm_leaves_and_the_terminal_is_as_before(terminal: Terminal) -> None:
    terminal.see(b"chat")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 130
    assert terminal.is_as_before()
    terminal.close()


def test_a_closed_window_ends_it(terminal: Terminal) -> None:
    terminal.see(b"chat")
    terminal.close()
    assert terminal.process.wait(20) == 130
