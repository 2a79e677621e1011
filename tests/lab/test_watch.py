"""Live data of real hosts: samples over standing SSH connections, figures of served requests, a host that is cut off."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployer.app.fleet import Fleet
from deployer.app.looker import Looker
from deployer.app.looking import FleetNow
from tests.lab.commands import REFERENCES, Deployer, ask, tiny_chat, until, written
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    run = written(lab_fleet, {"chat": tiny_chat("lab-2")})
    (lab_fleet.root / "deployer.lock").unlink(missing_ok=True)  # of the tests before
    run("lock")
    run("apply", "--yes")
    yield run
    (lab_fleet.root / "deployments/chat.yaml").unlink()
    run("prune", "--yes", exit_code=None)


@pytest.fixture(scope="module")
def looker(deployer: Deployer) -> Iterator[Looker]:
    with Fleet.load(deployer.root) as fleet:
        found = Looker(fleet)
        found.start()
        yield found
        found.stop()


def reached(looker: Looker, condition: Callable[[FleetNow], Any], why: str, deadline_s: float = 30) -> FleetNow:
    """The picture in which it is true."""

    def look() -> FleetNow | None:
        now = looker.now()
        return now if condition(now) else None

    found: FleetNow = until(look, why, deadline_s)
    return found


def test_every_host_says_a_sample_a_second(looker: Looker, lab_fleet: LabFleet) -> None:
    now = reached(looker, lambda n: n.status and all(h.state == "up" for h in n.hosts.values()), "all hosts up")
    assert now.status is not None
    assert [d.state for d in now.status.deployments if d.name == "chat"] == ["deployed"]
    assert all(host.memory_total and host.load is not None for host in now.hosts.values())
    assert all((host.heard_s or 0) < 3 for host in now.hosts.values())


def test_an_imaginary_gpu_that_works_is_seen_while_nvml_stays_open(looker: Looker, lab_fleet: LabFleet) -> None:
    reached(looker, lambda n: len(n.hosts["lab-1"].gpus) == 2, "two GPUs on lab-1")
    file = "/etc/deployer-lab/gpus"
    before = lab_fleet.run("lab-1", ["cat", file]).stdout
    busy = before.replace(" 0 0 9.0", " 4294967296 73 9.0", 1)
    assert busy != before
    try:
        lab_fleet.run("lab-1", ["tee", file], stdin=busy)
        now = reached(looker, lambda n: n.hosts["lab-1"].gpus[0].sample.utilization == 73, "73 %")
        assert now.hosts["lab-1"].gpus[0].sample.memory_used >= 4 << 30
    finally:
        lab_fleet.run("lab-1", ["tee", file], stdin=before)


def test_the_figures_are_those_of_the_requests_that_were_served(looker: Looker, deployer: Deployer) -> None:
    reached(looker, lambda n: "chat/0" in n.figures and n.figures["chat/0"].requests_s is not None, "the engine's figures")
    for _ in range(20):
        assert ask(deployer, "chat", REFERENCES[0], max_tokens=8)[0] == 200
    now = reached(
        looker, lambda n: (n.figures["chat"].requests_s or 0) > 0 and n.figures["chat"].ttft_p95_s, "requests per second"
    )
    chat = now.figures["chat"]
    assert 0 < (chat.requests_s or 0) <= 20
    assert (chat.tokens_s or 0) > 0
    assert 0 < (chat.ttft_p95_s or 0) < 10
    assert chat.queue == 0


def test_a_host_that_is_cut_off_is_lost_within_its_deadline_and_comes_back(looker: Looker, lab_fleet: LabFleet) -> None:
    reached(looker, lambda n: n.hosts["lab-3"].state == "up", "lab-3 up")
    lab_fleet.cut("lab-3")
    cut_at = time.monotonic()
    try:
        now = reached(looker, lambda n: n.hosts["lab-3"].state == "lost", "lost")
        assert time.monotonic() - cut_at < 7
        assert now.hosts["lab-2"].state == "up"
        reached(looker, lambda n: n.hosts["lab-3"].state == "unreachable", "tried in vain")
    finally:
        lab_fleet.heal("lab-3")
    reached(looker, lambda n: n.hosts["lab-3"].state == "up", "back")
    found = until(
        lambda: next((h for h in looker.now().status.hosts if h.name == "lab-3" and h.reachable), None), "in the status"
    )
    assert found.error is None


def test_no_watch_is_left_on_a_host_that_nobody_looks_at_any_more(looker: Looker, lab_fleet: LabFleet) -> None:
    def watching() -> str:
        return lab_fleet.run("lab-2", ["pgrep", "-f", "[0-9a-f]{64} watch$"], check=False).stdout

    assert watching()
    looker.stop()
    until(lambda: not watching(), "no watch left", 20)
