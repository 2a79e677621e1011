"""A conversion is done once, and the other hosts copy it: over simulated hosts with the real agent."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer.app.fleet import Fleet
from deployer.app.operation import Operation
from deployer.app.planned import Planned
from deployer.errors import Unreachable
from deployer.execute.copying import Gift, _Stream
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control
from deployer.execute.hostrun import Patience
from deployer.transport.fake import FakeHost, FakeTransport
from tests.cli.conftest import DEPLOYMENT
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]
QUICK = Patience(first_s=0.01, most_s=0.01, total_s=0.2, wait=threading.Event().wait)
#: Some pieces of what travels at once, and a bit.
BIG = bytes(range(256)) * 4096 + b"end"


@pytest.fixture
def three(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """h1, h2 and h3 want the same converted model."""
    (bench.root / "hosts/h1.yaml").write_text("name: h1\naddress: 192.0.2.1\ngateway: true\n")
    (bench.root / "hosts/h3.yaml").write_text("name: h3\naddress: 192.0.2.3\n")
    (bench.root / "deployments/chat.yaml").write_text(DEPLOYMENT + "replicas: 3\n")
    bench.hosts["h3"] = FakeHost("h3", tmp_path / "machines")
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: FakeTransport(bench.hosts))
    for host in bench.hosts.values():
        host.machine.converted = BIG
    return bench


def applied(bench: Bench, listen: Callable[[Event], None] = lambda event: None, control: Control | None = None) -> Report:
    with Fleet.load(bench.root) as fleet:
        report = fleet.plan().apply(patience=QUICK, on_event=listen, control=control)
    bench.each(lambda host: host.settle())
    return report


def planned(bench: Bench) -> Planned:
    with Fleet.load(bench.root) as fleet:
        return fleet.plan()


def conversions(bench: Bench) -> list[str]:
    """Hosts that ran a converter, once for each time."""
    return [name for name, host in bench.hosts.items() for argv in host.machine.ran if "ct2-transformers-converter" in argv[0]]


def converters(bench: Bench) -> list[str]:
    """Hosts that have an environment for it."""
    return [name for name, host in bench.hosts.items() if list(host.path("/opt/deployer/engines").glob("ctranslate2-convert-*"))]


def models(host: FakeHost) -> list[bytes]:
    return [path.read_bytes() for path in host.path("/var/lib/deployer/models").glob("*/*/model.bin")]


def stage(host: FakeHost) -> str | None:
    """Where its latest run stands."""
    journals = host.path("/var/lib/deployer/runs").glob("*/journal.jsonl")
    lines = [json.loads(line) for path in sorted(journals) for line in path.read_text().splitlines()]
    return next((str(line["stage"]) for line in reversed(lines) if line["type"] == "barrier"), None)


def parts(host: FakeHost) -> list[int]:
    """Bytes of what came in part."""
    return [path.stat().st_size for path in host.path("/var/lib/deployer/blobs").glob("*.part")]


def until(reached: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if reached():
            return
        threading.Event().wait(0.002)
    raise AssertionError("it never came so far")


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From where on bytes of model.bin were asked for, each time."""
    offsets: list[int] = []
    begin = Gift.begin

    def noted(self: Gift, connection: Any, name: str, offset: int) -> Any:
        offsets.extend([offset] if name == "model.bin" else [])
        return begin(self, connection, name, offset)

    monkeypatch.setattr(Gift, "begin", noted)
    return offsets


def test_one_host_converts_and_the_others_have_its_bytes(three: Bench) -> None:
    said: list[Event] = []
    report = applied(three, said.append)
    assert report.exit_code == 0, report
    assert conversions(three) == ["h1"]
    assert converters(three) == ["h1"]
    assert [models(host) for host in three.hosts.values()] == [[BIG]] * 3
    assert {e.host for e in said if e.type == "transfer" and str(e.label).startswith("copying from h1")} == {"h2", "h3"}
    told = [e for e in said if e.type == "step" and e.host == "h2" and str(e.transaction).startswith("model:")]
    progress = [e.data for e in told if e.data.get("phase") == "receiving"]
    assert progress
    assert {data["total"] for data in progress} == {len(BIG) + len(b"{}")}
    assert planned(three).plan.changes == ()


def test_a_host_that_comes_later_copies_from_one_that_is_not_touched(three: Bench) -> None:
    (three.root / "deployments/chat.yaml").write_text(DEPLOYMENT + "replicas: 2\n")
    assert applied(three).exit_code == 0
    (three.root / "deployments/chat.yaml").write_text(DEPLOYMENT + "replicas: 3\n")
    plan = planned(three).plan
    assert [c.after.payload["from"] for c in plan.changes if c.after and c.after.payload.get("method") == "copy"] == ["h1"]
    three.hosts["h1"].machine.ran.clear()
    assert applied(three).exit_code == 0
    assert conversions(three) == []
    assert models(three.hosts["h3"]) == [BIG]


