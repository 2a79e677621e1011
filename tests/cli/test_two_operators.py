"""Two people at one fleet: one applies, the other is told who and what, waits, or looks on without disturbing.

All over fake hosts with the real agent and its real lock.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployer.app.fleet import Fleet
from deployer.execute import waiting
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control
from tests.app.test_adopt import theirs
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]


class Ada:
    """The other operator: her apply stands before `unit.start` on h1 until she goes on."""

    def __init__(self, bench: Bench) -> None:
        self.hold = bench.hosts["h1"].faults.hold("unit.start")
        self.report: Report | None = None
        self._root = bench.root
        self._thread = threading.Thread(target=self._apply)

    def _apply(self) -> None:
        with Fleet.load(self._root) as fleet:
            fleet._who = "ada@desk"
            self.report = fleet.plan().apply()

    def begin(self) -> None:
        self._thread.start()
        assert self.hold.reached.wait(30)

    def go_on(self) -> Report:
        self.hold.release()
        self._thread.join(60)
        assert self.report is not None
        return self.report


@contextmanager
def applying(bench: Bench) -> Iterator[Ada]:
    ada = Ada(bench)
    ada.begin()
    try:
        yield ada
    finally:
        ada.go_on()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "ASK_S", 0.05)


def when_waited(monkeypatch: pytest.MonkeyPatch, act: object) -> None:
    """`act` in a thread of its own, once somebody has been told that he waits."""
    told = threading.Event()
    plain = waiting.words

    def words(holder: dict[str, object]) -> str:
        if not told.is_set():
            told.set()
            threading.Thread(target=act).start()  # type: ignore[arg-type]
        return plain(holder)

    monkeypatch.setattr(waiting, "words", words)


def test_a_second_apply_is_told_who_and_what_and_ends_at_once(bench: Bench) -> None:
    with applying(bench) as ada:
        done = bench("apply", "--yes")
        assert done.code == 7
        assert "ada@desk is applying here since" in done.out
        assert "now: start chat/0" in done.out
        assert ada.go_on().exit_code == 0


def test_a_second_apply_waits_with_who_since_and_what_and_then_plans_and_does_its_own(
    bench: Bench, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with applying(bench) as ada:
        bench.edit("tags: [prod]\n", "tags: [prod]\ndescription: mine\n")
        when_waited(monkeypatch, ada.go_on)
        done = bench("apply", "--yes", "--lock-wait", "1m")
    assert done.code == 0, done.out + done.err
    assert "waiting for h1: ada@desk is applying since" in done.err
    assert "now: start chat/0" in done.err
    assert "left" in done.err
    assert "1 update" in done.err  # what ada did is not in the plan any more
    assert bench("plan", "--detailed-exitcode").code == 0


def test_the_wait_is_bounded_and_says_what_held_it_up(bench: Bench, quick: None) -> None:
    with applying(bench):
        done = bench("apply", "--yes", "--lock-wait", "1s")
        assert done.code == 7
        assert "h1: ada@desk is applying since" in done.err
        assert "waited 1s: deployer attach follows it" in done.err


def test_an_apply_of_what_was_planned_before_waits_too_and_is_refused_when_the_host_has_moved(bench: Bench, quick: None) -> None:
    bench.edit("tags: [prod]\n", "tags: [prod]\nplacement: {hosts: [h1]}\n")
    with Fleet.load(bench.root) as fleet:
        planned = fleet.plan()
        said: list[Event] = []
        with applying(bench) as ada:

            def listen(event: Event) -> None:
                said.append(event)
                if event.type == "wait":
                    ada.hold.release()

            report = planned.apply(on_event=listen, lock_wait_s=60.0)
        assert ada.report is not None
        assert ada.report.exit_code == 0
    assert [e.data["holders"]["h1"]["who"] for e in said if e.type == "wait"][0] == "ada@desk"
    assert report.exit_code == 8
    assert report.hosts["h1"].result == "stale"
    assert bench("plan", "--detailed-exitcode").code == 0


def test_another_fleets_apply_is_waited_for_and_then_exactly_this_plan_is_done(bench: Bench, quick: None) -> None:
    """The lock is the host's; what another fleet does there moves nothing of ours."""
    from deployer.agent import lock

    with Fleet.load(bench.root) as fleet:
        planned = fleet.plan()
        machine = bench.hosts["h1"].machine
        held = lock.take(machine, {"who": "bob", "since": "now", "doing": "start x/0", "fleet": "other"})
        assert held is not None

        def listen(event: Event) -> None:
            if event.type == "wait":
                assert "bob is applying since now (fleet other, now: start x/0)" in str(event.message)
                held.release()

        assert planned.apply(on_event=listen, lock_wait_s=60.0).exit_code == 0
    assert bench("plan", "--detailed-exitcode").code == 0


