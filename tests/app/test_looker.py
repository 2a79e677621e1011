"""The fleet as somebody sees it who looks on, over fake hosts that run the real agent."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.app.fleet import Fleet
from deployer.app.looker import Looker
from deployer.app.looking import FleetNow
from deployer.app.session import Session
from deployer.transport.fake import FakeHost, FakeTransport

Hosts = dict[str, FakeHost]


@pytest.fixture
def hosts(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    found = {name: FakeHost(name, tmp_path / "machines", gpus=2) for name in ("h1", "h2")}
    for host in found.values():
        host.machine.beats.real_s = 0.01
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: FakeTransport(found))
    return found


@pytest.fixture
def looker(loaded: Fleet) -> Iterator[Looker]:
    found = Looker(loaded, deadline_s=0.5, probe_every_s=0.05)
    yield found
    found.stop()


def until(looker: Looker | Session, reached: Callable[[FleetNow], Any], what: str, limit_s: float = 15.0) -> FleetNow:
    """The picture in which it is true; fails with the last one."""
    end = time.monotonic() + limit_s
    while True:
        now = looker.now() if isinstance(looker, Looker) else looker.now
        if reached(now):
            return now
        assert time.monotonic() < end, f"it never came to {what}: {now}"
        threading.Event().wait(0.01)


def states(now: FleetNow) -> dict[str, str]:
    return {name: host.state for name, host in now.hosts.items()}


def deployment(now: FleetNow) -> str | None:
    return next((d.state for d in now.status.deployments), None) if now.status else None


def test_samples_come_by_themselves_with_their_gpus(looker: Looker, hosts: Hosts) -> None:
    hosts["h1"].set_gpu(0, utilization=77, memory_used=5 << 30, temperature=61)
    assert set(states(looker.now()).values()) == {"connecting"}
    looker.start()
    now = until(looker, lambda n: len(n.hosts["h1"].gpus) == 2 and n.hosts["h2"].state == "up", "both hosts with their GPUs")
    sample = now.hosts["h1"].gpus[0].sample
    assert (sample.utilization, sample.memory_used, sample.temperature) == (77, 5 << 30, 61)
    until(looker, lambda n: n.hosts["h1"].gpus[0].history[-5:] == (77,) * 5, "a history")
    assert until(looker, lambda n: n.status, "a status").status is not None


def test_a_history_is_the_last_sixty_ticks(looker: Looker, hosts: Hosts) -> None:
    hosts["h1"].machine.beats.real_s = 0.002
    looker.start()
    full = until(looker, lambda n: n.hosts["h1"].gpus and len(n.hosts["h1"].gpus[0].history) >= 60, "sixty ticks")
    assert len(full.hosts["h1"].gpus[0].history) == 60
    hosts["h1"].set_gpu(0, utilization=50)
    until(looker, lambda n: n.hosts["h1"].gpus[0].history == (50,) * 60, "sixty others")


def test_what_an_apply_changed_is_in_the_next_status(looker: Looker, loaded: Fleet, hosts: Hosts) -> None:
    looker.start()
    until(looker, lambda n: deployment(n) == "pending", "a first status")
    assert loaded.plan().apply().exit_code == 0
    now = until(looker, lambda n: deployment(n) == "deployed", "the new state")
    assert now.status is not None
    (name,) = (unit for host in hosts.values() for unit in host.running() if "-chat-" in unit)
    host = next(host for host in hosts.values() if name in host.running())
    host.machine.units.crash(name, "CUDA out of memory")
    until(looker, lambda n: deployment(n) == "failed", "a crash")


def test_rates_are_those_of_the_requests_that_were_served(looker: Looker, loaded: Fleet, hosts: Hosts) -> None:
    assert loaded.plan().apply().exit_code == 0
    host = next(host for host in hosts.values() if any("-chat-" in unit for unit in host.running()))
    host.hold_beats()
    looker.start()
    until(looker, lambda n: "chat" in n.figures, "the engine's figures")
    engine = host.figures("-chat-0-")
    engine.served(20, ttft_s=0.3, tokens=50)
    engine.waiting, engine.running, engine.kv_cache = 3, 2, 0.25
    host.beat(2)  # engines are asked every two seconds
    now = until(looker, lambda n: n.figures["chat"].requests_s, "requests per second")
    chat = now.figures["chat"]
    assert chat == now.figures["chat/0"]
    assert (chat.requests_s, chat.tokens_s) == (pytest.approx(10.0, rel=1e-3), pytest.approx(500.0, rel=1e-3))
    assert (chat.queue, chat.running, chat.kv_cache) == (3, 2, 0.25)
    assert chat.ttft_p95_s is not None
    assert 0.25 < chat.ttft_p95_s <= 0.5
    host.beat(12)
    until(looker, lambda n: n.figures["chat"].requests_s == 0.0, "silence after ten seconds")


def test_a_host_that_is_cut_off_is_lost_within_its_deadline_and_comes_back(looker: Looker, hosts: Hosts) -> None:
    looker.start()
    until(looker, lambda n: n.status and set(states(n).values()) == {"up"}, "both up")
    cut_at = time.monotonic()
    hosts["h1"].cut()
    now = until(looker, lambda n: n.hosts["h1"].state == "lost", "lost")
    assert time.monotonic() - cut_at < 2.0
    assert now.hosts["h2"].state == "up"
    assert len(now.hosts["h1"].gpus) == 2, "what was heard last stays"
    now = until(looker, lambda n: n.hosts["h1"].state == "unreachable", "unreachable")
    assert "timed out" in (now.hosts["h1"].error or "")
    until(looker, lambda n: not _host(n, "h1").reachable, "a status without it")
    hosts["h1"].heal()
    until(looker, lambda n: n.hosts["h1"].state == "up" and _host(n, "h1").reachable, "back")
    assert now.hosts["h1"].state == "unreachable", "an old picture does not change"


def test_the_replicas_of_a_lost_host_are_unknown_and_keep_their_place(looker: Looker, loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    looker.start()
    until(looker, lambda n: deployment(n) == "deployed", "deployed")
    for host in hosts.values():
        host.cut()
    now = until(looker, lambda n: deployment(n) == "degraded", "not known any more")
    assert now.status is not None
    (chat,) = now.status.deployments
    assert (chat.revision, [r.state for r in chat.replicas]) == (1, ["unknown"])
    assert now.figures == {}


def test_hosts_that_never_answer_are_said_to_be_unreachable_with_the_next_step(looker: Looker, hosts: Hosts) -> None:
    hosts["h2"].unreachable = "key"
    looker.start()
    now = until(looker, lambda n: n.status, "a status")
    assert now.status is not None
    assert states(now) == {"h1": "up", "h2": "unreachable"}
    assert "hosts trust" in (now.hosts["h2"].hint or "")
    assert now.hosts["h2"].heard_s is None


def test_an_apply_goes_on_while_the_watch_of_its_host_breaks_and_is_back(looker: Looker, loaded: Fleet, hosts: Hosts) -> None:
    looker.start()
    until(looker, lambda n: set(states(n).values()) == {"up"}, "both up")
    held = [host.faults.hold("unit.start") for host in hosts.values()]
    planned, reports, events = loaded.plan(), [], []
    applying = threading.Thread(target=lambda: reports.append(planned.apply(on_event=events.append)))
    applying.start()
    until(looker, lambda _: any(hold.reached.is_set() for hold in held), "the apply's middle")
    for name in hosts:
        looker._looking._pool.drop(name)  # type: ignore[union-attr]
    until(looker, lambda n: set(states(n).values()) != {"up"}, "lost")
    until(looker, lambda n: set(states(n).values()) == {"up"}, "back")
    for hold in held:
        hold.release()
    applying.join(30)
    assert [report.exit_code for report in reports] == [0]
    assert [event for event in events if event.state == "broken"] == []


def test_a_host_added_to_the_files_is_looked_at_and_one_that_went_is_not(loaded: Fleet, hosts: Hosts, tmp_path: Path) -> None:
    hosts["h3"] = FakeHost("h3", tmp_path / "machines", gpus=1)
    session = Session(loaded)
    session.watch()
    try:
        until(session, lambda n: n.status and set(states(n).values()) == {"up"}, "both up")
        (loaded.root / "hosts/h2.yaml").unlink()
        (loaded.root / "hosts/h3.yaml").write_text("name: h3\naddress: 192.0.2.3\n")
        session.reload()
        now = until(session, lambda n: states(n) == {"h1": "up", "h3": "up"}, "the new list")
        assert now.hosts["h1"].gpus, "what was known of h1 is kept"
        until(session, lambda n: n.status and {h.name for h in n.status.hosts} == {"h1", "h3"}, "a status of the new list")
    finally:
        session.close()


def test_the_files_alone_make_a_new_status(loaded: Fleet, hosts: Hosts) -> None:
    session = Session(loaded)
    session.watch()
    try:
        until(session, lambda n: n.status, "a status")
        path = loaded.root / "deployments/chat.yaml"
        path.write_text(path.read_text() + "state: stopped\n")
        session.reload()
        until(session, lambda n: deployment(n) == "stopped", "stopped")
    finally:
        session.close()


def test_nobody_watches_on_once_the_session_is_closed(loaded: Fleet, hosts: Hosts) -> None:
    session = Session(loaded)
    session.watch()
    until(session, lambda n: set(states(n).values()) == {"up"}, "both up")
    session.close()
    end = time.monotonic() + 10
    while any(thread.name.endswith("-watch") and thread.name[:2] in hosts for thread in threading.enumerate()):
        assert time.monotonic() < end, [thread.name for thread in threading.enumerate()]
        threading.Event().wait(0.01)


def _host(now: FleetNow, name: str) -> Any:
    assert now.status is not None
    return next(host for host in now.status.hosts if host.name == name)
