"""A run: stages behind barriers, undo on failure, stop, silence, crash."""

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deployer.agent import lock, wire
from deployer.errors import DeployerError, Unreachable
from deployer.transport.fake import FakeHost
from tests.agent.support import (
    FLEET,
    OTHER,
    Run,
    ask,
    connect,
    deployment,
    probe,
    ready_args,
    run_request,
    said,
    step,
    transaction,
    tree,
    unit_name,
    unit_text,
)


def test_a_deployment_comes_up_is_enabled_and_recorded(host: FakeHost) -> None:
    run = Run(host, run_request(deployment()))
    assert run.result == "done"
    seen = probe(host)
    assert [(u["name"], u["active"], u["enabled"]) for u in seen["units"]] == [(unit_name(), "active", True)]
    assert seen["records"]["chat"]["revision"] == 1
    assert seen["records"]["chat"]["who"] == "ada"
    assert seen["unfinished"] == []
    assert seen["lock"] is None


def test_stages_wait_for_their_barriers_in_order(host: FakeHost) -> None:
    run = Run(host, run_request(deployment()))
    barriers = [(e["stage"], e["state"]) for e in run.events if e["type"] == "barrier"]
    assert barriers == [(s, w) for s in ("artifacts", "switch", "finish") for w in ("waiting", "open")]
    switch_open = next(i for i, e in enumerate(run.events) if e.get("stage") == "switch" and e["state"] == "open")
    first_step = next(i for i, e in enumerate(run.events) if e["type"] == "step")
    assert first_step > switch_open


