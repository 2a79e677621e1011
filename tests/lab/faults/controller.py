"""Controllers for cells: each an own process that can be killed, started from a server that has everything loaded already.

The agent they bring is ours with the hook of hook.py put in: what stops a run at a boundary is nowhere in the product.
"""

import functools
import hashlib
import io
import multiprocessing
import os
import signal
import time
import zipfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from deployer.errors import DeployerError

HERE = Path(__file__).parent
_MAIN = b"""\
import sys
import fault_hook
from deployer.agent.main import main
from deployer.agent.steps import STEPS
if sys.argv[1:2] == ["work"]:
    fault_hook.install(STEPS)
sys.exit(main())
"""


@functools.cache
def hooked_archive() -> bytes:
    """The agent's archive with the hook in it."""
    from deployer.transport.archive import agent_archive

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(agent_archive())) as ours, zipfile.ZipFile(out, "w") as archive:
        for name in ours.namelist():
            archive.writestr(ours.getinfo(name), _MAIN if name == "__main__.py" else ours.read(name))
        archive.writestr(zipfile.ZipInfo("fault_hook.py", (1980, 1, 1, 0, 0, 0)), (HERE / "hook.py").read_bytes())
    return out.getvalue()


def bring_hooked_agent() -> None:
    """From now on this process's connections bring that agent."""
    from deployer.transport import archive

    data = hooked_archive()
    digest = hashlib.sha256(data).hexdigest()
    archive.agent_archive = lambda: data  # type: ignore[assignment]
    archive.agent_digest = lambda: digest  # type: ignore[assignment]


@dataclass(frozen=True)
class Ended:
    """How a controller's work ended. `results`: host → result and transactions of the report."""

    exit_code: int
    results: dict[str, Any]
    error: str | None = None


class Controller:
    """`verb` "apply" does the saved plan, "attach" follows what runs; `silence_s`: how long hosts wait for a word of it."""

    def __init__(self, verb: str, root: Path, plan: Path | None = None, silence_s: float | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["deployer.app.fleet", "deployer.transport.ssh.client", "deployer.execute.apply"])
        self._mine, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(theirs, verb, root, plan, silence_s), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """As a power cut of the laptop would."""
        if self._process.pid and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(10)

    def end(self, seconds: float) -> Ended | None:
        """Its outcome; None when it takes longer, or was killed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._mine.poll(0.1):
                try:
                    found: Ended = self._mine.recv()
                except EOFError:
                    return None
                self._process.join(10)
                return found
            if not self._process.is_alive() and not self._mine.poll(0):
                return None
        return None


def _work(out: Connection, verb: str, root: Path, plan: Path | None, silence_s: float | None) -> None:
    from deployer.app.fleet import Fleet
    from deployer.execute.hostrun import Patience

    bring_hooked_agent()
    try:
        with Fleet.load(root) as fleet:
            if verb == "attach":
                running = fleet.running()
                if not running:  # its last step was let go a moment ago, and it needed nobody
                    out.send(Ended(0, {}, "the run had ended"))
                    return
                report = fleet.attach(running[0])
            else:
                planned = fleet.saved_plan(plan) if plan else fleet.plan()
                report = planned.apply(patience=Patience(silence_s=silence_s))
        results = {name: {"result": h.result, "transactions": h.transactions} for name, h in report.hosts.items()}
        out.send(Ended(report.exit_code, results))
    except DeployerError as error:
        out.send(Ended(error.exit_code, {}, str(error)))
