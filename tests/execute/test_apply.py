"""An apply over hosts that refuse, fail, move and break off."""

import queue
import threading
from typing import Any

import pytest

from deployer.errors import Refused, Unreachable
from deployer.execute.apply import Order, apply
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.plan.model import Plan
from tests.execute.plans import BYTES, SHA256, Bytes, NoSecrets, fleet, model, plan, replica
from tests.execute.stub import Host, StubTransport

QUICK = Patience(total_s=2.0, first_s=0.5, most_s=1.0, wait=lambda _: None)


def applied(wanted: Plan, hosts: dict[str, Host], on_event: Any = lambda event: None, **more: Any) -> tuple[Report, list[Event]]:
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        on_event(event)

    spec = fleet(wanted.hosts)
    base: dict[str, Any] = {"secrets": NoSecrets(), "blobs": Bytes(), "patience": QUICK, "control": Control()}
    order = Order(plan=wanted, fleet=spec, run="r1", who="ann@desk", why=None, on_event=listen, **{**base, **more})
    with Pool(StubTransport(hosts), spec.hosts) as pool:
        return apply(order, pool), events


def stubs(*names: str) -> dict[str, Host]:
    return {name: Host(name) for name in names}


def test_every_host_is_done_and_gets_the_roster_also_those_without_changes() -> None:
    hosts = stubs("a", "b", "idle")
    report, _ = applied(plan([replica("a"), replica("b")], idle=["idle"]), hosts)
    assert report.exit_code == 0
    assert {name: host.result for name, host in report.hosts.items()} == {"a": "done", "b": "done", "idle": "unchanged"}
    assert all(host.roster == {"generation": 3, "hosts": {}, "slots": {}, "holds": {}} for host in hosts.values())
    assert [host.connects for host in hosts.values()] == [1, 1, 1]


def test_a_barrier_opens_only_when_every_host_stands_at_it_and_brings_the_others_certificates() -> None:
    hosts = stubs("a", "b")
    _, events = applied(plan([replica("a"), replica("b")]), hosts)
    said = [(e.host, e.stage, e.state) for e in events if e.type == "barrier"]
    for stage in ("artifacts", "switch", "gateway", "finish"):
        opened = min(i for i, (_, s, state) in enumerate(said) if s == stage and state == "open")
        assert {host for host, s, state in said[:opened] if s == stage and state == "waiting"} == {"a", "b"}
    assert hosts["a"].orders_seen[0] == {"open": "artifacts", "data": {"certificates": {"b": "certificate of b"}}}


def test_a_lock_held_elsewhere_releases_all_and_nothing_is_begun() -> None:
    hosts = stubs("a", "b", "c")
    hosts["b"].holder = {"who": "bob@desk", "since": "12:00", "doing": "apply"}
    report, events = applied(plan([replica("a"), replica("b"), replica("c")]), hosts)
    assert report.exit_code == 7
    assert report.hosts["b"].message == "bob@desk is applying"
    assert {report.hosts["a"].result, report.hosts["c"].result} == {"released"}
    assert not [e for e in events if e.type == "step"]
    assert all(host.roster is None for host in hosts.values())


def test_the_first_host_decides_between_two_applies_before_the_others_are_asked() -> None:
    hosts = stubs("a", "b")
    hosts["a"].holder = {"who": "bob"}
    report, _ = applied(plan([replica("a"), replica("b")]), hosts)
    assert report.exit_code == 7
    assert hosts["b"].requests == []


def test_a_host_that_moved_is_refused_and_the_others_go_on() -> None:
    hosts = stubs("a", "b", "c")
    hosts["b"].stale = "units"
    report, _ = applied(plan([replica("a"), replica("b"), replica("c")]), hosts)
    assert {name: host.result for name, host in report.hosts.items()} == {"a": "done", "b": "stale", "c": "done"}
    assert report.exit_code == 8
    assert "units" in str(report.hosts["b"].message)
    assert hosts["b"].roster is None


def test_what_depends_on_a_host_that_moved_is_not_begun() -> None:
    hosts = stubs("a", "b")
    hosts["a"].stale = "records"
    report, events = applied(plan([replica("a"), replica("b", depends_on=("a/chat",))]), hosts)
    assert report.hosts["b"].result == "dropped"
    assert report.exit_code == 8
    assert not [e for e in events if e.type == "step"]