def test_a_failed_readiness_puts_the_old_one_back_and_says_why(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    host.break_engine("aaaa0002", "INFO loading", "ERROR engine needs 3.50 GiB of KV cache, 2.00 there")
    failures = [
        {"regex": r"needs (?P<need>\S+) GiB", "cause": "KV cache too small: {need} GiB", "hint": "engine: less than {need}"}
    ]
    run = Run(host, run_request(deployment(digest="aaaa0002", revision=2, old=unit_name(), failures=failures)))
    told = run.report["transactions"]["chat"]
    assert run.result == "rolled-back"
    assert told["state"] == "undone"
    assert told["cause"] == "KV cache too small: 3.50 GiB"
    assert told["hint"] == "engine: less than 3.50"
    assert "ERROR engine needs 3.50 GiB of KV cache, 2.00 there" in told["log"]
    assert host.running() == [unit_name()]
    assert tree(host.root) == before
    kept = probe(host)["failures"]["chat"]
    assert kept["cause"] == told["cause"]
    assert kept["revision"] == 2


def test_the_failure_is_forgotten_once_a_later_revision_is_up(host: FakeHost) -> None:
    host.break_engine("aaaa0001", "ERROR no")
    Run(host, run_request(deployment()))
    assert "chat" in probe(host)["failures"]
    host.mend_engines()
    Run(host, run_request(deployment()))
    assert probe(host)["failures"] == {}


def test_what_needs_a_failed_transaction_is_skipped_and_the_rest_goes_on(host: FakeHost) -> None:
    host.faults.fail("file.write", "one")
    one = transaction("one", step("switch", "file.write", "one", path="/etc/deployer/acme/one", content="1"))
    two = transaction("two", step("switch", "file.write", "two", path="/etc/deployer/acme/two", content="2"), needs=["one"])
    three = transaction("three", step("switch", "file.write", "three", path="/etc/deployer/acme/three", content="3"))
    run = Run(host, run_request(one, two, three))
    assert [run.state(name) for name in ("one", "two", "three")] == ["undone", "skipped", "done"]
    assert "needs one" in run.report["transactions"]["two"]["message"]
    assert sorted(p.name for p in host.path("/etc/deployer/acme").iterdir()) == ["three"]


def test_what_had_built_on_a_failed_transaction_is_undone_with_it(host: FakeHost) -> None:
    host.faults.fail("file.write", "late")
    one = transaction(
        "one",
        step("artifacts", "file.write", "early", path="/etc/deployer/acme/early", content="1"),
        step("finish", "file.write", "late", path="/etc/deployer/acme/late", content="1"),
    )
    two = transaction("two", step("switch", "file.write", "two", path="/etc/deployer/acme/two", content="2"), needs=["one"])
    before = tree(host.root)
    run = Run(host, run_request(one, two))
    assert (run.state("one"), run.state("two")) == ("undone", "undone")
    assert tree(host.root) == before


def test_an_undo_that_fails_is_said_and_the_run_stays_unfinished(host: FakeHost) -> None:
    host.faults.fail("unit.ready")
    host.faults.fail("file.write", "unit", when="undo")
    run = Run(host, run_request(deployment()))
    assert run.result == "failed"
    assert run.state("chat") == "undo-failed"
    assert "could not be undone" in run.report["transactions"]["chat"]["message"]
    assert [u["deployments"] for u in probe(host)["unfinished"]] == [["chat"]]


def test_a_second_run_is_told_who_holds_the_lock(host: FakeHost) -> None:
    hold = host.faults.hold("unit.start")
    first = connect(host).open("start", run_request(deployment()))
    lines = first.lines()
    _open_until(lines, first, hold.reached)
    second = _follow(host, run_request(deployment("embed")))
    assert second[-2]["type"] == "refused"
    assert second[-2]["reason"] == "lock"
    assert second[-2]["holder"]["who"] == "ada"
    assert second[-2]["holder"]["doing"] == "start"
    assert second[-1]["result"] == "locked"
    assert probe(host)["lock"]["who"] == "ada"
    hold.release()
    first.send({"stop": True})
    assert list(lines)[-2]["type"] == "report"
    assert probe(host)["lock"] is None


def _follow(host: FakeHost, request: dict[str, Any]) -> list[dict[str, Any]]:
    return said(connect(host).open("start", request))


def _open_until(lines: Any, channel: Any, reached: threading.Event) -> None:
    """Opens barriers until a held step is reached."""
    for event in lines:
        if event["type"] == "barrier" and event["state"] == "waiting":
            channel.send({"open": event["stage"]})
        if event["type"] == "step" and event["state"] == "start" and event["label"] == "start":
            assert reached.wait(10)
            return


def test_a_moved_host_refuses_a_stale_plan_and_says_what_moved(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    planned = probe(host)["fingerprint"]
    host.path(f"/etc/systemd/system/{unit_name()}").write_text(unit_text(20001), encoding="utf-8")
    before = tree(host.root)
    run = Run(host, run_request(deployment("embed", port=20002), fingerprint=planned))
    assert run.result == "stale"
    assert "the fleet's files" in next(e["detail"] for e in run.events if e["type"] == "refused")
    assert tree(host.root) == before


def test_the_same_world_is_not_stale(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    planned = probe(host)["fingerprint"]
    assert Run(host, run_request(deployment("embed", port=20002), fingerprint=planned)).result == "done"


def test_the_name_of_another_fleet_is_refused(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    impostor: wire.Fleet = {"id": "deadbeef", "name": "acme"}
    assert probe(host, impostor)["name_conflict"] == FLEET["id"]
    run = Run(host, run_request(deployment(), fleet=impostor))
    assert run.result == "stale"
    assert "another fleet" in run.report["transactions"]["chat"]["message"]


def test_silence_at_a_barrier_that_keeps_leaves_an_unfinished_run(host: FakeHost) -> None:
    request = run_request(deployment())
    request["barriers"]["finish"]["deadline_s"] = 0.2
    run = Run(host, request, open_stages=("artifacts", "switch", "gateway"))
    assert run.result == "stopped"
    assert run.state("chat") == "kept"
    assert host.running() == [unit_name()]
    left = probe(host)["unfinished"]
    assert [(u["run"], u["stage"], u["deployments"], u["alive"]) for u in left] == [(request["run"], "finish", ["chat"], False)]


def test_silence_at_a_barrier_that_undoes_leaves_nothing(host: FakeHost) -> None:
    before = tree(host.root)
    request = run_request(deployment())
    request["barriers"]["finish"] = {"silence": "undo", "deadline_s": 0.2}
    run = Run(host, request, open_stages=("artifacts", "switch"))
    assert (run.result, run.state("chat")) == ("stopped", "undone")
    assert tree(host.root) == before
    assert probe(host)["unfinished"] == []


def test_a_barrier_waits_as_long_as_the_controller_gives_a_word(host: FakeHost) -> None:
    request = run_request(deployment())
    request["barriers"]["switch"] = {"silence": "keep", "deadline_s": 0.4}
    channel = connect(host).open("start", request)
    lines = channel.lines()
    for event in lines:
        if event["type"] == "barrier" and event["state"] == "waiting":
            if event["stage"] == "switch":
                until = time.monotonic() + 1.2  # three deadlines: another host takes its time
                while time.monotonic() < until:
                    channel.send({"here": True})
                    threading.Event().wait(0.05)
            channel.send({"open": event["stage"]})
        if event["type"] == "report":
            break
    assert event["result"] == "done"


def test_stop_undoes_what_is_begun_and_keeps_whole_artifacts(host: FakeHost) -> None:
    before = tree(host.root)
    artifact = transaction("tool:x", step("artifacts", "file.write", "tool", path="/etc/deployer/acme/tool", content="1"))
    hold = host.faults.hold("unit.start")
    channel = connect(host).open("start", run_request(artifact, deployment()))
    lines = channel.lines()
    _open_until(lines, channel, hold.reached)
    channel.send({"stop": True})
    _wait_for(host, "stop")
    hold.release()
    report = list(lines)[-2]
    assert report["result"] == "stopped"
    assert report["transactions"]["chat"]["state"] == "undone"
    assert report["transactions"]["tool:x"]["state"] == "done"
    left = {path for path, what in tree(host.root).items() if before.get(path) != what}
    assert left == {"/etc/deployer", "/etc/deployer/acme", "/etc/deployer/acme/tool"}
    assert host.running() == []


def _wait_for(host: FakeHost, name: str) -> None:
    """Until the word has reached the run's directory."""
    for _ in range(5000):
        if any(host.path(wire.ROOT_RUNS).glob(f"*/{name}")):
            return
        threading.Event().wait(0.002)
    raise AssertionError(f"no run was told to {name}")


def test_a_killed_run_is_undone_at_once_and_says_so(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    artifact = transaction("tool:x", step("artifacts", "file.write", "tool", path="/etc/deployer/acme/tool", content="1"))
    host.faults.kill("unit.ready")
    run = Run(host, run_request(artifact, deployment(digest="aaaa0002", revision=2, old=unit_name())))
    assert run.result == "rolled-back"
    assert {name: run.state(name) for name in ("tool:x", "chat")} == {"tool:x": "done", "chat": "undone"}
    told = run.report["transactions"]["chat"]
    assert told["message"] == "the run on the host was killed"
    assert {e["kind"] for e in run.events if e["type"] == "step" and e["step"] == told["step"]} == {"unit.ready"}
    left = {path for path, what in tree(host.root).items() if before.get(path) != what}
    assert left == {"/etc/deployer/acme/tool"}
    assert host.running() == [unit_name()]
    seen = probe(host)
    assert (seen["lock"], seen["unfinished"]) == (None, [])


def test_a_run_that_is_killed_when_all_is_done_has_done_it(host: FakeHost) -> None:
    request = run_request(deployment())
    kind, label = (request["transactions"][-1]["steps"][-1][key] for key in ("kind", "label"))
    host.faults.kill(kind, label, when="after")
    run = Run(host, request)
    assert (run.result, run.state("chat"), host.running()) == ("done", "done", [unit_name()])


def test_what_had_built_on_what_a_killed_run_left_is_undone_with_it(host: FakeHost) -> None:
    before = tree(host.root)
    first = transaction(
        "first",
        step("artifacts", "file.write", path="/etc/deployer/acme/one", content="1"),
        step("switch", "file.write", "the end of it", path="/etc/deployer/acme/two", content="2"),
    )
    second = transaction("second", step("artifacts", "file.write", path="/etc/deployer/acme/three", content="3"), needs=["first"])
    host.faults.kill("file.write", "the end of it")
    run = Run(host, run_request(first, second))
    assert {name: run.state(name) for name in ("first", "second")} == {"first": "undone", "second": "undone"}
    assert tree(host.root) == before


def test_a_killed_run_whose_undoing_fails_is_undone_by_the_next(host: FakeHost) -> None:
    host.faults.kill("unit.ready")
    host.faults.fail("unit.start", when="undo", times=1)
    request = run_request(deployment())
    run = Run(host, request)
    assert (run.result, run.state("chat")) == ("failed", "undo-failed")
    assert [u["run"] for u in probe(host)["unfinished"]] == [request["run"]]
    undo = transaction("run:x", step("artifacts", "run.undo", run=request["run"]))
    assert Run(host, run_request(undo)).result == "done"
    assert (host.running(), probe(host)["unfinished"]) == ([], [])


def test_a_half_line_of_a_killed_run_hides_none_of_what_follows(host: FakeHost) -> None:
    request = run_request(deployment())
    hold = host.faults.hold("unit.ready")
    host.faults.kill("unit.ready")
    channel = connect(host).open("start", request)
    lines = channel.lines()
    _open_until(lines, channel, hold.reached)
    with host.path(f"{wire.ROOT_RUNS}/{request['run']}/journal.jsonl").open("ab") as journal:
        journal.write(b'{"type": "st')
    hold.release()
    assert {e["kind"]: e["state"] for e in lines if e["type"] == "step"}["unit.ready"] == "undone"


def test_a_run_that_went_down_with_its_host_frees_the_lock_and_is_undone_by_the_next(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    host.faults.cut_power("unit.ready")
    killed = run_request(deployment(digest="aaaa0002", revision=2, old=unit_name()))
    run = Run(host, killed)
    assert run.result == "lost"
    assert run.state("chat") == "kept"
    seen = probe(host)
    assert seen["lock"] is None
    assert [u["run"] for u in seen["unfinished"]] == [killed["run"]]
    undo = transaction("run:x", step("artifacts", "run.undo", run=killed["run"]))
    assert Run(host, run_request(undo, fingerprint=seen["fingerprint"])).result == "done"
    assert tree(host.root) == before
    assert host.running() == [unit_name()]
    assert probe(host)["unfinished"] == []


def test_a_host_that_goes_down_in_the_middle_comes_back_with_the_last_good_set(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    hold = host.faults.hold("unit.start")
    request = run_request(deployment(digest="aaaa0002", revision=2, old=unit_name()))
    channel = connect(host).open("start", request)
    lines = channel.lines()
    _open_until(lines, channel, hold.reached)
    host.faults.cut_power("unit.start")  # the power goes while it is held
    hold.release()
    with pytest.raises(Unreachable):
        _until_cut(host, lines)
    host.reboot()
    assert host.running() == [unit_name()]
    assert [u["run"] for u in probe(host)["unfinished"]] == [request["run"]]
    undo = transaction("run:x", step("artifacts", "run.undo", run=request["run"]))
    assert Run(host, run_request(undo)).result == "done"
    assert tree(host.root) == before


def _until_cut(host: FakeHost, lines: Any) -> None:
    host.drop()
    list(lines)


def test_a_run_killed_before_its_first_step_leaves_nothing_to_undo(host: FakeHost) -> None:
    request = run_request(deployment())
    request["barriers"]["artifacts"]["deadline_s"] = 0.1
    run = Run(host, request, open_stages=())
    assert run.result == "stopped"
    assert probe(host)["unfinished"] == []


def test_a_cut_connection_is_taken_up_again_at_the_byte_where_it_broke(host: FakeHost) -> None:
    request = run_request(deployment())
    host.faults.cut_after = 1
    lines = connect(host).open("start", request).lines()
    seen = [next(lines)]
    with pytest.raises(Unreachable):
        next(lines)
    attached = connect(host).open("attach", {"fleet": FLEET, "run": request["run"], "offset": seen[-1]["offset"]})
    for event in attached.lines():
        if event["type"] in ("tick", "end"):
            continue
        seen.append(event)
        if event["type"] == "barrier" and event["state"] == "waiting":
            attached.send({"open": event["stage"]})
    whole = ask(host, "attach", {"fleet": FLEET, "run": request["run"], "offset": 0})
    assert seen == whole
    assert seen[-1]["result"] == "done"


def test_start_twice_follows_the_run_that_is_there(host: FakeHost) -> None:
    request = run_request(deployment())
    first = Run(host, request)
    second = Run(host, request)
    assert second.events == first.events


def test_detach_leaves_the_run_alone(host: FakeHost) -> None:
    hold = host.faults.hold("unit.start")
    request = run_request(deployment(), barriers={})
    channel = connect(host).open("start", request)
    lines = channel.lines()
    next(lines)
    assert hold.reached.wait(10)
    channel.send({"detach": True})
    list(lines)
    hold.release()
    host.settle()
    assert ask(host, "attach", {"fleet": FLEET, "run": request["run"], "offset": 0})[-1]["result"] == "done"


def test_the_secret_is_in_no_file_that_others_read_and_in_no_argument(host: FakeHost) -> None:
    poison = "p0isonous-$ecret"
    request = run_request(
        transaction(
            "chat",
            step("switch", "file.write", "key", path="/etc/deployer/acme/chat/key", secret="env:KEY"),
            step(
                "finish",
                "record",
                deployment="chat",
                record={"deployment": "chat", "revision": 1, "secrets": ["env:KEY"], "resources": []},
            ),
            deployment="chat",
        ),
        secrets={"env:KEY": poison},
    )
    run = Run(host, request)
    assert run.result == "done"
    assert poison not in json.dumps(run.events)
    assert all(poison not in word for argv in host.machine.ran for word in argv)
    holding = [p for p in host.root.rglob("*") if p.is_file() and poison in p.read_text(encoding="utf-8", errors="replace")]
    assert [("/" + p.relative_to(host.root).as_posix(), stat.S_IMODE(p.stat().st_mode)) for p in holding] == [
        ("/etc/deployer/acme/chat/key", 0o600)
    ]
    seen = probe(host)
    assert seen["records"]["chat"]["secrets"] == {"env:KEY": wire.secret_fingerprint(seen["secret_key"], poison)}


def test_a_secret_that_is_not_at_hand_stays_as_it_is_on_the_host(host: FakeHost) -> None:
    def request(**secrets: str) -> dict[str, Any]:
        write = step("switch", "file.write", "key", path="/etc/deployer/acme/key", secret="env:KEY")
        note = step(
            "finish",
            "record",
            deployment="chat",
            record={"deployment": "chat", "revision": 1, "secrets": ["env:KEY"], "resources": []},
        )
        return run_request(
            transaction("chat", write, note, deployment="chat"), secrets={f"env:{k}": v for k, v in secrets.items()}
        )

    missing = Run(host, request())
    assert missing.result == "rolled-back"
    assert "env:KEY" in missing.report["transactions"]["chat"]["message"]
    Run(host, request(KEY="first"))
    noted = probe(host)["records"]["chat"]["secrets"]
    assert Run(host, request()).result == "done"
    assert host.path("/etc/deployer/acme/key").read_text() == "first"
    assert probe(host)["records"]["chat"]["secrets"] == noted


def test_only_root_may_start_a_run(host: FakeHost) -> None:
    host.machine.root_user = False
    with pytest.raises(DeployerError, match="sudo: true"):
        Run(host, run_request(deployment()))


def test_another_version_of_the_protocol_is_refused(host: FakeHost) -> None:
    with pytest.raises(DeployerError, match="version 99"):
        Run(host, run_request(deployment(), wire=99))


def test_only_the_last_runs_are_remembered(host: FakeHost) -> None:
    for _ in range(23):
        Run(host, run_request())
    assert len(list(host.path(wire.ROOT_RUNS).iterdir())) <= 21
    listed = ask(host, "runs", {"fleet": FLEET})[0]["runs"]
    assert all(one["result"] == "done" and not one["alive"] for one in listed)


def test_a_fleet_does_not_touch_what_is_another_fleets(host: FakeHost) -> None:
    theirs = Run(
        host, run_request(transaction("t", step("switch", "file.write", path="/etc/deployer/other/x", content="1")), fleet=OTHER)
    )
    assert theirs.result == "done"
    ours = transaction("t", step("switch", "file.write", path="/etc/deployer/other/x", content="2"))
    run = Run(host, run_request(ours))
    assert run.result == "rolled-back"
    assert "not a place of the fleet acme" in run.report["transactions"]["t"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/deployer/acme/../../passwd",
        "/etc/systemd/system/ssh.service",
        "etc/deployer/acme/x",
        "/etc/deployer/acme/a\nb",
    ],
)
def test_paths_outside_the_fleet_are_refused(host: FakeHost, path: str) -> None:
    before = tree(host.root)
    run = Run(host, run_request(transaction("t", step("switch", "file.write", path=path, content="x"))))
    assert run.result == "rolled-back"
    assert tree(host.root) == before


def test_a_foreign_unit_with_our_name_is_left_alone(host: FakeHost) -> None:
    path = host.path(f"/etc/systemd/system/{unit_name()}")
    path.write_text("[Service]\nExecStart=/bin/theirs\n", encoding="utf-8")
    assert probe(host)["foreign_units"] == [unit_name()]
    run = Run(host, run_request(deployment()))
    assert "not ours" in run.report["transactions"]["chat"]["message"]
    assert path.read_text(encoding="utf-8").endswith("/bin/theirs\n")


def test_a_full_disk_is_said_and_everything_is_put_back(host: FakeHost) -> None:
    before = tree(host.root)
    host.faults.fail("unit.enable", error=OSError(28, "No space left on device", "/etc/systemd/system/x"))
    run = Run(host, run_request(deployment()))
    assert run.result == "rolled-back"
    assert run.report["transactions"]["chat"]["cause"] == "disk full"
    assert tree(host.root) == before


def test_the_lock_is_free_for_whoever_only_asks(tmp_path: Path) -> None:
    from deployer.agent.system import System

    system = System(str(tmp_path))
    assert lock.holder(system) is None
    held = lock.take(system, {"who": "ada"})
    assert held is not None
    assert lock.holder(system) == {"who": "ada"}
    assert lock.take(system, {"who": "bob"}) is None
    held.release()
    assert lock.holder(system) is None


def test_an_old_one_that_does_not_answer_again_is_an_undo_that_failed(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    host.break_engine("aaaa0002", "ERROR no")
    host.break_engine("aaaa0001", "ERROR no either")
    run = Run(host, run_request(deployment(digest="aaaa0002", revision=2, old=unit_name())))
    assert run.result == "failed"
    assert run.state("chat") == "undo-failed"


def test_readiness_is_an_inference_and_not_a_port(host: FakeHost) -> None:
    host.break_engine("aaaa0001", "INFO up but silent", hangs=True)
    run = Run(host, run_request(deployment(deadline_s=20.0)))
    assert run.result == "rolled-back"
    assert "did not answer within 20 s" in run.report["transactions"]["chat"]["message"]
    assert ready_args(1)["inference"]["path"] == "/v1/chat/completions"


def test_phases_of_a_start_are_shown_as_they_come(host: FakeHost) -> None:
    host.slow_engine("aaaa0001", "loading shard 1 of 4", "loading shard 3 of 4", "warming up", "nearly", "there")
    phases = [
        {"regex": r"loading shard (?P<done>\d+) of (?P<total>\d+)", "phase": "loading shards"},
        {"regex": "warming", "phase": "warming up"},
    ]
    run = Run(host, run_request(deployment(phases=phases)))
    assert run.result == "done"
    told = [e["data"] for e in run.events if e.get("state") == "progress"]
    assert any(d["phase"] == "loading shards" and (d["done"], d["total"]) == (3, 4) for d in told)
    assert any(d["phase"] == "warming up" for d in told)


def test_a_journal_that_cannot_grow_does_not_keep_a_run_from_undoing(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    real, full = os.write, []

    def write(descriptor: int, data: bytes) -> int:
        if full and b'"undone"' in data and len(full) < 3:
            full.append(True)
            raise OSError(28, "No space left on device")
        if b'"failed"' in data:
            full.append(True)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    host.break_engine("aaaa0002", "ERROR no")
    run = Run(host, run_request(deployment(digest="aaaa0002", revision=2, old=unit_name())))
    assert len(full) == 3
    assert run.result == "rolled-back"
    assert tree(host.root) == before
    assert host.running() == [unit_name()]


def test_apt_is_not_stopped_in_its_middle(host: FakeHost) -> None:
    package = transaction("package:haproxy", step("artifacts", "package.install", "haproxy", name="haproxy"))
    hold = host.faults.hold("package.install")
    channel = connect(host).open("start", run_request(package, deployment(), barriers={}))
    lines = channel.lines()
    assert hold.reached.wait(10)
    channel.send({"stop": True})
    _wait_for(host, "stop")
    hold.release()
    report = list(lines)[-2]
    assert report["transactions"]["package:haproxy"]["state"] == "done"
    assert report["transactions"]["chat"]["state"] == "skipped"


class Paused:
    """A run that is told to pause while it writes the file "one", and is paused before it writes "two"."""

    def __init__(self, host: FakeHost, **more: Any) -> None:
        self.host = host
        hold = host.faults.hold("file.write", "one")
        self.request = run_request(_two_files(), barriers={"switch": {"silence": "keep", "deadline_s": 30.0, **more}})
        self.channel = connect(host).open("start", self.request)
        self.lines = self.channel.lines()
        assert self._until("barrier")["state"] == "waiting"
        self.channel.send({"open": "switch"})
        assert hold.reached.wait(10)
        self.channel.send({"pause": True})
        _wait_for(host, "pause")
        hold.release()
        said = self._until("pause")
        assert (said["state"], said["message"]) == ("paused", "paused before two")
        assert written(host) == ["one"]

    def _until(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.lines if event["type"] == kind)


def _two_files() -> dict[str, Any]:
    one = step("switch", "file.write", "one", path="/etc/deployer/acme/one", content="1")
    two = step("switch", "file.write", "two", path="/etc/deployer/acme/two", content="2")
    return transaction("files", one, two)


def written(host: FakeHost) -> list[str]:
    return sorted(path.name for path in host.path("/etc/deployer/acme").glob("*"))


def test_a_paused_run_finishes_its_step_and_begins_no_other_until_it_is_resumed(host: FakeHost) -> None:
    run = Paused(host)
    assert probe(host)["lock"]["doing"] == "paused before two"
    run.channel.send({"resume": True})
    rest = list(run.lines)
    assert [e["state"] for e in rest if e["type"] == "pause"] == ["resumed"]
    assert rest[-2]["result"] == "done"
    assert written(host) == ["one", "two"]


def test_whoever_attaches_to_a_paused_run_sees_that_and_may_resume_it(host: FakeHost) -> None:
    run = Paused(host)
    host.drop()
    other = connect(host).open("attach", {"fleet": FLEET, "run": run.request["run"], "offset": 0})
    for event in other.lines():
        if event["type"] == "pause" and event["state"] == "paused":
            other.send({"resume": True})
        if event["type"] == "report":
            break
    assert event["result"] == "done"


def test_a_run_whose_controller_died_while_it_was_paused_goes_on(host: FakeHost) -> None:
    run = Paused(host, deadline_s=0.4)
    host.drop()
    host.settle()
    events = ask(host, "attach", {"fleet": FLEET, "run": run.request["run"], "offset": 0})
    assert [e["state"] for e in events if e["type"] == "pause"] == ["paused", "timeout"]
    assert events[-1]["result"] == "done"


def test_a_paused_run_waits_as_long_as_the_controller_gives_a_word(host: FakeHost) -> None:
    run = Paused(host, deadline_s=0.4)
    until = time.monotonic() + 1.2  # three deadlines
    while time.monotonic() < until:
        run.channel.send({"here": True})
        threading.Event().wait(0.05)
    assert written(host) == ["one"]
    run.channel.send({"resume": True})
    assert list(run.lines)[-2]["result"] == "done"


def test_a_paused_run_can_be_stopped_and_its_undoing_is_not_held_up(host: FakeHost) -> None:
    run = Paused(host)
    run.channel.send({"stop": True})
    report = list(run.lines)[-2]
    assert (report["result"], report["transactions"]["files"]["state"]) == ("stopped", "undone")
    assert written(host) == []
