"""`hosts cordon`, `drain`, `uncordon`: through `main`, over fake hosts with the real agent."""

import json
import threading
from datetime import UTC, datetime

import pytest

from deployer.app.fleet import Fleet
from deployer.app.moments import moment
from deployer.errors import UsageError
from deployer.execute.follow import Control
from deployer.execute.hostrun import Patience
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def replicas(bench: Bench) -> dict[str, list[str]]:
    return {name: [u for u in host.running() if "chat-" in u] for name, host in bench.hosts.items()}


@pytest.fixture
def two(bench: Bench) -> Bench:
    """One replica on each host; h1 is the gateway."""
    bench.edit("name: h1\n", "name: h1\ngateway: true\n", "hosts/h1.yaml")
    bench.edit("name: chat\n", "name: chat\nreplicas: 2\n")
    assert bench("apply", "--yes").code == 0
    assert [len(found) for found in replicas(bench).values()] == [1, 1]
    return bench


def hold(bench: Bench, host: str) -> object:
    return next(h for h in bench.json("status")["hosts"] if h["name"] == host)["hold"]


def test_drain_moves_is_seen_everywhere_is_kept_by_the_next_apply_and_lifted(two: Bench) -> None:
    done = two("hosts", "drain", "h2", "--why", "new disks", "--until", "2h", "--yes")
    assert done.code == 0, done.err
    assert "chat/1 moves: host h2 is drained" in done.out
    assert "deployer hosts uncordon h2" in done.err
    assert [len(found) for found in replicas(two).values()] == [2, 0]
    assert "h2: drained by" in two("status").out
    assert "(new disks)" in two("hosts", "list").out
    assert "host h2 is held drained by" in two("plan").out
    listed = next(h for h in two.json("hosts", "list")["hosts"] if h["name"] == "h2")
    assert (listed["reachable"], listed["hold"]["kind"], listed["hold"]["why"]) == (True, "drained", "new disks")
    assert two("apply", "--yes").code == 0
    assert [len(found) for found in replicas(two).values()] == [2, 0]
    lifted = two("hosts", "uncordon", "h2")
    assert lifted.code == 0
    assert "h2: replicas may be placed there again" in lifted.err
    assert hold(two, "h2") is None
    assert [len(found) for found in replicas(two).values()] == [2, 0]
    assert two("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("words", ["stop chat", "hosts drain h2"])
def test_who_says_no_is_not_told_of_a_hold(two: Bench, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setattr("deployer.cli.console.interactive", lambda: True)
    monkeypatch.setattr("deployer.cli.confirm._ask", lambda question: "n")
    done = two(*words.split())
    assert (done.code, done.err.splitlines()[-1]) == (0, "nothing was changed")
    assert hold(two, "h2") is None


def test_cordon_asks_nothing_since_nothing_moves_and_a_release_lifts_it(two: Bench) -> None:
    before = two.serving()
    assert two("hosts", "cordon", "h2").code == 0
    assert two.serving() == before
    two.edit("replicas: 2\n", "replicas: 4\n")
    assert two("apply", "--yes").code == 0
    assert [len(found) for found in replicas(two).values()] == [3, 1]
    assert two("apply", "--yes", "--release", "h2").code == 0
    assert hold(two, "h2") is None


def test_a_drain_that_fits_nowhere_is_refused_with_the_reason_of_each_host_and_changes_nothing(two: Bench) -> None:
    two.edit("tags: [prod]\n", "tags: [prod]\nplacement: {hosts: [h1, h2]}\n")
    assert two("apply", "--yes").code == 0
    assert two("hosts", "cordon", "h1").code == 0
    before = two.world()
    done = two("hosts", "drain", "h2", "--yes")
    assert done.code == 4
    assert "chat/1 has no host to stand on" in done.out
    assert "h1: is cordoned" in done.out
    assert "h2: is drained" in done.out
    assert hold(two, "h2") is None
    assert {n: {p: b for p, b in t.items() if "/runs/" not in p} for n, t in two.world().items()} == {
        n: {p: b for p, b in t.items() if "/runs/" not in p} for n, t in before.items()
    }


def test_a_move_that_fails_leaves_the_old_replica_serving(two: Bench) -> None:
    before = replicas(two)["h2"]
    two.hosts["h1"].break_engine("chat-1", "it broke")
    done = two("hosts", "drain", "h2", "--yes")
    assert done.code == 5, done.out + done.err
    assert "h2  chat: left as it was" in done.out
    assert replicas(two)["h2"] == before
    two.hosts["h1"].mend_engines()
    again = two("apply", "--yes")
    assert again.code == 0, again.err
    assert [len(found) for found in replicas(two).values()] == [2, 0]


def test_when_the_controller_is_gone_the_old_replica_stays_as_long_as_the_new_one_is_not_there(two: Bench) -> None:
    before = replicas(two)["h2"]
    hold = two.hosts["h1"].faults.hold("unit.start")
    with Fleet.load(two.root) as fleet:
        control = Control()

        def leave() -> None:
            assert hold.reached.wait(30)
            control.interrupt()
            control.interrupt()

        threading.Thread(target=leave).start()
        assert fleet.drain(["h2"]).apply(control=control, patience=Patience(silence_s=0.3)).exit_code == 130
    two.hosts["h2"].settle()
    assert replicas(two)["h2"] == before
    hold.release()
    two.hosts["h1"].settle()
    assert replicas(two)["h2"] == before
    again = two("apply", "--yes")
    assert again.code == 0, again.out + again.err
    assert [len(found) for found in replicas(two).values()] == [2, 0]


def test_a_hold_is_not_lost_to_an_apply_that_was_planned_before_it(two: Bench) -> None:
    two.edit("replicas: 2\n", "replicas: 2\ndescription: said before\n")
    with Fleet.load(two.root) as fleet:
        planned = fleet.plan()
        empty = fleet.uncordon(["h1"])
        assert two("hosts", "cordon", "h2").code == 0
        assert planned.apply().exit_code == 8
        assert empty.apply().exit_code == 8
    assert hold(two, "h2") is not None


def test_what_is_wrong_is_said_before_anything_happens(two: Bench) -> None:
    for words, message in (
        (("drain", "h9"), "there is no host h9"),
        (("cordon", "h2", "--until", "tomorrow"), "tomorrow is neither a time nor a duration"),
        (("cordon", "h2", "--until", "2001-01-01"), "2001-01-01 is over already"),
    ):
        done = two("hosts", *words)
        assert done.code == 64
        assert message in done.err
    done = two("hosts", "drain", "h2")
    assert done.code == 64
    assert "nobody is here to approve" in done.err
    assert hold(two, "h2") is None


def test_a_drain_for_a_program_ends_with_a_report(two: Bench) -> None:
    done = two("hosts", "drain", "h2", "--yes", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert (lines[-1]["type"], lines[-1]["exit_code"]) == ("report", 0)


def test_moments_are_durations_or_times() -> None:
    assert moment("1d2h", NOW) == "2026-01-02T14:00:00Z"
    assert moment("2026-03-01T08:00:00+02:00", NOW) == "2026-03-01T06:00:00Z"
    assert moment(None, NOW) is None
    for wrong in ("", "2 h", "-1h", "99999999999d", "0001-01-01T00:00:00+14:00", "1h ago"):
        with pytest.raises(UsageError):
            moment(wrong, NOW)