def test_a_host_whose_part_shrinks_begins_again_with_the_part() -> None:
    hosts = stubs("a", "b")
    hosts["a"].stale = "records"
    report, events = applied(plan([replica("a"), model("b"), replica("b", depends_on=("a/chat",))]), hosts)
    assert report.hosts["b"].result == "done"
    assert [r["run"] for r in hosts["b"].requests if r["verb"] == "start"] == ["r1", "r1-2"]
    assert {e.change for e in events if e.type == "step"} == {"b/model"}


def test_a_failure_carries_its_cause_and_does_not_hold_the_others() -> None:
    hosts = stubs("a", "b")
    hosts["a"].fail_stage = "switch"
    report, _ = applied(plan([replica("a"), replica("b")]), hosts)
    assert report.exit_code == 5
    assert report.hosts["b"].result == "done"
    (failure,) = report.failures
    assert (failure.host, failure.deployment, failure.cause, failure.undone) == ("a", "chat", "no memory", True)
    assert failure.log == ("line 1", "line 2")
    assert report.json()["failures"][0]["hint"] == "max_model_len: 100"


def test_missing_bytes_are_pushed_and_resumed_where_the_host_says() -> None:
    hosts = stubs("a")
    hosts["a"].partial[SHA256] = BYTES[:100]
    report, events = applied(plan([model("a")]), hosts)
    assert report.exit_code == 0
    assert hosts["a"].blobs[SHA256] == BYTES
    progress = [e.data for e in events if e.type == "transfer"]
    assert progress[-1]["done"] == progress[-1]["total"] == len(BYTES)


def test_bytes_that_are_not_as_locked_are_refused_before_any_host_is_asked() -> None:
    hosts = stubs("a")
    with pytest.raises(Exception, match="not as it was locked"):
        applied(plan([model("a")]), hosts, blobs=Bytes(b"other"))
    assert hosts["a"].requests == []


def test_a_run_is_followed_on_after_the_connection_broke() -> None:
    hosts = stubs("a")
    hosts["a"].drop_at = 5
    report, events = applied(plan([replica("a")]), hosts)
    assert report.exit_code == 0
    start, attach = (r for r in hosts["a"].requests if r["verb"] != "roster")
    assert (start["verb"], attach["verb"], attach["offset"]) == ("start", "attach", 5)
    assert [e.state for e in events if e.type == "host"] == ["broken", "back", "ended"]
    steps = [(e.step, e.state) for e in events if e.type == "step"]
    assert len(steps) == len(set(steps))


def test_the_roster_is_on_every_host_before_the_first_change() -> None:
    hosts = stubs("a", "idle")
    seen: list[bool] = []

    def look(event: Event) -> None:
        if event.type == "barrier" and event.state == "open" and not seen:
            seen.append(all(host.roster is not None for host in hosts.values()))

    applied(plan([replica("a")], idle=["idle"]), hosts, look)
    assert seen == [True]


def test_an_opening_that_was_lost_with_the_connection_is_given_again() -> None:
    hosts = stubs("a")
    host = hosts["a"]
    host.drop_at = 2  # "locked" and "waiting" arrive; the line after our opening does not
    report, _ = applied(plan([replica("a")]), hosts)
    assert report.exit_code == 0
    assert [o.get("open") for o in host.orders_seen].count("artifacts") >= 1


def test_a_host_that_waits_hears_that_the_controller_is_there() -> None:
    hosts = stubs("a")
    hosts["a"].tick_at = "artifacts"
    report, events = applied(plan([replica("a")]), hosts)
    assert report.exit_code == 0
    assert {"here": True} in hosts["a"].orders_seen
    assert not [e for e in events if e.type == "tick"]


def test_how_long_a_host_waits_in_silence_is_the_callers_choice() -> None:
    hosts = stubs("a")
    applied(plan([replica("a")]), hosts, patience=Patience(silence_s=7.0))
    (request,) = [r for r in hosts["a"].requests if r["verb"] == "start"]
    assert {b["deadline_s"] for b in request["barriers"].values()} == {7.0}
    assert {b["silence"] for b in request["barriers"].values()} == {"keep", "undo", "finish"}


