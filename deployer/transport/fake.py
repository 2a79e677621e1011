"""Hosts that exist only in a temporary directory. The agent on them is the real one; systemd, uv, HAProxy, the engines and
the hub are simulated. Tests, docs and the terminal UI use them: everything above the transport cannot tell the difference.
"""

import contextlib
import json
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deployer.agent.main import serve
from deployer.agent.talk import Talk
from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.spec.models import HostSpec
from deployer.transport.simulation import furniture
from deployer.transport.simulation.faults import Faults
from deployer.transport.simulation.figures import Figures
from deployer.transport.simulation.haproxy import Traffic
from deployer.transport.simulation.machine import Machine
from deployer.transport.simulation.pipes import Pipe
from deployer.transport.simulation.units import Engine

GIB = 1 << 30


class FakeHost:
    """A host. `gpus` is a number of imaginary H100s or a list of {"uuid", "name", "memory_total"}; sizes are bytes.

    `faults` makes steps fail, hold, die, and connections break; `break_engine` makes engines fail; `machine` is the
    simulated system itself (`machine.hub_error`, `machine.offline`, `machine.ran`).
    """

    def __init__(
        self,
        name: str,
        root: Path | None = None,
        *,
        gpus: int | list[dict[str, Any]] = 0,
        gpu_memory: int = 80 * GIB,
        memory: int = 256 * GIB,
        cpus: int = 16,
        disk: tuple[int, int] = (2000 * GIB, 1500 * GIB),
        pythons: tuple[str, ...] = ("3.11",),
        arch: str = "x86_64",
        glibc: str = "2.36",
        systemd: int = 252,
    ) -> None:
        self.name = name
        if root is None:
            root = Path(tempfile.mkdtemp(prefix=f"fake-{name}-"))
            weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
        self.root = root / name
        self.root.mkdir(parents=True, exist_ok=True)
        listed = gpus if isinstance(gpus, list) else [_gpu(name, n, gpu_memory) for n in range(gpus)]
        furniture.furnish(self.root, name, memory=memory, cpus=cpus, pythons=pythons, systemd=systemd)
        self.machine = Machine(self.root, name, gpus=listed, disk=disk, arch=arch, glibc=glibc)
        self.unreachable: str | None = None  # why: "timeout", "refused", "auth", "sudo", "key"
        self.latency_s = 0.0
        self.hearable = threading.Event()
        self.hearable.set()
        self._open: list[FakeConnection] = []

    @property
    def faults(self) -> Faults:
        return self.machine.faults

    def break_engine(self, match: str, *log: str, status: int = 1, hangs: bool = False) -> None:
        """Engines whose unit, arguments or name hold `match` say `log` and end, or hang; for ever, until `mend_engines`."""
        self.machine.units.engines.insert(0, Engine(match, log, exits=not hangs, hangs=hangs, status=status))

    def slow_engine(self, match: str, *log: str) -> None:
        """Engines that say these lines, one at each look, before they are up."""
        self.machine.units.engines.insert(0, Engine(match, log))

    def mend_engines(self) -> None:
        self.machine.units.engines.clear()

    def path(self, path: str) -> Path:
        """Where a path of the host really lies."""
        return Path(self.machine.path(path))

    def set_gpu(self, index: int, **facts: Any) -> None:
        """What its GPU says from now on: `utilization` (percent), `memory_used` (bytes), `temperature`."""
        self.machine.set_gpu(index, facts)

    def figures(self, match: str) -> Figures:
        """What engines whose unit's name holds `match` ("chat-0") say of themselves; change it as you like."""
        return self.machine.figures.setdefault(match, Figures())

    def traffic(self, match: str, requests: int, *, failed: int = 0, ms: int = 20) -> None:
        """What the gateway counts, from look to look, for engines whose unit's name holds `match`."""
        self.machine.traffic[match] = Traffic(requests, failed, ms)

    def hold_beats(self) -> None:
        """Who watches gets no more samples, until `beat`."""
        self.machine.beats.hold()

    def beat(self, times: int = 1) -> None:
        """So many more intervals pass for who watches."""
        self.machine.beats.allow(times)

    def cut(self) -> None:
        """The network swallows everything: nobody is told, nobody can connect. `heal` ends it."""
        self.unreachable = "timeout"
        self.hearable.clear()

    def heal(self) -> None:
        self.unreachable = None
        self.hearable.set()

    def running(self) -> list[str]:
        """Names of the units that are up, sorted."""
        return sorted(u.name for u in self.machine.units.known.values() if u.active == "active")

    def reboot(self) -> None:
        self.drop()
        self.machine.reboot()

    def drop(self) -> None:
        """All open connections break; what runs on the host goes on."""
        for connection in list(self._open):
            connection.cut()

    def settle(self, timeout_s: float = 30.0) -> None:
        """Waits until no run is under way."""
        for thread in list(self.machine.threads.values()):
            thread.join(timeout_s)


