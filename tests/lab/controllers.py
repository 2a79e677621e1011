"""Controllers that are to be killed: an apply in a process of its own, followed by its events up to a chosen moment."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tests.lab.commands import Deployer

#: `deployer apply --yes --json`, but hosts hear no word for a few seconds only before they act alone; and it goes no
#: further than the begin of the step, or of the phase, that the third word names, however quick the host is.
_IMPATIENT = """
import json, sys, threading
from deployer.app.fleet import Fleet
from deployer.execute.hostrun import Patience
def say(event):
    print(json.dumps(event.json()), flush=True)
    if sys.argv[3] in (event.label, event.data.get("phase")):
        threading.Event().wait()
with Fleet.load(sys.argv[1]) as fleet:
    fleet.plan().apply(on_event=say, patience=Patience(silence_s=float(sys.argv[2])))
"""


class Controller:
    """An apply under way. Its events are read one by one; `kill` ends it as a power cut of the laptop would."""

    def __init__(self, argv: list[str], deployer: Deployer) -> None:
        self._process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=deployer.environment(), stdin=subprocess.DEVNULL
        )
        self.seen: list[dict[str, Any]] = []

    def until(self, word: str) -> dict[str, Any]:
        """Reads events up to the begin of the step, or of the phase in a step, that is called `word`. Fails with what it
        said when that never comes.
        """
        return self.first(
            lambda e: e["type"] == "step" and word in (e.get("label"), e.get("data", {}).get("phase")), f"{word!r} began"
        )

    def until_host(self, state: str) -> dict[str, Any]:
        """Reads events up to the one that says so of a host: "broken", "back", "ended"."""
        return self.first(lambda e: e["type"] == "host" and e.get("state") == state, f"a host is {state}")

    def first(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Reads events up to the one that is `wanted`."""
        assert self._process.stdout
        for line in self._process.stdout:
            event: dict[str, Any] = json.loads(line)
            self.seen.append(event)
            if wanted(event):
                return event
        _, err = self._process.communicate()
        raise AssertionError(f"never: {what}: {[e.get('label') for e in self.seen]}\n{self.seen[-1:]}\n{err}")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Waits for its end: exit code and all events."""
        out, err = self._process.communicate(timeout=300)
        self.seen += [json.loads(line) for line in out.splitlines()]
        assert "Traceback" not in err, err
        return self._process.returncode, self.seen


@contextlib.contextmanager
def applying(deployer: Deployer, *words: str) -> Iterator[Controller]:
    """`deployer apply --yes --json WORDS` in the background; nothing of it is left after the block."""
    with _watched(Controller(deployer.argv(["apply", "--yes", "--json", *words]), deployer)) as controller:
        yield controller


@contextlib.contextmanager
def impatient(deployer: Deployer, last: str, silence_s: float = 3.0) -> Iterator[Controller]:
    """The same, but it opens no barrier any more once the step or phase `last` has begun, and its hosts act alone after
    `silence_s` seconds without a word of it.
    """
    argv = [sys.executable, "-c", _IMPATIENT, str(deployer.root), str(silence_s), last]
    with _watched(Controller(argv, deployer)) as controller:
        yield controller


@contextlib.contextmanager
def _watched(controller: Controller) -> Iterator[Controller]:
    try:
        yield controller
    finally:
        with contextlib.suppress(OSError):
            os.kill(controller._process.pid, signal.SIGKILL)
        controller._process.wait()
        for stream in (controller._process.stdout, controller._process.stderr):
            if stream:
                stream.close()