def test_a_host_that_stays_away_is_lost_and_said_so() -> None:
    hosts = stubs("a")
    hosts["a"].drop_at = 5

    def cut(event: Event) -> None:
        if event.state == "waiting":
            hosts["a"].error = Unreachable("no route", where="a")

    report, _ = applied(plan([replica("a")]), hosts, cut)
    assert report.exit_code == 6
    assert report.hosts["a"].result == "lost"
    assert "deployer attach" in str(report.hosts["a"].hint)


def test_an_unreachable_host_of_the_plan_is_left_alone_and_counts() -> None:
    hosts = stubs("a", "gone")
    report, _ = applied(plan([replica("a")], unreachable=["gone"]), hosts)
    assert report.exit_code == 6
    assert report.hosts["gone"].result == "unreachable"
    assert hosts["gone"].connects == 0


def test_the_first_interrupt_stops_every_host_at_a_step_boundary() -> None:
    hosts = stubs("a", "b")
    control = Control()

    def press(event: Event) -> None:
        if event.type == "barrier" and event.state == "open" and not control.presses:
            control.interrupt()

    report, events = applied(plan([replica("a"), replica("b")]), hosts, press, control=control)
    assert report.exit_code == 130
    assert {h.result for h in report.hosts.values()} == {"stopped"}
    assert [e.message for e in events if e.type == "stop"] == [
        "finishing the running step, then stopping (again to leave it to the hosts)"
    ]


def test_the_second_interrupt_leaves_the_runs_to_the_hosts() -> None:
    hosts = stubs("a")
    control = Control()

    def press(event: Event) -> None:
        if event.type == "locked":
            control.interrupt()
            control.interrupt()

    release = threading.Event()
    hosts["a"]._told = lambda stage: release.wait(10) and False  # type: ignore[method-assign]
    report, _ = applied(plan([replica("a")]), hosts, press, control=control)
    release.set()
    assert report.hosts["a"].result == "detached"
    assert report.exit_code == 130


def test_a_host_that_is_left_alone_is_not_told_to_stop_first() -> None:
    hosts = stubs("a")
    control = Control()
    seen: list[int] = []  # what the follower would find, were it quicker than whoever presses

    class Inbox(queue.SimpleQueue[object]):
        def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
            seen.append(control.presses)
            super().put(item, block, timeout)

    control.bind(Inbox())
    control.leave()
    control.leave()
    assert seen == [2]

    def leave(event: Event) -> None:
        if event.type == "locked":
            control.leave()

    control = Control()
    release = threading.Event()
    hosts["a"]._told = lambda stage: release.wait(10) and False  # type: ignore[method-assign]
    report, events = applied(plan([replica("a")]), hosts, leave, control=control)
    release.set()
    assert report.hosts["a"].result == "detached"
    assert not [e for e in events if e.type == "stop"]


def test_a_pause_reaches_every_host_also_one_that_was_not_there_yet() -> None:
    hosts = stubs("a", "b")
    control = Control()
    control.pause()

    def go_on(event: Event) -> None:
        if event.type == "barrier" and event.state == "open" and event.stage == "switch":
            control.resume()

    report, events = applied(plan([replica("a"), replica("b")]), hosts, go_on, control=control)
    assert report.exit_code == 0
    for host in hosts.values():
        said = [tuple(order)[0] for order in host.orders_seen]
        assert said.index("pause") < said.index("open")
    assert [e.state for e in events if e.type == "pause"][:2] == ["asked", "resumed"]


def test_a_secret_that_must_be_written_and_is_not_at_hand_is_refused_before_anything() -> None:
    hosts = stubs("a")
    with pytest.raises(Refused, match="env:HF_TOKEN is not at hand"):
        applied(plan([replica("a", secret="env:HF_TOKEN")]), hosts)
    assert hosts["a"].requests == []


def test_secrets_travel_in_the_request_and_in_no_event_or_report() -> None:
    hosts = stubs("a")
    wanted = plan([replica("a", secret="env:HF_TOKEN")])
    report, events = applied(wanted, hosts, secrets=NoSecrets(HF_TOKEN="poison-77"))
    assert hosts["a"].requests[0]["secrets"] == {"env:HF_TOKEN": "poison-77"}
    assert "poison-77" not in str(report.json()) + str([e.json() for e in events])


def test_the_host_is_told_which_fingerprint_was_planned_on() -> None:
    hosts = stubs("a")
    applied(plan([replica("a")]), hosts)
    request = hosts["a"].requests[0]
    assert (request["fingerprint"], request["plan"], request["who"]) == ("print-a", "planid", "ann@desk")
