"""Taking up an apply again that somebody else paused."""

import threading
from collections.abc import Callable

import pytest

from deployer.app.fleet import Fleet
from deployer.app.operation import Operation
from deployer.execute.attach import Running
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]


def test_a_paused_apply_goes_on_with_resume_and_is_said_to_be_paused_without(bench: Bench) -> None:
    with Fleet.load(bench.root) as fleet:
        hold = bench.hosts["h1"].faults.hold("unit.start")
        operation = Operation.of_plan(fleet.plan())
        operation.begin()
        assert hold.reached.wait(20)
        operation.pause()
        hold.release()
        for _ in range(4000):
            if operation.state == "paused":
                break
            threading.Event().wait(0.005)
        assert operation.state == "paused"
        operation.detach()
        assert operation.wait(20)
    done = bench("attach", "--resume")
    assert done.code == 0, done.err
    assert "h1  paused before " in done.err
    assert "somebody paused it" not in done.err
    assert "going on" in done.err
    assert "chat: done" in done.out


def test_an_apply_that_stands_still_says_how_it_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def attach(fleet: Fleet, one: Running, listen: Callable[[Event], None], control: Control) -> Report:
        assert control.paused is None
        listen(Event("pause", "now", "h1", state="paused", message="paused before start chat/0"))
        return Report(one.run, one.plan, {}, (), 0, 1.0)

    monkeypatch.setattr(Fleet, "running", lambda self: [Running("r1", "ann", "2026-01-01T12:00:00Z", "p1", {"h1": "r1"})])
    monkeypatch.setattr(Fleet, "attach", attach)
    done = bench("attach")
    assert "h1  paused before start chat/0" in done.err
    assert "deployer attach --resume" in done.err
