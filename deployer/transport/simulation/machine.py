"""A `System` whose programs, units, GPUs and HTTP are simulated. Files are real, below a temporary root."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployer.agent.context import Context
from deployer.agent.system import Done, System
from deployer.transport.simulation import adapters, furniture, haproxy, programs
from deployer.transport.simulation.beats import Beats
from deployer.transport.simulation.faults import Faults, Killed, PowerCut, faulty_steps
from deployer.transport.simulation.figures import Figures
from deployer.transport.simulation.gateway import completion
from deployer.transport.simulation.units import Units

REAL_PAUSE_S = 0.002
FOLLOW_S = 0.05  # how often a journal that is followed is looked at, in real seconds
_SAMPLED = ("uuid", "index", "name", "memory_total", "memory_used", "utilization", "temperature")


class Machine(System):
    """Its clock jumps when the agent sleeps, so that a deadline of minutes is over at once; waits for the controller are
    real. `ran` keeps every argv, `tokens` what downloads were given.
    """

    def __init__(
        self, root: Path, name: str, *, gpus: list[dict[str, Any]], disk: tuple[int, int], arch: str, glibc: str
    ) -> None:
        super().__init__(str(root))
        self.name = name
        self.faults = Faults()
        self.units = Units(self, root)
        self.ran: list[list[str]] = []
        self.tokens: list[str | None] = []
        self.hub: dict[str, bytes] = {}
        self.hub_error: tuple[str, str] | None = None
        self.converted = b"converted"  # what a converter makes
        self.expected: dict[str, int] = {}
        self.offline = False
        self.clock_ahead_s = 0.0
        self.gated: list[str] = []
        self.engine_refuses: str | None = None  # what an engine says of its options
        self.driver = ("575.57.08", "12.9")  # its version, and the CUDA it goes up to
        self.root_user = True
        self.gpu_error: str | None = None
        self.disk_bytes = disk
        self.beats = Beats()
        self.figures: dict[str, Figures] = {}  # by a part of the unit's name
        self.traffic: dict[str, haproxy.Traffic] = {}  # the same; what the gateway counts for it
        self._gpus = gpus
        self._facts = (arch, glibc)
        self._skew = 0.0
        self._boot = 1
        self._tick: Callable[[], None] | None = None
        self._trusted: set[tuple[int, int]] = set()
        self._mine = threading.local()
        self._guard = threading.RLock()
        self.threads: dict[str, threading.Thread] = {}

    # what the agent asks of a machine

    def uid(self) -> int:
        return 0 if self.root_user else 1000

    def user(self) -> str:
        return "root" if self.root_user else "deploy"

    def uname(self) -> tuple[str, str, str, str]:
        arch, glibc = self._facts
        return self.name, "6.1.0-simulated", arch, glibc

    def disk(self, path: str) -> tuple[int, int]:
        return self.disk_bytes

    def device(self, path: str) -> int:
        return 1

    def now(self) -> float:
        return super().now() + self.clock_ahead_s

    def environ(self) -> dict[str, str]:
        return {}

    def chown(self, path: str, owner: str) -> None:
        """The users of the host are not those of this machine."""

    def sync(self) -> None:
        """Nothing here outlives the process."""

    def gpus(self) -> dict[str, Any]:
        found = []
        for gpu in self._gpus:
            users = [u for u in self.units.known.values() if gpu["uuid"] in u.gpus and u.active == "active"]
            processes = [{"pid": u.pid, "memory": int(gpu["memory_total"] * u.share)} for u in users]
            used = min(sum(p["memory"] for p in processes) + (1 << 20), gpu["memory_total"])
            facts = {"memory_used": used, "processes": processes, "utilization": 0, "mig": False}
            found.append({**facts, **gpu})
        driver = self.driver if self._gpus else (None, None)
        return {"gpus": found, "gpu_links": [], "gpu_error": self.gpu_error, "driver": driver[0], "cuda": driver[1]}

    def gpu_reader(self) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [{key: gpu.get(key) for key in _SAMPLED} for gpu in self.gpus()["gpus"]]

    def set_gpu(self, index: int, facts: dict[str, Any]) -> None:
        self._gpus[index].update(facts)

    def clock(self) -> float:
        return self.beats.clock(time.monotonic() + self._skew)

    def beat(self, seconds: float) -> None:
        self._living()
        self.beats.wait(seconds, self.clock())

    def sleep(self, seconds: float) -> None:
        self._living()
        self._skew += seconds
        time.sleep(0)

    def pause(self, seconds: float) -> None:
        self._living()
        time.sleep(min(seconds, REAL_PAUSE_S))

    def intact(self, path: str, digest: str, progress: Callable[[int], None] | None = None) -> bool:
        found = os.stat(self.path(path))
        if (found.st_dev, found.st_ino) in self._trusted:
            if progress is not None:
                progress(found.st_size)
            return True
        return super().intact(path, digest, progress)

    def trust(self, real: Path) -> None:
        """A file that stands for bigger content: its digest is not looked at."""
        found = real.stat()
        self._trusted.add((found.st_dev, found.st_ino))

    def tick(self) -> None:
        if self._tick is not None:
            self._tick()

    def http(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None, timeout: float = 10.0
    ) -> tuple[int, bytes]:
        self._living()
        parts = urlsplit(url)
        with self._guard:
            unit = next((u for u in self.units.known.values() if u.answers and parts.port in u.ports), None)
            if unit is None:
                raise ConnectionRefusedError(111, "Connection refused")
            if unit.gateway is not None:
                return unit.gateway.answer(parts.path, headers or {}, self._answers)
            if parts.path == "/metrics":
                found = next((said for part, said in self.figures.items() if part in unit.name), Figures())
                return 200, found.text().encode()
            said = adapters.answer(unit.adapters, parts.path, body)
            if said is not None:
                return said
        return 200, completion()

    def head(self, url: str, headers: dict[str, str], env: dict[str, str], timeout: float) -> int:
        """A hub and an index that have everything; `gated` names what they give only with a token."""
        self._living()
        if self.offline:
            raise socket.gaierror(-2, "Name or service not known")
        return 401 if any(name in url for name in self.gated) and "Authorization" not in headers else 200

    def _answers(self, port: int) -> bool:
        return any(u.answers and port in u.ports for u in self.units.known.values() if u.gateway is None)

    def ask_socket(self, path: str, line: str, timeout: float = 5.0) -> bytes:
        """The simulated HAProxy has no request that runs; it counts `traffic` at every look."""
        self._living()
        with self._guard:
            ports = {match: [p for u in self.units.known.values() if match in u.name for p in u.ports] for match in self.traffic}
            return haproxy.answer(line, self.traffic, ports)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float | None = None,
        env: dict[str, str] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> Done:
        self._living()
        words = list(argv)
        if words[0] == "systemctl":
            with self._guard:
                return self.units.call(words[1:])
        self.ran.append(words)
        if words[0] == "journalctl":
            with self._guard:
                return Done(0, self.units.journal(words), b"")
        if words[0] == "systemd-run":
            return self._start_run(words)
        self._tick = tick
        try:
            return programs.run(self, words, input or b"")
        finally:
            self._tick = None

    def stream(self, argv: Sequence[str], idle_s: float = 1.0) -> Iterator[bytes | None]:
        at = argv.index("-n") if "-n" in argv else None
        everything = list(argv) if at is None else [*argv[:at], *argv[at + 2 :]]
        with self._guard:
            lines = self.units.journal(list(argv)).splitlines()
            said = len(self.units.journal(everything).splitlines())
        while True:
            yield from lines
            if "-f" not in argv:
                return
            self._living()
            time.sleep(min(idle_s, FOLLOW_S))
            yield None
            with self._guard:
                lines = self.units.journal(everything).splitlines()[said:]
            said += len(lines)

    # runs and boots

    def _living(self) -> None:
        """A run of an earlier boot is dead."""
        if getattr(self._mine, "boot", self._boot) != self._boot:
            raise PowerCut

    def _start_run(self, argv: list[str]) -> Done:
        import json

        from deployer.agent.recover import recover
        from deployer.agent.work import work

        run_id, unit = argv[-1], next(a.partition("=")[2] for a in argv if a.startswith("--unit="))
        handed = next(a.partition("secrets:")[2] for a in argv if a.startswith("LoadCredential=secrets:"))
        secrets = json.loads(Path(handed).read_text(encoding="utf-8"))
        self.units.runs[unit] = True

        def body() -> None:
            self._mine.boot = self._boot
            steps = dict(faulty_steps(self.faults, self._expect))
            try:
                work(self, run_id, secrets, threading.Event(), steps)
            except PowerCut:
                pass
            except Killed:
                with contextlib.suppress(Killed):
                    recover(self, run_id, steps)
            finally:
                self.units.runs[unit] = False

        thread = threading.Thread(target=body, name=f"{self.name}-{run_id}", daemon=True)
        self.threads[unit] = thread
        thread.start()
        return Done(0, b"", b"")

    def _expect(self, ctx: Context) -> None:
        if ctx.step["kind"] == "model.download":
            self.expected = {str(f["path"]): int(f["size"]) for f in ctx.args["files"]}

    def reboot(self) -> None:
        """Runs die where they stand, units go down, what is enabled comes back."""
        self._boot += 1
        for thread in list(self.threads.values()):
            thread.join(5)
        with self._guard:
            self.units.runs.clear()
            furniture.boot(Path(self.root), self._boot)
            self.units.boot()
