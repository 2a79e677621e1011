"""systemd, simulated as far as the agent looks: units that start, fail, restart, and come back after a boot."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deployer.agent import wire
from deployer.agent.system import Done, System
from deployer.transport.simulation import adapters, furniture
from deployer.transport.simulation.gateway import GatewayConfig

WANTS = wire.UNITS + "/multi-user.target.wants"


@dataclass
class Engine:
    """How units behave whose text (unit file, credentials, name) holds `match`.

    `log` are the lines of each start. `exits`: it ends with `status` after them; `hangs`: it runs and never answers;
    otherwise it is up once its lines are said, one at each look.
    """

    match: str
    log: tuple[str, ...] = ()
    exits: bool = False
    hangs: bool = False
    status: int = 1


@dataclass
class Unit:
    name: str
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    status: int = 0
    restarts: int = 0
    pid: int = 0
    since: float = 0.0
    invocation: str = ""
    ports: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    share: float = 0.9  # of each of its GPUs
    engine: Engine | None = None
    unsaid: list[str] = field(default_factory=list)
    lines: list[tuple[str, float, str]] = field(default_factory=list)  # invocation, when, text
    gateway: GatewayConfig | None = None
    adapters: dict[str, str] | None = None

    @property
    def answers(self) -> bool:
        return self.active == "active" and not (self.engine and self.engine.hangs)


class Units:
    """`runs`: which transient units of runs are alive, by name."""

    def __init__(self, system: System, root: Path) -> None:
        self._system = system
        self._root = root
        self._loaded: dict[str, str] = {}
        self._pid = 1000
        self.engines: list[Engine] = []
        self.known: dict[str, Unit] = {}
        self.runs: dict[str, bool] = {}

    def call(self, words: list[str]) -> Done:
        """What `systemctl <words>` does."""
        verb, names = words[0], [w for w in words[1:] if not w.startswith("-") and w != "SIGKILL"]
        if verb == "daemon-reload":
            self._loaded = {name: text for name in self._loaded if (text := self._read(name)) is not None}
            return Done(0, b"", b"")
        if verb == "show":
            glance = "InvocationID" not in words[words.index("-p") + 1]
            return Done(0, "\n".join(self._show(name, glance) for name in words[words.index("--") + 1 :]).encode(), b"")
        acts: dict[str, Callable[[str], str]] = {
            "start": self.start,
            "stop": self.stop,
            "kill": self.stop,
            "enable": self._enable,
            "disable": self._disable,
            "reload": self._reload,
            "reset-failed": self._reset,
        }
        problems = [problem for name in names if (problem := acts[verb](name))]
        return Done(1 if problems else 0, b"", "\n".join(problems).encode())

    def unit(self, name: str) -> Unit:
        return self.known.setdefault(name, Unit(name))

    def _read(self, name: str) -> str | None:
        path = Path(self._system.path(f"{wire.UNITS}/{name}"))
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    def text(self, name: str) -> str | None:
        """As systemd has it: the file as it was when it was first looked at, until a daemon-reload."""
        if name not in self._loaded:
            text = self._read(name)
            if text is None:
                return None
            self._loaded[name] = text
        return self._loaded[name]

    def start(self, name: str) -> str:
        text = self.text(name)
        if text is None:
            return f"Failed to start {name}: Unit {name} not found."
        unit = self.unit(name)
        if unit.active in ("active", "activating"):
            return ""
        whole = "\n".join([name, text, *self._credentials(text)])
        unit.engine = next((e for e in self.engines if e.match in whole), None)
        unit.restarts = 0
        self._begin(unit, text, whole)
        return ""

    def _begin(self, unit: Unit, text: str, whole: str) -> None:
        self._pid += 1
        unit.pid, unit.invocation, unit.since = self._pid, uuid.uuid4().hex, self._system.clock()
        unit.active, unit.sub = "activating", "start-post"
        unit.unsaid = list(unit.engine.log if unit.engine else ())
        unit.gpus = tuple(sorted(set(re.findall(r"GPU-[0-9A-Za-z-]+", whole))))
        share = re.search(r"^gpu-memory-utilization: ([\d.]+)$", whole, re.MULTILINE)
        unit.share = float(share[1]) if share else 0.9
        if "haproxy" in text:
            unit.gateway = GatewayConfig.read(self._system, text)
            unit.ports = unit.gateway.ports if unit.gateway else ()
        else:
            unit.ports = tuple(sorted({int(p) for p in re.findall(r"port\W{1,4}(\d{2,5})\b", whole)}))
        unit.adapters = adapters.from_config(whole)
        self.say(unit, f"starting {unit.name}")
        taken = {port for other in self.known.values() if other is not unit and other.active == "active" for port in other.ports}
        if set(unit.ports) & taken:
            unit.engine = Engine("", ("OSError: [Errno 98] Address already in use",), exits=True)
            unit.unsaid = list(unit.engine.log)
        if not unit.unsaid:
            self._come_up(unit)
        self._sockets()

    def _come_up(self, unit: Unit) -> None:
        if unit.engine and unit.engine.exits:
            unit.active, unit.sub, unit.result, unit.status = "activating", "auto-restart", "exit-code", unit.engine.status
            return
        unit.active, unit.sub, unit.result = "active", "running", "success"
        unit.since = self._system.clock()

    def look(self, unit: Unit) -> None:
        """Time goes on a little whenever somebody looks."""
        if unit.active != "activating":
            return
        if unit.unsaid:
            self.say(unit, unit.unsaid.pop(0))
            if not unit.unsaid:
                self._come_up(unit)
                self._sockets()
        elif unit.sub == "auto-restart" and unit.engine is not None:
            unit.restarts += 1
            unit.invocation = uuid.uuid4().hex
            for line in unit.engine.log:
                self.say(unit, line)

    def say(self, unit: Unit, text: str) -> None:
        unit.lines.append((unit.invocation, self._system.now(), text))

    def stop(self, name: str) -> str:
        unit = self.unit(name)
        if unit.active == "inactive" and self.text(name) is None:
            return f"Failed to stop {name}: Unit {name} not loaded."
        unit.active, unit.sub, unit.result, unit.pid, unit.gpus, unit.gateway = "inactive", "dead", "success", 0, (), None
        unit.since = self._system.clock()
        self._sockets()
        return ""

    def crash(self, name: str, *lines: str) -> None:
        """It ends by itself and is not started again."""
        unit = self.unit(name)
        for line in lines:
            self.say(unit, line)
        self.stop(name)
        unit.active, unit.sub, unit.result, unit.status = "failed", "failed", "exit-code", 1

    def _reset(self, name: str) -> str:
        unit = self.unit(name)
        if unit.active == "failed":
            unit.active, unit.sub, unit.result = "inactive", "dead", "success"
        return ""

    def _reload(self, name: str) -> str:
        unit = self.unit(name)
        if unit.active != "active":
            return f"{name} is not active, cannot reload."
        unit.gateway = GatewayConfig.read(self._system, self.text(name) or "")
        unit.ports = unit.gateway.ports if unit.gateway else ()
        self._sockets()
        return ""

    def _link(self, name: str) -> Path:
        return Path(self._system.path(f"{WANTS}/{name}"))

    def _enable(self, name: str) -> str:
        if self.text(name) is None:
            return f"Failed to enable unit: Unit file {name} does not exist."
        self._link(name).parent.mkdir(parents=True, exist_ok=True)
        if not self._link(name).is_symlink():
            self._link(name).symlink_to(f"{wire.UNITS}/{name}")
        return ""

    def _disable(self, name: str) -> str:
        self._link(name).unlink(missing_ok=True)
        return ""

    def enabled(self, name: str) -> bool:
        return self._link(name).is_symlink()

    def _credentials(self, text: str) -> list[str]:
        paths = [Path(self._system.path(path)) for path in re.findall(r"^LoadCredential=[^:\n]+:(\S+)", text, re.M)]
        return [path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()]

    def _dropins(self, name: str) -> list[str]:
        folder = Path(self._system.path(f"{wire.UNITS}/{name}.d"))
        return [f"{wire.UNITS}/{name}.d/{path.name}" for path in sorted(folder.glob("*.conf"))]

    def _sockets(self) -> None:
        """/proc as the running units make it."""
        ports = []
        for unit in self.known.values():
            if unit.active == "active" and unit.pid:
                furniture.write_process(self._root, unit.pid, unit.name, unit.pid if unit.ports else None)
                ports += [(port, unit.pid) for port in unit.ports]
        furniture.write_sockets(self._root, ports)

    def _show(self, name: str, glance: bool) -> str:
        """Time does not go on for who only glances: an engine's start takes as long, whoever watches it."""
        if name.startswith(wire.RUN_UNIT):
            return f"Id={name}\nActiveState={'active' if self.runs.get(name) else 'inactive'}\n"
        unit = self.unit(name)
        if not glance:
            self.look(unit)
        there = self.text(name) is not None
        found = {
            "Id": name,
            "LoadState": "loaded" if there else "not-found",
            "ActiveState": unit.active,
            "SubState": unit.sub,
            "Result": unit.result,
            "ExecMainStatus": unit.status,
            "NRestarts": unit.restarts,
            "StateChangeTimestampMonotonic": round(unit.since * 1e6),
            "MainPID": unit.pid,
            "UnitFileState": "enabled" if self.enabled(name) else "disabled" if there else "",
            "DropInPaths": " ".join(self._dropins(name)),
            "ControlGroup": f"/system.slice/{name}" if unit.pid else "",
            "InvocationID": unit.invocation,
        }
        return "".join(f"{key}={value}\n" for key, value in found.items())

    def journal(self, argv: list[str]) -> bytes:
        """What `journalctl -o json` says for the units or the invocation that the arguments name."""
        wanted = {a.partition("=")[2] for a in argv if a.startswith("_SYSTEMD_INVOCATION_ID=")}
        names = [argv[i + 1] for i, a in enumerate(argv) if a == "-u"]
        after = float(argv[argv.index("--after-cursor") + 1]) if "--after-cursor" in argv else -1.0
        found = []
        for unit in self.known.values():
            named = any(unit.name == n or (n.endswith("*") and unit.name.startswith(n[:-1])) for n in names)
            found += [(at, n, unit.name, text) for n, (inv, at, text) in enumerate(unit.lines) if inv in wanted or named]
        out = []
        for at, number, name, text in sorted(found):
            cursor = at + number * 1e-6
            if cursor > after:
                entry = {
                    "__REALTIME_TIMESTAMP": str(round(at * 1e6)),
                    "__CURSOR": repr(cursor),
                    "MESSAGE": text,
                    "_SYSTEMD_UNIT": name,
                }
                out.append(text if "cat" in argv else json.dumps(entry))
        if "-n" in argv and out:
            out = out[-int(argv[argv.index("-n") + 1]) :]
        return "".join(line + "\n" for line in out).encode()

    def boot(self) -> None:
        """All is down, then what is enabled starts."""
        for unit in self.known.values():
            unit.active, unit.sub, unit.pid, unit.gpus = "inactive", "dead", 0, ()
        self._loaded.clear()
        folder = Path(self._system.path(WANTS))
        for link in sorted(folder.iterdir()) if folder.is_dir() else ():
            self.start(link.name)
        self._sockets()