def _gpu(host: str, index: int, memory: int) -> dict[str, Any]:
    facts = {"name": "NVIDIA H100 80GB HBM3", "memory_total": memory, "capability": "9.0", "temperature": 35}
    return {"index": index, "uuid": f"GPU-{host}-{index:04d}", **facts}


class FakeTransport:
    """`hosts` by the names of the fleet's hosts. See transport.base for the contract."""

    def __init__(self, hosts: Mapping[str, FakeHost] | Iterable[FakeHost]) -> None:
        self.hosts = dict(hosts) if isinstance(hosts, Mapping) else {host.name: host for host in hosts}

    def connect(self, host: HostSpec, *, timeout_s: float) -> "FakeConnection":
        found = self.hosts.get(host.name)
        if found is None or found.unreachable is not None:
            raise _unreachable(host.name, found.unreachable if found else "refused", timeout_s)
        time.sleep(found.latency_s)
        return FakeConnection(found)


def _unreachable(name: str, kind: str | None, timeout_s: float) -> Unreachable:
    words = {
        "timeout": f"timed out after {timeout_s:g} s",
        "refused": "connection refused",
        "auth": "the login was refused",
        "sudo": "sudo wants a password",
        "key": "its host key is not the pinned one",
    }
    what = words.get(kind or "", str(kind))
    if kind == "key":
        return HostKeyError(what, where=name, hint=f"once you know why, `deployer hosts trust {name}`")
    return Unreachable(what, where=name, kind=kind or "refused")


class FakeConnection:
    """An open way to a fake host."""

    def __init__(self, host: FakeHost) -> None:
        self.name = host.name
        self._host = host
        self._channels: list[FakeChannel] = []
        self._lost = False
        self._guard = threading.Lock()
        host._open.append(self)

    def open(self, verb: str, request: Mapping[str, Any]) -> "FakeChannel":
        if self._lost or self._host.unreachable is not None:
            raise Unreachable("the connection is lost", where=self.name)
        time.sleep(self._host.latency_s)
        cut_after, self._host.faults.cut_after = self._host.faults.cut_after, None
        channel = FakeChannel(self._host, request, cut_after, self.cut)
        with self._guard:
            if self._lost:  # meanwhile
                raise Unreachable("the connection is lost", where=self.name)
            self._channels.append(channel)  # first: the verb itself may break the connection
        channel.begin(verb)
        return channel

    def cut(self) -> None:
        for channel in self._end():
            channel.cut()

    def close(self) -> None:
        """May be called by any thread, and twice, as the real one's."""
        for channel in self._end():
            channel.close()
        with contextlib.suppress(ValueError):
            self._host._open.remove(self)

    def _end(self) -> "list[FakeChannel]":
        with self._guard:
            self._lost = True
            return list(self._channels)


class FakeChannel:
    """One verb of the real agent, in a thread."""

    def __init__(
        self, host: FakeHost, request: Mapping[str, Any], cut_after: int | None, break_connection: Callable[[], None]
    ) -> None:
        self._host = host
        self._break_connection = break_connection
        self._in, self._out = Pipe(), Pipe()
        self._left = cut_after
        self._closed = False
        self._in.write(json.dumps(request).encode() + b"\n")

    def begin(self, verb: str) -> None:
        threading.Thread(target=self._serve, args=(verb,), name=f"{self._host.name}-{verb}", daemon=True).start()

    def _serve(self, verb: str) -> None:
        try:
            serve(self._host.machine, verb, Talk(self._in, self._out))  # type: ignore[arg-type]
        finally:
            self._out.end()

    def lines(self) -> Iterator[dict[str, Any]]:
        """The verb's lines up to and with "end"; "error" is raised as DeployerError, a broken connection as Unreachable;
        ends quietly after `close`.
        """
        while True:
            if self._left == 0:
                self._break_connection()
            line = self._out.readline()
            while not self._host.hearable.wait(0.02):
                if self._out.broken:
                    line = b""
                    break
            if not line:
                if self._closed:
                    return
                raise Unreachable("the connection was lost", where=self._host.name)
            if self._left is not None:
                self._left -= 1
            found: dict[str, Any] = json.loads(line)
            if found["type"] == "error":
                raise DeployerError(found["message"], where=self._host.name, hint=found.get("hint"))
            yield found
            if found["type"] == "end":
                return

    def read_bytes(self, most: int) -> bytes:
        """As the real one; an "error" that the verb ends with in their middle is met as an end."""
        most = self._host.faults.may_give(most)
        if not most:
            self._break_connection()
        data = self._out.read_some(most)
        if not data:
            raise Unreachable("the connection was lost", where=self._host.name)
        self._host.faults.gave(len(data))
        return data

    def send(self, line: Mapping[str, Any]) -> None:
        self.send_bytes(json.dumps(line).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        try:
            self._in.write(data)
        except BrokenPipeError:
            raise Unreachable("the connection broke", where=self._host.name) from None

    def done_sending(self) -> None:
        self._in.end()

    def cut(self) -> None:
        self._in.cut()
        self._out.cut()

    def close(self) -> None:
        self._closed = True
        self.cut()
