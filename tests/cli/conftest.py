"""A fleet on disk with a lock, hosts that live in this process, and the command run inside it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deployer.app import checking
from deployer.app.locking import need
from deployer.cli.main import main
from deployer.execute.events import Report
from deployer.execute.follow import Follower
from deployer.execute.reporting import make_report
from deployer.lock.file import write_lock
from deployer.lock.folder import digest_folders
from deployer.lock.tools import uv_tool
from deployer.plan.model import Plan
from deployer.state.canonical import text_digest
from deployer.state.locked import Locked, LockedEnvironment, LockedTarget
from tests.execute.reports import says_why
from tests.execute.stub import Host, StubTransport
from tests.plan.worlds import probe

TARGET = "3.11/x86_64/glibc-2.36"
DEPLOYMENT = """\
name: chat
model: {path: models/tiny}
engine:
  ctranslate2: {}
tags: [prod]
endpoint: {open: true}
"""


@pytest.fixture(autouse=True)
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test makes go wrong: the report says why. Of a host that was told to stop the person who did it knows."""
    silent: list[Report] = []

    def looked_at(run: str, plan: Plan, follower: Follower, *more: Any) -> Report:
        report = make_report(run, plan, follower, *more)
        stopped = {h for h in report.hosts if report.hosts[h].result == "stopped" and follower.conductor.told_to_stop(h)}
        if not says_why(replace(report, hosts={h: told for h, told in report.hosts.items() if h not in stopped})):
            silent.append(report)
        return report

    for place in ("apply", "attach"):
        monkeypatch.setattr(f"deployer.execute.{place}.make_report", looked_at)
    yield
    assert not silent


def host(name: str, **more: Any) -> Host:
    found = probe(name, memory_total=16 << 30, memory_available=8 << 30, secret_key="ab" * 32, **more)
    return Host(name, probe=dict(found))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_COLOR", "1")
    root = tmp_path / "acme"
    for folder in ("hosts", "deployments", "models/tiny"):
        (root / folder).mkdir(parents=True)
    (root / "deployer.yaml").write_text('id: "0123abcd"\nname: acme\ngateway: {insecure: true}\n')
    for name in ("h1", "h2"):
        (root / f"hosts/{name}.yaml").write_text(f"name: {name}\naddress: 192.0.2.{name[1]}\n")
    (root / "deployments/chat.yaml").write_text(DEPLOYMENT)
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho uv 0.13.8\n")
    uv.chmod(0o755)
    for place in ("deployer.lock.tools.uv_path", "deployer.app.locking.uv_path"):
        monkeypatch.setattr(place, lambda: uv)
    config = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8}'
    (root / "models/tiny/config.json").write_text(config)
    (root / "models/tiny/tokenizer.json").write_text("{}")
    (root / "models/tiny/model.safetensors").write_bytes(b"\0" * 64)
    relock(root)
    return root


def relock(root: Path) -> None:
    """Writes the lock that `deployer lock` would, without asking any index."""
    wanted = need(checking.load(root))
    environments = {}
    for one in wanted.environments:
        text = "".join(f"{r} --hash=sha256:{'0' * 64}\n" for r in one.requirements)
        target = LockedTarget(TARGET, f"locks/{one.name}.3.11-x86_64-glibc-2.36.txt", text_digest(text), 1, text)
        environments[one.name] = LockedEnvironment(one.name, one.requirements, one.exclude, one.asked, {TARGET: target})
    models = digest_folders(root, [found.need for found in wanted.models])
    tools = {"uv": uv_tool()}
    write_lock(root, Locked(models, environments, tools))


@dataclass
class Done:
    code: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs `deployer WORDS -C FLEET` in this process; `hosts` are what it reaches."""

    root: Path
    hosts: dict[str, Host]
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Done:
        code = main([*words, "-C", str(self.root)])
        said = self.capture.readouterr()
        return Done(code, said.out, said.err)


@pytest.fixture
def run(fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    hosts = {"h1": host("h1"), "h2": host("h2")}
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: StubTransport(hosts))
    monkeypatch.setattr("deployer.app.files.Files.check", lambda *_: None)
    monkeypatch.setattr("deployer.app.files.Files.open", _zeros)
    return Shell(fleet, hosts, capsys)


def _zeros(_: object, blob: dict[str, Any]) -> Any:
    from io import BytesIO

    return BytesIO(b"\0" * int(blob["size"]))


Run = Callable[..., Done]
