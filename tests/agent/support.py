"""What the agent's tests share: a fleet, a host, requests for runs, and a controller that opens every barrier."""

import hashlib
import stat
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deployer.agent import wire
from deployer.spec.models import HostSpec
from deployer.transport.fake import FakeChannel, FakeConnection, FakeHost, FakeTransport

FLEET: wire.Fleet = {"id": "7f3a9c21", "name": "acme"}
OTHER: wire.Fleet = {"id": "0badcafe", "name": "other"}
HEADER = "# Made by deployer for fleet acme, id 7f3a9c21.\n"
ENV = "/opt/deployer/engines/ct2-1"
MODEL = "/var/lib/deployer/models/org--tiny/aaa"
GATEWAY = "deployer-acme-gateway.service"


def connect(host: FakeHost) -> FakeConnection:
    return FakeTransport([host]).connect(HostSpec(name=host.name, address="10.0.0.11"), timeout_s=5)


def said(channel: FakeChannel) -> list[dict[str, Any]]:
    """The rest of what a verb says, without ticks and its last word."""
    return [line for line in channel.lines() if line["type"] not in ("end", "tick")]


def ask(host: FakeHost, verb: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a verb answers."""
    connection = connect(host)
    try:
        return said(connection.open(verb, request))
    finally:
        connection.close()


def probe(host: FakeHost, fleet: wire.Fleet = FLEET, **more: Any) -> dict[str, Any]:
    return ask(host, "probe", {"fleet": fleet, "ports": [20000, 20999], **more})[0]


def step(stage: str, kind: str, label: str = "", /, timeout_s: float = 60.0, **args: Any) -> dict[str, Any]:
    return {"id": "", "stage": stage, "kind": kind, "label": label or kind, "args": args, "timeout_s": timeout_s, "change": "c1"}


def transaction(name: str, *steps: dict[str, Any], needs: Iterable[str] = (), deployment: str | None = None) -> dict[str, Any]:
    for number, one in enumerate(steps):
        one["id"] = f"{name}.{number}"
    return {"id": name, "deployment": deployment, "needs": list(needs), "steps": list(steps)}


def run_request(*transactions: dict[str, Any], fleet: wire.Fleet = FLEET, **more: Any) -> dict[str, Any]:
    barriers = {stage: {"silence": "keep", "deadline_s": 30.0} for stage in wire.STAGES}
    request = {
        "wire": wire.VERSION,
        "run": f"r-{uuid.uuid4().hex[:8]}",
        "plan": "p1",
        "fleet": fleet,
        "host": "gpu-01",
        "who": "ada",
        "why": "a test",
        "git_commit": "3f2c1ab",
        "probe": {"fleet": fleet, "ports": [20000, 20999]},
        "transactions": list(transactions),
        "barriers": barriers,
        "secrets": {},
    }
    return {**request, **more}


class Run:
    """A run that was started and followed to its report, with every barrier opened as soon as the host waits there."""

    def __init__(self, host: FakeHost, request: Mapping[str, Any], *, open_stages: Iterable[str] = wire.STAGES) -> None:
        self.host = host
        self.events: list[dict[str, Any]] = []
        channel = connect(host).open("start", request)
        for event in channel.lines():
            self._meet(channel, event, set(open_stages))
        host.settle()

    def _meet(self, channel: FakeChannel, event: dict[str, Any], stages: set[str]) -> None:
        if event["type"] in ("tick", "end"):
            return
        self.events.append(event)
        if event["type"] == "barrier" and event["state"] == "waiting" and event["stage"] in stages:
            channel.send({"open": event["stage"], "data": {}})

    @property
    def report(self) -> dict[str, Any]:
        assert self.events[-1]["type"] == "report", self.events[-1]
        return self.events[-1]

    @property
    def result(self) -> str:
        return str(self.report["result"])

    def state(self, name: str) -> str:
        return str(self.report["transactions"][name]["state"])

    def steps(self, state: str) -> list[str]:
        return [e["step"] for e in self.events if e["type"] == "step" and e["state"] == state]


def unit_text(port: int, extra: str = "") -> str:
    service = f"[Service]\nExecStart=/bin/engine --port {port}\n{extra}"
    return f"{HEADER}[Unit]\nDescription=x\n{service}[Install]\nWantedBy=multi-user.target\n"


def unit_name(deployment: str = "chat", slot: int = 0, digest: str = "aaaa0001") -> str:
    return f"deployer-acme-{deployment}-{slot}-{digest}.service"


def ready_args(port: int, **more: Any) -> dict[str, Any]:
    inference = {"path": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "hi"}]}}
    return {"port": port, "ready_path": "/health", "inference": inference, "deadline_s": 60.0, **more}


def record(deployment: str, revision: int, *resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"deployment": deployment, "revision": revision, "resources": list(resources), "protected": False, **more}


def replica(unit: str, port: int, gpus: Iterable[str] = ()) -> dict[str, Any]:
    _, _, deployment, slot, _ = unit.split("-")
    return {
        "kind": "replica",
        "name": f"{deployment}/{slot}",
        "payload": {"unit": unit, "port": port, "gpus": list(gpus), "slot": 0},
    }


def deployment(
    name: str = "chat", *, port: int = 20000, digest: str = "aaaa0001", revision: int = 1, old: str | None = None, **ready: Any
) -> dict[str, Any]:
    """One replica: its unit written, started, ready, enabled, recorded; an old one stopped first and taken away last."""
    unit = unit_name(name, 0, digest)
    steps = [
        step(
            "switch", "file.write", "arguments", path=f"/etc/deployer/acme/{name}/0-{digest}/args", mode="0600", content="x: 1\n"
        ),
        step("switch", "file.write", "unit", path=f"/etc/systemd/system/{unit}", content=unit_text(port)),
        step("switch", "systemd.reload"),
    ]
    if old:
        steps.append(step("switch", "unit.stop", "stop old", unit=old, timeout_s=30.0, ready=ready_args(port)))
    steps += [
        step("switch", "unit.start", "start", unit=unit),
        step("switch", "unit.ready", "answers", unit=unit, **ready_args(port, **ready)),
        step("finish", "unit.enable", "enable", unit=unit),
    ]
    if old:
        steps += [
            step("finish", "unit.disable", "disable old", unit=old),
            step("finish", "file.remove", "remove old", path=f"/etc/systemd/system/{old}"),
            step("finish", "systemd.reload"),
        ]
    note = record(name, revision, replica(unit, port))
    steps.append(step("finish", "record", "record", deployment=name, record=note))
    return transaction(name, *steps, deployment=name)


#: What a run leaves although it was undone: its own memory, keys, and what a person needs to see why it failed.
_OWN = ("/var/lib/deployer/runs", "/run/deployer", "/proc", "/sys")
_OWN_DIRECTORIES = ("/run", "/var/lib/deployer", "/var/lib/deployer/acme")
_OWN_NAMES = ("failure.json", "secret.key", "probe.key", "fleet.json")


def tree(root: Path) -> dict[str, tuple[str, int, str]]:
    """Path → (kind, mode, content) of everything on the host that a run could change."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = "/" + path.relative_to(root).as_posix()
        if name.startswith(_OWN) or name in _OWN_DIRECTORIES or path.name in _OWN_NAMES:
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = ("link", 0, str(path.readlink()))
        elif path.is_dir():
            found[name] = ("directory", mode, "")
        else:
            found[name] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def marked(host: FakeHost, path: str, kind: str, **more: Any) -> None:
    """A complete artifact."""
    import json

    folder = host.path(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / wire.MARKER).write_text(json.dumps({"kind": kind, "name": folder.name, "digest": "d", **more}), encoding="utf-8")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