def test_ctrl_c_ends_the_wait_and_nothing_was_changed(bench: Bench, quick: None) -> None:
    with applying(bench), Fleet.load(bench.root) as fleet:
        control = Control()
        planned = fleet.plan()
        report = planned.apply(
            control=control, on_event=lambda e: control.interrupt() if e.type == "wait" else None, lock_wait_s=600
        )
        assert report.hosts["h1"].result == "locked"
        assert report.exit_code == 7
        assert {h.result for h in report.hosts.values()} <= {"locked", "released", "unchanged"}


def test_a_wait_for_a_program_is_a_line_of_the_stream_and_the_report_comes_last(
    bench: Bench, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with applying(bench) as ada:
        bench.edit("tags: [prod]\n", "tags: [prod]\ndescription: mine\n")
        when_waited(monkeypatch, ada.go_on)
        done = bench("apply", "--yes", "--json", "--lock-wait", "1m")
    lines = [json.loads(line) for line in done.out.splitlines()]
    [waited] = [one for one in lines if one["type"] == "wait"][:1]
    assert waited["data"]["holders"]["h1"]["who"] == "ada@desk"
    assert lines[-1]["type"] == "report"
    assert lines[-1]["exit_code"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rollback chat", "chat is held at revision 1"),  # before the other apply there was nothing to go back to
        ("gc", "Nothing to change. 8 resources as wanted."),
        ("adopt h1 llama --take-over chat", "2 hosts: 1 done, 1 unchanged"),
    ],
    ids=["rollback", "gc", "adopt"],
)
def test_whatever_changes_something_waits_before_it_plans(
    bench: Bench, quick: None, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    theirs(bench.hosts)
    assert bench("apply", "--yes").code == 0
    bench.edit("tags: [prod]\n", "tags: [prod]\nsampling: {max_tokens: 9}\n")
    with applying(bench) as ada:
        when_waited(monkeypatch, ada.go_on)
        done = bench(*words.split(), "--yes", "--lock-wait", "1m")
    assert done.code == 0, done.out + done.err
    assert "waiting for h1: ada@desk is applying since" in done.err
    assert said in done.out + done.err


@pytest.mark.parametrize("words", [("apply", "--yes"), ("stop", "chat", "--yes"), ("hosts", "cordon", "h1")], ids=lambda w: w[0])
def test_a_time_that_is_none_is_said_before_anything_happens(bench: Bench, words: tuple[str, ...]) -> None:
    done = bench(*words, "--lock-wait", "a while")
    assert done.code == 64
    assert "a while is no duration" in done.err


def test_many_plans_beside_an_apply_disturb_neither_it_nor_each_other(bench: Bench) -> None:
    """While the apply goes on, and while it stands still: then not one byte on the hosts moves."""
    failed: list[BaseException] = []
    over = threading.Event()
    rounds = [0] * 6

    def look(number: int) -> None:
        try:
            with Fleet.load(bench.root) as fleet:
                while not over.is_set():
                    planned = fleet.plan()
                    assert not planned.plan.unreachable
                    fleet.status()
                    rounds[number] += 1
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    def looked() -> bool:
        before = list(rounds)
        for _ in range(1200):
            if failed or all(now > then for now, then in zip(rounds, before, strict=True)):
                break
            threading.Event().wait(0.05)
        return all(now > then for now, then in zip(rounds, before, strict=True))

    with applying(bench) as ada:
        before = bench.world()
        lookers = [threading.Thread(target=look, args=(n,)) for n in range(len(rounds))]
        for one in lookers:
            one.start()
        assert looked(), failed
        assert bench.world() == before
        report = ada.go_on()
        assert looked(), failed
        over.set()
        for one in lookers:
            one.join(60)
    assert failed == []
    assert report.exit_code == 0
    assert bench("plan", "--detailed-exitcode").code == 0
