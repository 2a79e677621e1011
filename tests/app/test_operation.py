"""An apply that somebody looks at: what is known of its steps, pausing, stopping, leaving it and finding it again."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployer.app import steptimes
from deployer.app.board import Board, View
from deployer.app.fleet import Fleet
from deployer.app.operation import Operation
from deployer.app.session import Session
from deployer.errors import UsageError
from deployer.execute.events import Event
from deployer.transport.fake import FakeHost

Hosts = dict[str, FakeHost]


def until(reached: Callable[[], object]) -> None:
    import threading

    for _ in range(4000):
        if reached():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to that")


def started(loaded: Fleet) -> Operation:
    operation = Operation.of_plan(loaded.plan())
    operation.begin()
    return operation


def view(operation: Operation) -> View:
    return operation.board.view(1000)


def test_every_step_of_the_plan_waits_until_it_runs_and_is_done_at_the_end(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("unit.start")
    operation = started(loaded)
    assert hold.reached.wait(20)
    until(lambda: [row.label for row in view(operation).running] == ["start chat/0"])
    now = view(operation)
    assert now.total == now.counts["waiting"] + now.counts["running"] + now.counts["done"]
    chat = next(one for one in now.waiting if one.first.transaction == "chat")
    assert (chat.first.label, operation.board.waits_for(chat.first)) == ("chat/0 answers", "start chat/0")
    hold.release()
    assert operation.wait(20)
    end = view(operation)
    assert (operation.state, end.counts["done"], end.total) == ("done", now.total, now.total)
    assert operation.endpoints == {"chat": loaded.endpoint("chat")}
    assert not end.waiting
    assert not end.running


def test_a_step_that_waits_says_what_for(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("env.build")
    operation = started(loaded)
    assert hold.reached.wait(20)
    until(lambda: [row.step for row in view(operation).running if row.transaction.startswith("environment")])
    chat = next(one for one in view(operation).waiting if one.first.transaction == "chat")
    assert operation.board.waits_for(chat.first).startswith("environment ")
    hold.release()
    assert operation.wait(20)


def test_a_failure_stands_with_its_cause_and_what_was_done_is_undone(loaded: Fleet, hosts: Hosts) -> None:
    hosts["h1"].break_engine("chat", "RuntimeError: CUDA out of memory")
    operation = started(loaded)
    assert operation.wait(20)
    end = view(operation)
    (failed,) = end.failed
    assert failed.label == "chat/0 answers"
    assert any("out of memory" in line for line in failed.data["log"])
    assert end.counts["undone"] > 0
    assert operation.endpoints == {}
    assert operation.state == "failed"


def test_pausing_finishes_the_running_step_and_resuming_goes_on(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("unit.start")
    operation = started(loaded)
    assert hold.reached.wait(20)
    operation.pause()
    assert operation.state == "pausing"
    hold.release()
    until(lambda: operation.state == "paused")
    chat = next(one for one in view(operation).waiting if one.first.transaction == "chat")
    assert operation.board.waits_for(chat.first) == "somebody to resume it"
    operation.resume()
    assert operation.wait(20)
    assert operation.state == "done"


def test_a_second_session_finds_what_the_first_left_with_all_its_steps(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("unit.start")
    first = Session(loaded)
    operation = first.begin(first.plan())
    assert hold.reached.wait(20)
    total = view(operation).total
    operation.detach()
    assert operation.wait(20)
    assert operation.state == "detached"
    assert {row.state for row in operation.board.ended("left", 1000)} == {"left"}
    with Fleet.load(loaded.root) as again:
        second = Session(again)
        found = second.find_running()
        assert found is not None
        until(lambda: view(found).running)
        assert view(found).total == total
        with pytest.raises(UsageError, match="an apply runs already"):
            second.attach(second.running()[0])
        hold.release()
        assert found.wait(20)
        assert found.state == "done"


def test_whoever_attaches_to_a_paused_apply_sees_that_and_resumes_it(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("unit.start")
    operation = started(loaded)
    assert hold.reached.wait(20)
    operation.pause()
    hold.release()
    until(lambda: operation.state == "paused")
    operation.detach()
    assert operation.wait(20)
    with Fleet.load(loaded.root) as again:
        found = Session(again).find_running()
        assert found is not None
        until(lambda: found.state == "paused")
        found.resume()
        assert found.wait(20)
        assert found.state == "done"


def test_reading_other_files_does_not_cut_the_connections_of_the_apply_that_runs(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("unit.start")
    session = Session(loaded)
    operation = session.begin(session.plan())
    assert hold.reached.wait(20)
    (loaded.root / "hosts/h3.yaml").write_text("name: h3\naddress: 192.0.2.3\n")
    session.plan()
    hold.release()
    assert operation.wait(20)
    assert operation.state == "done"
    assert operation.board.hosts["h1"].said == []
    session.close()


def test_who_may_only_look_attaches_to_nothing(loaded: Fleet, hosts: Hosts) -> None:
    hold = hosts["h1"].faults.hold("unit.start")
    operation = started(loaded)
    assert hold.reached.wait(20)
    reader = Session(loaded, read_only=True)
    assert reader.find_running() is None
    with pytest.raises(UsageError, match="read-only"):
        reader.attach(reader.running()[0])
    hold.release()
    assert operation.wait(20)


def test_how_long_a_step_took_is_what_the_next_one_is_expected_to_take(loaded: Fleet, hosts: Hosts) -> None:
    times = steptimes.StepTimes(loaded.root, lambda event: None)
    (loaded.root / ".deployer").mkdir()
    for state, at in (("start", "2026-01-01T12:00:00Z"), ("done", "2026-01-01T12:00:52Z")):
        times.take(Event("step", at, "h1", step="chat.5", label="chat/0 answers", state=state))
    times.keep()
    board = Board(loaded.plan().plan, steptimes.read(loaded.root))
    rows = {row.first.label: row.first for row in board.view(1000).waiting}
    assert all(row.expected_s is None for row in rows.values())
    answers = board.steps.named(next(k for k in board.steps._rows if board.steps._rows[k].label == "chat/0 answers"))
    assert answers is not None
    assert answers.expected_s == 52.0


def test_what_hosts_remember_of_starts_is_expected_before_what_this_machine_saw(loaded: Fleet, hosts: Hosts) -> None:
    plan = loaded.plan().plan
    (change,) = (c for c in plan.changes if c.name == "chat/0" and c.kind == "replica")
    assert steptimes.expecting({"h": {"x": 1.0}}, plan) == {"h": {"x": 1.0}}, "nothing was seen yet"
    seen = change._replace(impact=change.impact._replace(start_s=41.0, start_basis="as the last start there"))
    known = replace(plan, changes=tuple(seen if c is change else c for c in plan.changes))
    assert steptimes.expecting({change.host: {"chat/0 answers": 7.0}}, known) == {change.host: {"chat/0 answers": 41.0}}


def test_a_host_whose_clock_is_wrong_does_not_lengthen_its_steps() -> None:
    board = Board(clock=lambda: 1_000_000.0)
    ahead = "2026-01-01T12:00:00+00:00"
    board.take(Event("step", ahead, "h1", step="a.0", label="a", state="start"))
    (row,) = board.view(10).running
    assert row.seconds(board.now("h1")) == 0.0


def test_a_host_that_is_lost_leaves_no_step_running() -> None:
    board = Board()
    board.take(Event("locked", "now", "h1"))
    board.take(Event("step", "now", "h1", step="a.0", label="a", state="start"))
    board.take(Event("host", "now", "h1", state="broken", message="connection lost"))
    assert board.hosts["h1"].state == "lost"
    board.take(Event("host", "now", "h1", state="ended", message="gone for 90 s", data={"result": None}))
    now = board.view(10)
    assert not now.running
    assert [row.message for row in now.failed] == ["gone for 90 s"]


def test_ten_thousand_transactions_that_wait_are_looked_at_cheaply() -> None:
    import time

    from deployer.app.steprows import StepRow

    board = Board()
    for number in range(10_000):
        for step in range(10):
            board.steps._add(StepRow("h1", f"t{number}.{step}", f"t{number}", "a step"))
    began = time.process_time()
    shown = board.view(100)
    assert time.process_time() - began < 0.05
    assert len(shown.waiting) == 100
    assert shown.more + sum(one.steps for one in shown.waiting) == 100_000
