"""A small fleet on simulated hosts for the random walk: its files, its hosts with their faults, and what must hold after each
step whatever was done. The agent, the planner and the controller are the real ones. Used by test_walk.py.
"""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.execute.events import Report
from deployer.execute.hostrun import Patience
from deployer.plan.model import Plan
from deployer.plan.steps import transactions
from deployer.plan.world import Options
from deployer.state.observed import Reached
from deployer.transport.fake import FakeHost, FakeTransport
from tests.cli.conftest import relock

HOSTS = ("h1", "h2")
NAMES = ("ant", "bee", "cow")
#: Not ours, each in a place where ours are too.
FOREIGN = {
    "/etc/systemd/system/deployer-acme-theirs-0-0000.service": "[Service]\nExecStart=/bin/theirs\n",
    "/etc/systemd/system/theirs.service": "[Service]\nExecStart=/bin/theirs\n",
    "/opt/deployer/engines/theirs/file": "theirs",
    "/var/lib/deployer/models/theirs/1/file": "theirs",
    "/etc/deployer-theirs": "theirs",
}
QUICK = Patience(first_s=0.01, most_s=0.01, total_s=5.0, wait=threading.Event().wait)


@dataclass(frozen=True)
class Wish:
    """What a deployment's file says."""

    host: str
    length: int = 512
    strategy: str = "auto"
    replicas: int = 1

    def text(self, name: str) -> str:
        return (
            f"name: {name}\nmodel: {{path: models/tiny}}\nengine: {{ctranslate2: {{max_model_len: {self.length}}}}}\n"
            f"endpoint: {{open: true}}\nplacement: {{hosts: [{self.host}]}}\nreplicas: {self.replicas}\n"
            f"rollout: {{strategy: {self.strategy}, min_healthy: 0s}}\n"
        )


