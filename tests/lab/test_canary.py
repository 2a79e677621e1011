"""A canary under load on a real host: its share, and no request that fails while it comes, goes, or is promoted."""

import re
from collections.abc import Iterator

import pytest

from tests.lab.commands import Deployer, asked, deployed, lean_chat, write_deployment
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST, NAME = "lab-1", "tried"


def deployment(length: int) -> str:
    rules = "rollout: {strategy: canary, canary: {share: 30%, watch: 4s}, min_healthy: 1s, healthy_deadline: 20s}\n"
    return f"{lean_chat(HOST, length)}{rules}"


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    with deployed(lab_fleet, {NAME: deployment(512)}) as run:
        yield run


def answered(deployer: Deployer) -> dict[int, int]:
    """By slot, how many requests its engine answered, by its own metrics."""
    (found,) = (d for d in deployer.json("status")["deployments"] if d["name"] == NAME)
    counts = {}
    for replica in found["replicas"]:
        port = replica["units"][0]["port"]
        text = deployer.lab.run(HOST, ["curl", "-s", f"http://127.0.0.1:{port}/metrics"]).stdout
        counts[replica["slot"]] = int(sum(float(n) for n in re.findall(r"^vllm:request_success_total\S* (\S+)", text, re.M)))
    return counts


def test_it_comes_and_is_promoted_without_a_failed_request(deployer: Deployer) -> None:
    write_deployment(deployer.root, NAME, deployment(480))
    with asked(deployer, NAME) as clients:
        said = deployer("apply", "--yes")
        before = answered(deployer)
        clients.wait_for(300)
        after = answered(deployer)
    assert clients.result.failed == 0, clients.result.reasons
    assert "watched" in said.stdout + said.stderr
    new, old = after[1] - before[1], after[0] - before[0]
    assert 0.15 <= new / (new + old) <= 0.45, (new, old)
    deployer("plan", "--detailed-exitcode")
    with asked(deployer, NAME) as clients:
        deployer("promote", NAME, "--yes")
    assert clients.result.failed == 0, clients.result.reasons
    assert list(answered(deployer)) == [0]
    deployer("plan", "--detailed-exitcode")


def test_it_is_reverted_without_a_failed_request(deployer: Deployer) -> None:
    write_deployment(deployer.root, NAME, deployment(448))
    deployer("apply", "--yes")
    assert list(answered(deployer)) == [0, 1]
    with asked(deployer, NAME) as clients:
        deployer("revert", NAME, "--yes")
    assert clients.result.failed == 0, clients.result.reasons
    assert list(answered(deployer)) == [0]
    deployer("plan", "--detailed-exitcode")
