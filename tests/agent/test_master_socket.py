"""A HAProxy whose master starts itself anew refuses for a moment; one that is gone has no socket."""

from types import SimpleNamespace
from typing import Any

import pytest

from deployer.agent.steps import traffic

PROC = "#<PID> <type> <reloads> <uptime> <version>\n40 master 0 0d00h00m 2.6\n41 worker 0 0d00h00m 2.6\n"
STAT = "# pxname,svname,addr,scur,qcur\nbe_chat,s0,127.0.0.1:20000,2,1\n"


class Master:
    """Refuses `times` at each question."""

    def __init__(self, times: float, error: type[OSError] = ConnectionRefusedError) -> None:
        self.now, self._times, self._left, self._error = 0.0, times, times, error

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask_socket(self, path: str, line: str) -> bytes:
        if self._left > 0:
            self._left -= 1
            raise self._error(path)
        self._left = self._times
        return (PROC if line == "show proc" else STAT).encode()


def context(master: Master) -> Any:
    return SimpleNamespace(system=master)


def test_while_it_refuses_its_requests_are_not_none() -> None:
    master = Master(3)
    assert traffic.sessions(context(master), "/run/x/master.sock", {"127.0.0.1:20000"}) == 3
    assert traffic.stats(context(master), "/run/x/master.sock") == {"41": STAT}


@pytest.mark.parametrize(("error", "waited"), [(FileNotFoundError, 0.0), (ConnectionRefusedError, traffic.REFUSED_S)])
def test_one_that_is_gone_has_none(error: type[OSError], waited: float) -> None:
    master = Master(float("inf"), error)
    assert traffic.sessions(context(master), "/run/x/master.sock", {"127.0.0.1:20000"}) == 0
    assert master.now == pytest.approx(waited, abs=traffic.POLL_S)
