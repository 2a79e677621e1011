"""What HAProxy's master does not say is unknown, and unknown is not "no requests": while it starts itself anew it refuses, when
it hangs it is silent, when a worker has ended it says something else. Only one that systemd knows to be down has none.
"""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.agent import canary
from deployer.agent.context import StepFailed
from deployer.agent.steps import traffic
from deployer.agent.steps.traffic import sessions, stats
from deployer.agent.system import Done, TooLong
from deployer.plan.rounds import CLEARLY_WORSE

UNIT = "deployer-acme-gateway.service"
PROC = "#<PID> <type> <reloads> <uptime> <version>\n40 master 0 0d00h00m 2.6\n41 worker 0 0d00h00m 2.6\n"
HEAD = "# pxname,svname,addr,scur,qcur,stot,hrsp_5xx,rtime\n"
STAT = HEAD + "be_chat,s0,127.0.0.1:20000,2,1,9,0,5\n"
NO_WORKER = "Can't find the target PID matching the prefix '@!41'\n"
PORTS = {"127.0.0.1:20000"}

Says = Callable[[float, str], str]


def well(now: float, line: str) -> str:
    return PROC if line == "show proc" else STAT


def idle(now: float, line: str) -> str:
    return PROC if line == "show proc" else HEAD


def silent(now: float, line: str) -> str:
    raise TimeoutError("timed out")


def refusing(now: float, line: str) -> str:
    raise ConnectionRefusedError(111, "Connection refused")


def no_socket(now: float, line: str) -> str:
    raise FileNotFoundError(2, "No such file or directory")


def cut_off(now: float, line: str) -> str:
    return ""


def worker_ended(now: float, line: str) -> str:
    return PROC if line == "show proc" else NO_WORKER


def worker_silent(now: float, line: str) -> str:
    return PROC if line == "show proc" else silent(now, line)


def until(seconds: float, first: Says, then: Says) -> Says:
    return lambda now, line: (first if now < seconds else then)(now, line)


class Host:
    """Its HAProxy says what `says` says at that time; an answer that does not come takes `patience` seconds."""

    def __init__(self, says: Says, state: str = "active", patience: float = 5.0) -> None:
        self.now, self._says, self._state, self._patience = 0.0, says, state, patience

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask_socket(self, path: str, line: str) -> bytes:
        assert path == "/run/deployer-acme-gateway/master.sock"
        try:
            return self._says(self.now, line).encode()
        except TimeoutError:
            self.now += self._patience
            raise

    def run(self, argv: list[str], **_: object) -> Done:
        if self._state == "late":
            raise TooLong("systemctl", 15, [])
        told = f"Id={argv[-1]}\nActiveState={self._state}\nNRestarts=0\n"
        return Done(0, told.encode(), b"") if self._state else Done(1, b"", b"Failed to connect to bus\n")

    def http(self, *_: object, **__: object) -> tuple[int, bytes]:
        return 200, b""


def context(host: Host, **args: Any) -> Any:
    told: list[dict[str, Any]] = []
    return SimpleNamespace(
        system=host,
        args={"unit": UNIT, **args},
        fleet={"id": "7f3a9c21", "name": "acme"},
        check=lambda: None,
        told=told,
        progress=lambda **data: told.append(data),
        warn=lambda text: told.append({"warn": text}),
    )


def drain(host: Host, **args: Any) -> str | None:
    return traffic.Drained().do(context(host, ports=[20000], **args), {})


def test_its_requests_are_counted_also_when_it_refuses_for_a_moment() -> None:
    assert sessions(context(Host(well)), UNIT, PORTS) == 3
    host = Host(until(1.0, refusing, well))
    assert sessions(context(host), UNIT, PORTS) == 3
    assert 1.0 <= host.now < 2.0
    assert stats(context(Host(well)), UNIT) == {"41": STAT}


