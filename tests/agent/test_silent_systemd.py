"""A systemd that hangs, or that cannot be asked: nothing is concluded from its silence. What may run is not taken for gone, what
may be alive is not undone, and who asked is told why, in words.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from deployer.agent import attach, peers, runs, wire
from deployer.agent.context import Context, Shared, StepFailed
from deployer.agent.recover import undo_run
from deployer.agent.steps import adapters, gateway, ready, traffic, units
from deployer.agent.system import Done, Silent, TooLong
from deployer.errors import DeployerError
from deployer.transport.fake import FakeHost
from tests.agent.support import (
    FLEET,
    GATEWAY,
    Run,
    ask,
    connect,
    deployment,
    probe,
    ready_args,
    run_request,
    step,
    transaction,
    tree,
    unit_name,
)
from tests.agent.test_adapters import SQL, STYLE, serve
from tests.agent.test_faults_mended import killed, undo
from tests.agent.test_watch import Watching

Words = Sequence[str]
Fails = Callable[[Words], Done]


def hangs(words: Words) -> Done:
    raise TooLong(words[0], 15.0, [])


def no_process(words: Words) -> Done:
    raise OSError(11, "Resource temporarily unavailable")


def no_bus(words: Words) -> Done:
    return Done(1, b"", b"Failed to get properties: Transport endpoint is not connected\n")


SILENCES = {
    hangs: "systemd does not answer within 12 s",
    no_process: "systemd cannot be asked: systemctl: Resource temporarily unavailable",
    no_bus: "systemd does not answer: Failed to get properties: Transport endpoint is not connected",
}


class Systemd:
    """That of a simulated host: programs of `verbs` ("show", "systemd-run") fail from `silence` to `speak`, or so many times."""

    def __init__(self, host: FakeHost) -> None:
        self._run, self._fails, self._verbs, self._left = host.machine.run, hangs, {""}, 0
        self.after = 0  # so many are answered before
        host.machine.run = self._answer  # type: ignore[method-assign]

    def silence(self, fails: Fails = hangs, *verbs: str, times: int = 1 << 30) -> None:
        self._fails, self._verbs, self._left = fails, set(verbs or ("show",)), times

    def speak(self) -> None:
        self._left = 0

    def _answer(self, argv: Words, **more: Any) -> Done:
        said = argv[1] if argv[0] == "systemctl" else argv[0]
        if said in self._verbs and self.after > 0:
            self.after -= 1
        elif self._left > 0 and said in self._verbs:
            self._left -= 1
            return self._fails(argv)
        return self._run(argv, **more)


@pytest.fixture
def systemd(host: FakeHost) -> Systemd:
    return Systemd(host)


@pytest.mark.parametrize("fails", SILENCES)
def test_a_host_whose_systemd_is_silent_counts_as_one_that_does_not_answer(
    host: FakeHost, systemd: Systemd, fails: Fails
) -> None:
    assert Run(host, run_request(deployment())).result == "done"
    systemd.silence(fails)
    with pytest.raises(DeployerError) as raised:
        probe(host)
    assert raised.value.what == SILENCES[fails]
    assert raised.value.hint == Silent.hint


def test_a_host_with_no_unit_of_ours_has_nothing_to_ask_systemd_about(host: FakeHost, systemd: Systemd) -> None:
    systemd.silence()
    assert probe(host)["units"] == []


def test_a_run_begins_nothing_where_nobody_can_tell_what_is_up(host: FakeHost, systemd: Systemd) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    systemd.silence()
    run = Run(host, run_request(deployment(digest="bbbb0002", revision=2, old=unit_name())))
    assert run.result == "stale"
    told = run.report["transactions"]["chat"]
    assert told["state"] == "skipped"
    assert told["message"].startswith("systemd does not answer within 12 s, so that nobody can tell")
    systemd.speak()
    assert tree(host.root) == before
    assert (host.running(), probe(host)["unfinished"]) == ([unit_name()], [])


def test_a_run_that_may_be_alive_is_neither_undone_nor_forgotten(host: FakeHost, systemd: Systemd) -> None:
    host.faults.cut_power("unit.ready")
    dead = killed(host, deployment())
    before = tree(host.root)
    systemd.silence()
    assert [one["alive"] for one in ask(host, "runs", {"fleet": FLEET})[0]["runs"]] == [True]
    with pytest.raises(Silent, match=SILENCES[hangs]):
        undo_run(Shared(host.machine, run_request(), {}), dead, lambda **_: None)
    assert tree(host.root) == before
    systemd.speak()
    assert undo(host, dead).result == "done"
    remembered = runs.ids(host.machine)
    systemd.silence()
    runs.forget_old(host.machine, keep=1)
    assert runs.ids(host.machine) == remembered
    systemd.speak()
    runs.forget_old(host.machine, keep=1)
    assert runs.ids(host.machine) == remembered[1:]


def test_a_run_that_systemd_did_not_begin_in_time_is_remembered(host: FakeHost, systemd: Systemd) -> None:
    systemd.silence(hangs, "systemd-run")
    request = run_request(deployment())
    with pytest.raises(DeployerError, match="systemd does not answer: the run was not seen to begin within 30 s") as raised:
        ask(host, "start", request)
    assert raised.value.hint == Silent.hint
    assert runs.ids(host.machine) == [request["run"]], "it may have begun"
    assert list(host.path(wire.ROOT_RUN).glob("*.secrets")) == []
    systemd.speak()
    assert probe(host)["unfinished"] == []


def test_who_follows_a_run_hears_its_end_though_systemd_was_silent_meanwhile(
    host: FakeHost, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "ALIVE_S", 0.01)
    monkeypatch.setattr(attach, "TICK_S", 0.1)
    request = run_request(deployment())
    channel = connect(host).open("start", request)
    lines = channel.lines()
    next(line for line in lines if line["type"] == "barrier")
    systemd.silence()
    assert next(lines)["type"] == "tick"
    assert next(lines)["type"] == "tick", "it is not called lost"
    systemd.speak()
    channel.send({"stop": True})
    assert next(line for line in lines if line["type"] == "report")["result"] == "stopped"


def context(host: FakeHost, **args: Any) -> Context:
    """Of one step that is done by itself: no run asks systemd before it."""
    one = step("switch", "x", unit=unit_name(), **args)
    return Context(Shared(host.machine, run_request(), {}), transaction("t", one, deployment="chat"), one, lambda _data: None)


@pytest.fixture
def standing(host: FakeHost, systemd: Systemd) -> FakeHost:
    assert Run(host, run_request(deployment())).result == "done"
    return host


def test_a_start_is_waited_for_until_systemd_says_how_it_stands(standing: FakeHost, systemd: Systemd) -> None:
    standing.machine.units.known[unit_name()].restarts = 5  # of before: none of this start's
    systemd.silence(times=20)
    assert ready.Ready().do(context(standing, **ready_args(20000)), {}) == "answers"


def test_a_new_one_that_answers_holds_though_systemd_is_silent_and_one_that_does_not_fails(
    standing: FakeHost, systemd: Systemd
) -> None:
    steady = traffic.Steady()
    ctx = context(standing, seconds=3, port=20000)
    systemd.silence(times=20)
    systemd.after = 1
    assert steady.do(ctx, {}) == "held for 3 s"
    systemd.silence()
    systemd.after = 1
    standing.machine.units.known[unit_name()].ports = ()
    with pytest.raises(StepFailed, match="answered and does not any more: no answer on port 20000"):
        steady.do(context(standing, seconds=30, port=20000), {})


def test_a_stop_that_systemd_refused_does_not_count_as_done_because_nobody_can_tell(standing: FakeHost, systemd: Systemd) -> None:
    systemd.silence(no_bus, "stop", "show")
    with pytest.raises(Silent):
        units.stop(context(standing), unit_name(), 10.0)
    systemd.speak()
    assert standing.running() == [unit_name()]


def test_adapters_of_an_engine_that_may_run_are_not_taken_for_what_its_files_say(host: FakeHost, systemd: Systemd) -> None:
    serve(host, SQL)
    systemd.silence()
    with pytest.raises(Silent):
        adapters.Follow().check(context(host, port=20000, adapters=[STYLE]))


@pytest.mark.parametrize("verb", ["daemon-reload", "start", "enable"])
def test_a_word_that_systemd_does_not_take_is_named(standing: FakeHost, systemd: Systemd, verb: str) -> None:
    systemd.silence(hangs, verb)
    run = Run(standing, run_request(deployment(digest="bbbb0002", revision=2, old=unit_name())))
    assert run.result in ("failed", "rolled-back")
    message = run.report["transactions"]["chat"]["message"]
    assert message.startswith(f"systemctl {verb}")
    assert "took longer than 60 s" in message


def test_why_a_gateway_does_not_come_up_is_said_also_where_its_journal_hangs(host: FakeHost, systemd: Systemd) -> None:
    systemd.silence(hangs, "journalctl")
    with pytest.raises(StepFailed, match=f"the gateway {GATEWAY} is inactive"):
        gateway.Reload()._until_active(context(host), GATEWAY)


def test_certificates_and_services_of_others_are_told_in_words_too(host: FakeHost, systemd: Systemd) -> None:
    systemd.silence(hangs, "openssl", "show")
    with pytest.raises(StepFailed, match="openssl made no certificate: openssl took longer than 15 s"):
        peers.make(host.machine, FLEET, "gpu-01")
    host.path("/etc/systemd/system/mine.service").write_text("[Service]\nExecStart=/bin/x\n", encoding="utf-8")
    with pytest.raises(DeployerError, match="systemd does not answer within 12 s"):
        ask(host, "unit", {"fleet": FLEET, "unit": "mine.service"})


def test_who_watches_sees_that_a_replica_is_unknown_and_goes_on_watching(standing: FakeHost, systemd: Systemd) -> None:
    watching = Watching(standing)
    assert watching.first["units"][0]["active"] == "active"
    systemd.silence()
    assert watching.until(lambda sample: sample["units"][0]["active"] == "unknown")
    systemd.speak()
    assert watching.until(lambda sample: sample["units"][0]["active"] == "active")
    watching.channel.close()
