"""The command line over fake hosts that run the real agent. Used by the tests of bad input and of JSON shapes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.main import main
from deployer.transport.fake import FakeHost, FakeTransport
from tests.cli.conftest import Done

Tree = dict[str, bytes]


def tree(root: Path, *below: str) -> Tree:
    """Every file below a folder with its content; `below`: only these."""
    roots = [root / name for name in below] or [root]
    files = [p for folder in roots for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink()]
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


@dataclass
class Bench:
    """`deployer WORDS` in this process, against `hosts`."""

    root: Path
    hosts: dict[str, FakeHost]
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Done:
        code = main([*words, "-C", str(self.root)])
        said = self.capture.readouterr()
        return Done(code, said.out, said.err)

    def json(self, *words: str) -> Any:
        done = self(*words, "--json")
        assert done.out, done.err
        return json.loads(done.out)

    def edit(self, old: str, new: str, file: str = "deployments/chat.yaml") -> None:
        path = self.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def each(self, act: Callable[[FakeHost], object]) -> None:
        for host in self.hosts.values():
            act(host)

    def world(self) -> dict[str, Tree]:
        """Everything that stands on the hosts."""
        return {name: tree(host.root) for name, host in self.hosts.items()}

    def serving(self) -> dict[str, Any]:
        """What runs and what a boot would bring back, on each host."""
        return {
            name: (host.running(), tree(host.root, "etc/systemd/system", "etc/deployer")) for name, host in self.hosts.items()
        }


@pytest.fixture
def bench(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    hosts = {name: FakeHost(name, tmp_path / "machines") for name in ("h1", "h2")}
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: FakeTransport(hosts))
    monkeypatch.chdir(fleet)
    return Bench(fleet, hosts, capsys)
