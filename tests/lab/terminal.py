"""A real terminal for the terminal UI: tmux, keys in, the screen's text out."""

import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Terminal:
    """One tmux server of its own with one window; `argv` runs in it."""

    def __init__(self, argv: Sequence[str], cwd: Path, environment: dict[str, str], size: tuple[int, int] = (120, 40)) -> None:
        self._name = f"deployer-{uuid.uuid4().hex[:8]}"
        self._ended = cwd / f".{self._name}.exit"
        width, height = (str(number) for number in size)
        # the exit code outlives the window, so that a test can ask for it
        script = 'end=$1; shift; "$@"; echo $? > "$end"'
        command = ["sh", "-c", script, "sh", str(self._ended), *argv]
        self._tmux("new-session", "-d", "-x", width, "-y", height, "-c", str(cwd), *command, env=environment)

    def _tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        argv = ["tmux", "-L", self._name, "-f", "/dev/null", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env=env).stdout

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: "j", "Enter", "Escape", "C-s"; one at a time, as a person does."""
        for key in keys:
            self._tmux("send-keys", key)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def screen(self, *, colours: bool = False) -> str:
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def until(self, *texts: str, gone: bool = False, deadline_s: float = 60) -> str:
        """The screen, once it shows all of these (`gone`: none of them); fails with what it shows instead."""
        end = time.monotonic() + deadline_s
        while True:
            shown = self.screen()
            if all((text not in shown) if gone else (text in shown) for text in texts):
                return shown
            assert time.monotonic() < end, f"never {'without' if gone else ''} {texts} within {deadline_s} s:\n{shown}"
            time.sleep(0.1)

    def ended(self, deadline_s: float = 30) -> int:
        """The exit code, once it has ended."""
        end = time.monotonic() + deadline_s
        while not (self._ended.exists() and self._ended.read_text().strip()):
            assert time.monotonic() < end, f"it has not ended within {deadline_s} s:\n{self.screen()}"
            time.sleep(0.1)
        return int(self._ended.read_text())

    def kill_inside(self) -> None:
        """SIGKILL to what runs in the window, as a closed laptop would do."""
        pid = self._tmux("list-panes", "-F", "#{pane_pid}").strip()
        children = subprocess.run(["pgrep", "-P", pid], capture_output=True, text=True, check=False).stdout.split()
        for child in children:
            subprocess.run(["kill", "-9", child], check=False)

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False, timeout=30)
        self._ended.unlink(missing_ok=True)


@contextmanager
def terminal(
    argv: Sequence[str], cwd: Path, environment: dict[str, str], size: tuple[int, int] = (120, 40)
) -> Iterator[Terminal]:
    found = Terminal(argv, cwd, environment, size)
    try:
        yield found
    finally:
        found.close()