@dataclass
class Walk:
    """`wishes` are the files; `revisions` the highest revision that was seen of each deployment since it was made."""

    root: Path
    hosts: dict[str, FakeHost]
    wishes: dict[str, Wish] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)  # "stopped" or "rolled-back"

    # the files

    def write(self, name: str, wish: Wish | None) -> None:
        path = self.root / f"deployments/{name}.yaml"
        if wish is None:
            path.unlink()
            del self.wishes[name]
            self.gone.add(name)  # a hold stays with the name until nothing of it is left
        else:
            path.write_text(wish.text(name))
            self.wishes[name] = wish
            self.gone.discard(name)

    # the hosts

    @contextlib.contextmanager
    def fleet(self) -> Iterator[Fleet]:
        with Fleet.load(self.root) as opened:
            yield opened

    def plan(self, fleet: Fleet) -> Planned:
        return fleet.plan(Options(prune_approved=tuple(sorted(self.gone)), allow=True))

    def apply(self, planned: Planned) -> Report:
        report = planned.apply(patience=QUICK)
        for host in self.hosts.values():
            host.settle()
        return report

    def mend(self) -> None:
        for host in self.hosts.values():
            host.faults.clear()
            host.mend_engines()
            host.heal()

    def serving(self) -> dict[str, set[tuple[str, str]]]:
        """Deployment → its units that answer, each with its host."""
        found: dict[str, set[tuple[str, str]]] = {}
        for host in self.hosts.values():
            for unit in host.machine.units.known.values():
                parts = unit.name.split("-")
                if unit.answers and unit.gateway is None and parts[:2] == ["deployer", "acme"] and parts[2] in NAMES:
                    found.setdefault(parts[2], set()).add((host.name, unit.name))
        return found

    # what must hold

    def check(self) -> None:
        """Whatever was done."""
        for host in self.hosts.values():
            for path, text in FOREIGN.items():
                assert host.path(path).read_text() == text, f"{host.name}: {path} is not ours and was touched"
        with self.fleet() as fleet:
            observed = fleet.probe()
        answered = {name: reached.probe for name, reached in observed.items() if isinstance(reached, Reached)}
        for name, probe in answered.items():
            assert probe["lock"] is None, f"{name}: the lock is held by {probe['lock']}"
        if len(answered) == len(self.hosts):
            self._revisions([probe["records"] for probe in answered.values()])

    def _revisions(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Of each deployment the highest on any host: it never goes back while the deployment is there."""
        now = {
            name: max(one[name]["revision"] for one in records if name in one) for one in records for name in one if name in NAMES
        }
        for name, number in now.items():
            assert number >= self.revisions.get(name, 0), f"{name} went back to revision {number}"
        self.revisions = now

    def converges(self) -> None:
        """The next apply makes what the files say, and then nothing is left to do."""
        with self.fleet() as fleet:
            report = self.apply(self.plan(fleet))
            assert report.exit_code == 0, report.json()
            rest = self.plan(fleet).plan
            assert rest.changes == (), [(c.address, c.actions, c.reason) for c in rest.changes]
            assert rest.drift == ()
            self.claims(rest)
        serving = self.serving()
        for name, wish in self.wishes.items():
            if name not in self.held:
                assert len(serving.get(name, ())) == wish.replicas, f"{name}: {serving}"
                assert {host for host, _ in serving[name]} == {wish.host}
        assert set(serving) == {name for name in self.wishes if self.held.get(name) != "stopped"}
        for name in self.gone:
            self.held.pop(name, None)
        self.gone.clear()

    def claims(self, plan: Plan) -> None:
        """No two slots on one port or one GPU of a host."""
        seen: set[tuple[str, object]] = set()
        for slots in plan.roster["slots"].values():
            for slot in slots.values():
                for claim in [(slot["host"], slot["port"]), *[(slot["host"], gpu) for gpu in slot["gpus"]]]:
                    assert claim not in seen, f"two slots claim {claim}"
                    seen.add(claim)

    def steps(self, plan: Plan) -> list[tuple[str, str, str]]:
        """(host, kind, label) of every step of a plan."""
        found = []
        for host in self.hosts:
            if plan.hosts[host].reachable:
                found += [(host, s["kind"], s["label"]) for t in transactions(plan, host) for s in t["steps"]]
        return found


def begin(stack: contextlib.ExitStack) -> Walk:
    """A fleet without deployments on two hosts; all is gone when the stack is closed."""
    base = Path(tempfile.mkdtemp(prefix="walk-"))
    stack.callback(shutil.rmtree, base, ignore_errors=True)
    root = base / "acme"
    for folder in ("hosts", "deployments", "models/tiny"):
        (root / folder).mkdir(parents=True)
    (root / "deployer.yaml").write_text('id: "0123abcd"\nname: acme\ngateway: {insecure: true}\n')
    for number, name in enumerate(HOSTS):
        (root / f"hosts/{name}.yaml").write_text(f"name: {name}\naddress: 192.0.2.{number + 1}\n")
    uv = base / "uv"
    uv.write_text("#!/bin/sh\necho uv 0.13.8\n")
    uv.chmod(0o755)
    for place in ("deployer.lock.tools.uv_path", "deployer.app.locking.uv_path"):
        stack.enter_context(mock.patch(place, return_value=uv))
    config = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8}'
    (root / "models/tiny/config.json").write_text(config)
    (root / "models/tiny/tokenizer.json").write_text("{}")
    (root / "models/tiny/model.safetensors").write_bytes(b"\0" * 64)
    (root / "deployments/ant.yaml").write_text(Wish("h1").text("ant"))
    relock(root)
    (root / "deployments/ant.yaml").unlink()
    hosts = {name: FakeHost(name, base / "machines") for name in HOSTS}
    for host in hosts.values():
        for path, text in FOREIGN.items():
            host.path(path).parent.mkdir(parents=True, exist_ok=True)
            host.path(path).write_text(text)
    stack.enter_context(mock.patch("deployer.app.fleet.open_transport", return_value=FakeTransport(hosts)))
    return Walk(root, hosts)
