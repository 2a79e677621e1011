"""`deployer ui` from the shell to the first screen with its deployments, against the smallest Textual application that shows
the same word. Both in a terminal of their own, in turns; its hosts refuse to be reached, so that no network is measured.
"""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import PYTHON, ROOT, at_most, finish, side_by_side

WORD = b"zebra"
SMALLEST = f"""
from textual.app import App
from textual.widgets import Footer, Header, Static
class Smallest(App):
    BINDINGS = [("q", "quit", "Quit")]
    def compose(self):
        yield Header()
        yield Static({WORD.decode()!r})
        yield Footer()
Smallest().run()
"""
LIMIT = 2.0


def to_first_paint(command: list[str]) -> Callable[[], None]:
    """A subject: until the word is on the screen. What comes after (leaving) is not waited for."""
    environment = {**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def call() -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment)
        os.close(theirs)
        said = b""
        try:
            while WORD not in said:
                if not select.select([ours], [], [], 60)[0]:
                    raise SystemExit(f"{command}: nothing was painted:\n{said.decode(errors='replace')[-2000:]}")
                try:
                    said += os.read(ours, 65536)
                except OSError:  # it ended, and closed its end
                    raise SystemExit(f"{command} ended:\n{said.decode(errors='replace')[-2000:]}") from None
        finally:
            running.kill()
            running.wait()
            os.close(ours)

    return call


def fleet(folder: Path) -> Path:
    root = folder / "acme"
    for name in ("hosts", "deployments", "models/tiny"):
        (root / name).mkdir(parents=True)
    (root / "deployer.yaml").write_text('id: "0123abcd"\nname: acme\ngateway: {insecure: true}\n')
    for name in ("h1", "h2"):
        (root / f"hosts/{name}.yaml").write_text(f"name: {name}\naddress: 127.0.0.1\nport: {name[1]}\n")
    (root / "models/tiny/config.json").write_text("{}")
    (root / f"deployments/{WORD.decode()}.yaml").write_text(
        f"name: {WORD.decode()}\nmodel: {{path: models/tiny}}\nengine: {{ctranslate2: {{}}}}\nendpoint: {{open: true}}\n"
    )
    return root


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = fleet(Path(folder))
        ours = [PYTHON, "-c", "import sys; from deployer.cli.main import main; sys.exit(main())", "ui", "-C", str(root)]
        taken, smallest = side_by_side(7, to_first_paint(ours), to_first_paint([PYTHON, "-c", SMALLEST]))
    return finish([at_most("deployer ui to its first screen", taken, smallest, "the smallest Textual application", LIMIT)])


if __name__ == "__main__":
    sys.exit(main())