def test_when_the_conversion_fails_those_who_wait_for_it_say_why_and_change_nothing(three: Bench) -> None:
    three.hosts["h1"].faults.fail("model.convert", times=1)
    report = applied(three)
    assert report.exit_code == 5
    said = {f.host: f.message for f in report.failures if f.deployment is None}
    assert "a simulated failure" in str(said["h1"])
    for name in ("h2", "h3"):
        assert said[name] == "h1 could not give it: it failed there: a simulated failure"
        assert three.hosts[name].running() == [u for u in three.hosts[name].running() if "gateway" in u]
        assert not models(three.hosts[name])
    assert applied(three).exit_code == 0  # and it goes on from there, on the same host
    assert conversions(three) == ["h1"]


def test_a_run_that_is_killed_while_it_converts_is_said_on_the_other_hosts(three: Bench) -> None:
    three.hosts["h1"].faults.kill("model.convert")
    report = applied(three)
    messages = [f.message for f in report.failures if f.host == "h2" and f.deployment is None]
    assert messages == ["h1 could not give it: it failed there: the run on the host was killed"]


def test_a_giver_that_breaks_off_is_asked_again_for_the_rest(three: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = watched(monkeypatch)
    three.hosts["h1"].faults.cut_after_bytes = 300_000
    assert applied(three).exit_code == 0
    assert sorted(offsets)[:2] == [0, 0]
    assert any(0 < offset < len(BIG) for offset in offsets)
    assert [models(host) for host in three.hosts.values()] == [[BIG]] * 3


def test_a_receiver_that_breaks_off_goes_on_where_it_was(three: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = watched(monkeypatch)
    read = _Stream.read
    broken: list[FakeHost] = []

    def read_once_more(self: _Stream, size: int = -1) -> bytes:
        if self.tell() and not broken:
            until(lambda: any(any(parts(host)) for host in three.hosts.values()))  # what was sent lies there
            broken.extend(host for host in three.hosts.values() if any(parts(host)))
            for host in broken:
                host.drop()
        return read(self, size)

    monkeypatch.setattr(_Stream, "read", read_once_more)
    report = applied(three)
    assert report.exit_code == 0, report
    assert broken
    assert any(0 < offset < len(BIG) for offset in offsets)
    assert [models(host) for host in three.hosts.values()] == [[BIG]] * 3


def test_a_copy_that_was_stopped_goes_on_with_the_next_apply(three: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    three.hosts["h1"].faults.cut_after_bytes = 400_000
    control, begin = Control(), Gift.begin

    def stopped(self: Gift, connection: Any, name: str, offset: int) -> Any:
        if not offset and not control.presses:
            return begin(self, connection, name, offset)
        if not control.presses:  # a second time would leave the runs to the hosts
            until(lambda: any(size for name in ("h2", "h3") for size in parts(three.hosts[name])))
            control.interrupt()
        raise Unreachable("gone", where="h1")

    monkeypatch.setattr(Gift, "begin", stopped)
    assert applied(three, control=control).exit_code != 0
    assert [models(host) for host in three.hosts.values()] != [[BIG]] * 3
    left = [size for name in ("h2", "h3") for size in parts(three.hosts[name]) if size]
    assert left
    assert max(left) < len(BIG)
    monkeypatch.setattr(Gift, "begin", begin)
    offsets = watched(monkeypatch)
    assert applied(three).exit_code == 0
    assert set(left) <= set(offsets)
    assert conversions(three) == ["h1"]
    assert [models(host) for host in three.hosts.values()] == [[BIG]] * 3


def test_bytes_that_are_not_what_the_giver_noted_are_thrown_away(three: Bench) -> None:
    hold = three.hosts["h2"].faults.hold("model.copy")
    done: list[Report] = []
    thread = threading.Thread(target=lambda: done.append(applied(three)))
    thread.start()
    assert hold.reached.wait(20)
    (made,) = three.hosts["h1"].path("/var/lib/deployer/models").glob("*/*/model.bin")
    made.write_bytes(b"x" * len(BIG))
    hold.release()
    thread.join(30)
    messages = [str(f.message) for f in done[0].failures if f.host == "h2" and f.deployment is None]
    assert len(messages) == 1
    assert messages[0].startswith("what came from h1 cannot be kept: what arrived for ")
    assert "has the digest" in messages[0]
    assert not models(three.hosts["h2"])


def test_who_attaches_brings_the_copies_too(three: Bench) -> None:
    hold = three.hosts["h1"].faults.hold("model.convert")
    with Fleet.load(three.root) as fleet:
        operation = Operation.of_plan(fleet.plan())
        operation.begin()
        assert hold.reached.wait(20)
        until(lambda: all(stage(three.hosts[name]) == "copies" for name in ("h2", "h3")))  # they have all else
        replicas = {r["units"][0]["host"]: r for r in three.json("status")["deployments"][0]["replicas"]}
        assert (replicas["h1"]["state"], replicas["h1"]["phase"]) == ("optimizing", "converting")
        assert replicas["h2"]["state"] == "downloading"
        operation.detach()
        assert operation.wait(20)
    hold.release()
    done = three("attach")
    assert done.code == 0, done.err
    assert conversions(three) == ["h1"]
    assert [models(host) for host in three.hosts.values()] == [[BIG]] * 3