@pytest.mark.parametrize("says", [no_socket, refusing])
@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_one_that_systemd_knows_to_be_down_has_none(says: Says, state: str) -> None:
    assert sessions(context(Host(says, state)), UNIT, PORTS) == 0
    assert stats(context(Host(says, state)), UNIT) == {}


@pytest.mark.parametrize("state", ["active", "reloading", "activating", "deactivating", "", "late"])
@pytest.mark.parametrize("says", [no_socket, refusing, silent, cut_off, worker_ended, worker_silent])
def test_one_that_may_run_and_does_not_say_may_have_some(says: Says, state: str) -> None:
    assert sessions(context(Host(says, state)), UNIT, PORTS) is None
    assert stats(context(Host(says, state)), UNIT) is None


@pytest.mark.parametrize("says", [refusing, silent, cut_off, worker_ended, worker_silent])
def test_a_drain_waits_for_one_that_does_not_say_and_then_for_silence(says: Says) -> None:
    host = Host(until(30.0, says, idle), patience=0.3)
    assert drain(host) is None
    assert 30.0 + 0.9 * traffic.QUIET_S < host.now < 40.0


def test_a_drain_of_one_that_never_says_lasts_to_its_deadline_and_says_so() -> None:
    """Also when it is undone: there nobody hears what a step gives back."""
    for do in (traffic.Drained().do, traffic.Drained().undo):
        host = Host(silent)
        ctx = context(host, ports=[20000], deadline_s=60, undo=do.__name__ == "undo")
        do(ctx, {})
        said = r"after 6\d s the gateway could still not be asked whether requests run there: some may have been cut"
        assert re.fullmatch(said, ctx.told[-1]["warn"])
        assert 60.0 < host.now <= 66.0


def test_a_drain_that_ends_in_time_warns_of_nothing_and_one_that_does_not_says_how_many_it_cuts() -> None:
    ctx = context(Host(until(30.0, well, idle)), ports=[20000], deadline_s=60)
    assert traffic.Drained().do(ctx, {}) is None
    assert not [one for one in ctx.told if "warn" in one]
    assert drain(Host(well), deadline_s=60) == "3 requests still ran after 60 s and may have been cut"


def watched(host: Host, seconds: float = 20.0) -> tuple[str, str]:
    """The verdict, and why."""
    ctx = context(host, seconds=seconds, port=20001, against=[20000], gateway=UNIT, rules=CLEARLY_WORSE)
    why = traffic.Watch().do(ctx, {})
    return ctx.told[-1]["verdict"], str(why)


def traffic_of(canary_failed: int, old_failed: int = 0) -> Says:
    """Since seconds began: a hundred requests a second each, so many of them failed."""

    def says(now: float, line: str) -> str:
        if line == "show proc":
            return PROC
        rows = [(20001, canary_failed), (20000, old_failed)]
        many = int(now) * 100 + 50000
        return HEAD + "".join(f"be_chat,s,127.0.0.1:{port},0,0,{many},{int(now) * failed},5\n" for port, failed in rows)

    return says


def test_a_canary_is_measured_from_the_first_time_that_the_gateway_says_what_it_counts() -> None:
    host = Host(until(3.0, cut_off, traffic_of(0)))
    verdict, why = watched(host)
    assert verdict == canary.GOOD
    assert "50000" not in why
    requests = int(why.split(" requests failed")[0].rpartition(" ")[2])
    assert requests < 2000, "what the old ones did before it counts for nothing"


@pytest.mark.parametrize("says", [silent, cut_off, worker_ended])
def test_a_canary_is_not_good_because_nobody_counts(says: Says) -> None:
    assert watched(Host(says, patience=1.0)) == canary.UNTOLD
    verdict, why = watched(Host(until(15.0, traffic_of(0), says), patience=1.0))
    assert (verdict, why) == canary.UNTOLD, "its last seconds are not known"


def test_a_canary_that_fails_is_found_after_a_moment_of_silence() -> None:
    with pytest.raises(StepFailed, match="clearly worse"):
        watched(Host(until(5.0, cut_off, traffic_of(50))))
