"""What the fault matrix found once: each of these left a host in a state that the next apply could not mend."""

import errno
from typing import Any

import pytest

from deployer.agent import runs, wire
from deployer.transport.fake import FakeHost
from tests.agent.support import (
    FLEET,
    Run,
    connect,
    deployment,
    probe,
    ready_args,
    record,
    replica,
    run_request,
    said,
    sha256,
    step,
    transaction,
    tree,
    unit_name,
)


def killed(host: FakeHost, *transactions: dict[str, Any]) -> str:
    """A run of these that dies where the host's faults say; its id."""
    request = run_request(*transactions)
    channel = connect(host).open("start", request)
    for event in channel.lines():
        if event["type"] == "barrier" and event["state"] == "waiting":
            channel.send({"open": event["stage"], "data": {}})
        if event["type"] == "report":
            assert event["result"] == "lost"
    host.settle()
    host.faults.clear()
    return str(request["run"])


def undo(host: FakeHost, run: str) -> Run:
    return Run(host, run_request(transaction("run:x", step("artifacts", "run.undo", run=run))))


def test_what_was_recorded_stands_though_its_run_died_before_it_could_say_so(host: FakeHost) -> None:
    """The plan that undoes the run is made on the record: were it undone, nobody would bring it back."""
    host.faults.cut_power("record", when="after")
    run = killed(host, deployment())
    assert [one["run"] for one in probe(host)["unfinished"]] == [run]
    assert undo(host, run).result == "done"
    seen = probe(host)
    assert seen["unfinished"] == []
    assert seen["records"]["chat"]["revision"] == 1
    assert host.running() == [unit_name()]


def test_what_was_forgotten_is_tidied_up_when_its_run_died_before(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    history = "/var/lib/deployer/acme/chat"
    gone = transaction(
        "chat",
        step("finish", "unit.stop", unit=unit_name(), timeout_s=30.0, ready=ready_args(20000)),
        step("finish", "record", deployment="chat", record=None),
        step("finish", "tree.remove", path=history),
        deployment="chat",
    )
    host.faults.cut_power("tree.remove")
    run = killed(host, gone)
    assert host.path(history).is_dir()
    assert undo(host, run).result == "done"
    seen = probe(host)
    assert (seen["unfinished"], seen["records"], host.running()) == ([], {}, [])
    assert not host.path(history).exists()


def test_what_was_not_recorded_yet_is_undone(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    host.faults.cut_power("record")
    run = killed(host, deployment(digest="aaaa0002", revision=2, old=unit_name()))
    assert undo(host, run).result == "done"
    assert tree(host.root) == before
    assert host.running() == [unit_name()]


def test_a_blob_that_rotted_on_the_host_is_brought_anew(host: FakeHost) -> None:
    data = b"weights"
    blob = {"sha256": sha256(data), "size": len(data)}
    file = {"path": "model.bin", "size": len(data), "digest": "sha256:" + sha256(data)}
    model = transaction("m", step("artifacts", "model.push", path="/var/lib/deployer/models/x/1", digest="d", files=[file]))

    def put() -> list[dict[str, Any]]:
        channel = connect(host).open("put", {"fleet": FLEET, "blobs": [blob]})
        channel.send_bytes(data)
        return said(channel)

    put()
    host.path(f"{wire.ROOT_BLOBS}/{sha256(data)}").write_bytes(b"wEights")
    run = Run(host, run_request(model))
    assert run.report["transactions"]["m"]["cause"] == "damaged or changed file"
    assert "brought anew" in run.report["transactions"]["m"]["hint"]
    assert [line["type"] for line in put()] == ["want", "stored"]
    assert Run(host, run_request(model)).result == "done"


def test_a_disk_that_is_full_to_the_end_does_not_turn_the_report_into_a_lie(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Run(host, run_request(deployment()))
    before = tree(host.root)
    host.faults.fail("unit.enable")
    monkeypatch.setattr(runs, "settle", full)
    run = Run(host, run_request(deployment(digest="aaaa0002", revision=2, old=unit_name())))
    assert (run.result, run.state("chat")) == ("rolled-back", "undone")
    assert tree(host.root) == before
    assert probe(host)["unfinished"] == []


def test_bytes_are_not_awaited_from_a_controller_that_is_gone(host: FakeHost) -> None:
    wanted = step("artifacts", "blob.receive", blobs=[{"sha256": sha256(b"x"), "size": 1}])
    request = run_request(transaction("m", wanted))
    request["barriers"]["artifacts"]["deadline_s"] = 0.2
    run = Run(host, request)
    assert run.state("m") == "undone"
    assert "the controller is gone" in run.report["transactions"]["m"]["message"]


def test_an_inference_that_hangs_is_not_awaited_beyond_the_deadline(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[float] = []

    def hangs(method: str, url: str, headers: Any = None, body: Any = None, timeout: float = 10.0) -> tuple[int, bytes]:
        if method == "GET":
            return 200, b""
        patience.append(timeout)
        host.machine.sleep(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(host.machine, "http", hangs)
    run = Run(host, run_request(deployment(deadline_s=12.0)))
    assert run.state("chat") == "undone"
    assert patience[0] <= 12.0
    assert sum(patience) <= 13.5


def test_records_name_their_run(host: FakeHost) -> None:
    """By which a run that died is known to have come to its end."""
    note = record("chat", 1, replica(unit_name(), 20000))
    request = run_request(transaction("chat", step("finish", "record", deployment="chat", record=note), deployment="chat"))
    Run(host, request)
    assert probe(host)["records"]["chat"]["run"] == request["run"]
