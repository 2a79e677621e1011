"""An apply that did not end well says why, also where no step of a host failed: over simulated hosts with the real agent."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from deployer.app.fleet import Fleet
from deployer.errors import DeployerError, Refused
from deployer.execute.events import Event, Report
from deployer.execute.hostrun import Patience
from tests.cli.fakehosts import Bench, bench
from tests.cli.test_canaries import chat as canary

__all__ = ["bench", "canary"]
QUICK = Patience(first_s=0.01, most_s=0.01, total_s=0.05, wait=threading.Event().wait)


def applied(bench: Bench, listen: Callable[[Event], None]) -> Report:
    with Fleet.load(bench.root) as fleet:
        return fleet.plan().apply(patience=QUICK, on_event=listen)


def lost_when(bench: Bench, kind: str) -> Callable[[Event], None]:
    """h1 is lost as soon as an event of this kind is told."""

    def listen(event: Event) -> None:
        if event.type == kind:
            bench.hosts["h1"].unreachable = "timeout"
            bench.hosts["h1"].drop()

    return listen


def test_a_file_that_cannot_be_read_any_more_stops_the_host_and_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: object, blob: Mapping[str, Any]) -> Any:
        raise DeployerError(f"{blob['origin']} is gone")

    monkeypatch.setattr("deployer.app.files.Files.open", gone)
    done = bench("apply", "--yes", "--json")
    report = json.loads(done.out.splitlines()[-1])
    assert done.code == report["exit_code"] == 1
    said = {failure["host"]: failure for failure in report["failures"]}
    assert sorted(said) == sorted(name for name, host in report["hosts"].items() if host["result"] == "failed") != []
    assert all(one["message"].endswith("is gone") and one["undone"] for one in said.values())


def test_such_a_host_is_not_said_to_have_kept_something(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: object, blob: Mapping[str, Any]) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("deployer.app.files.Files.open", gone)
    done = bench("apply", "--yes")
    assert "the run: unexpected: OSError: [Errno 5] Input/output error" in done.out
    assert "what stood before is back" in done.out
    assert "not everything could be put back" not in done.out


def test_an_agent_that_breaks_between_two_steps_is_said_with_what_it_met(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> str:
        raise RuntimeError("secret-77")

    monkeypatch.setattr("deployer.agent.work.Runner.run", broken)
    done = bench("apply", "--yes")
    assert done.code == 1
    assert "the run: unexpected RuntimeError in test_failures_said.py:" in done.out
    assert "not everything could be put back" in done.out
    assert "secret-77" not in done.out + done.err


def test_replicas_that_could_not_go_back_are_in_the_report(bench: Bench) -> None:
    rollout = "rollout: {strategy: rolling, min_healthy: 0s}"
    bench.edit("tags: [prod]", f"tags: [prod]\nreplicas: 2\nplacement: {{hosts: [h1]}}\n{rollout}")
    assert bench("apply", "--yes").code == 0
    bench.edit("ctranslate2: {}", "ctranslate2: {max_model_len: 32}")
    planned = {c["resource"]: c for c in json.loads(bench("plan", "--json").out)["changes"]}
    bench.hosts["h1"].break_engine(planned["replica:chat/1"]["after"]["payload"]["unit"], "ERROR out of memory")
    report = applied(bench, lost_when(bench, "revert"))
    assert report.exit_code == 1
    assert [note for note in report.notes if note.startswith("chat: its replicas could not go back")] == list(report.notes) != []


@pytest.fixture
def good(canary: Bench) -> Bench:
    """The canary of the next apply is good and promoted by itself."""
    canary.edit("watch: 1m", "watch: 1m, promote: auto")
    canary.each(lambda host: host.traffic("chat-0", 40))
    canary.each(lambda host: host.traffic("chat-1", 10))
    return canary


def test_a_canary_whose_host_was_lost_before_it_was_promoted_is_in_the_report(good: Bench) -> None:
    report = applied(good, lost_when(good, "promote"))
    assert report.exit_code == 6
    assert [note.startswith("chat: its canary could not be promoted on h1: unreachable: ") for note in report.notes] == [True]


def test_a_canary_that_must_not_be_promoted_is_in_the_report(good: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(fleet: Fleet, name: str) -> Any:
        raise Refused("the disk of h1 is full", where=name)

    monkeypatch.setattr("deployer.app.canary.promote", refused)
    report = applied(good, lambda event: None)
    assert report.exit_code == 4
    assert report.notes == ("chat: its canary stands, and could not be promoted: the disk of h1 is full",)
