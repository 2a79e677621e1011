"""Rollouts under load on real hosts: what clients meet while a deployment is updated, rolled back, or fails to be updated.

One deployment of two replicas on one host goes through all strategies; one of a single replica is replaced in place, where the
plan's word about the downtime is held against what clients measured.
"""

import re
from collections.abc import Iterator

import pytest

from tests.lab.commands import BEFORE_AND_AFTER, Deployer, asked, deployed, lean_chat, write_deployment
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST = "lab-1"


def pair(strategy: str, length: int) -> str:
    rules = f"rollout: {{strategy: {strategy}, min_healthy: 1s, healthy_deadline: 15s}}\n"
    return f"{lean_chat(HOST, length)}replicas: 2\n{rules}"


def alone(length: int) -> str:
    return f"{lean_chat(HOST, length)}rollout: {{strategy: recreate, min_healthy: 1s}}\n"


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    with deployed(lab_fleet, {"pair": pair("blue_green", 512), "alone": alone(512)}) as run:
        yield run


def units(deployer: Deployer, name: str) -> dict[str, int]:
    """Unit → port of every replica."""
    (found,) = (d for d in deployer.json("status")["deployments"] if d["name"] == name)
    return {unit["unit"]: unit["port"] for replica in found["replicas"] for unit in replica["units"]}


def answered(deployer: Deployer, name: str) -> list[int]:
    """How many requests each replica's engine answered, by its own metrics."""
    texts = [
        deployer.lab.run(HOST, ["curl", "-s", f"http://127.0.0.1:{port}/metrics"]).stdout
        for port in units(deployer, name).values()
    ]
    return [sum(float(n) for n in re.findall(r"^vllm:request_success_total\S* (\S+)", text, re.M)) for text in texts]


@pytest.mark.parametrize(("strategy", "length"), [("blue_green", 480), ("rolling", 448)])
def test_no_request_fails_while_both_replicas_are_replaced(deployer: Deployer, strategy: str, length: int) -> None:
    before = units(deployer, "pair")
    write_deployment(deployer.root, "pair", pair(strategy, length))
    assert f"pair {strategy}" in " ".join(deployer("plan").stdout.split())
    with asked(deployer, "pair") as clients:
        deployer("apply", "--yes")
    after = units(deployer, "pair")
    assert clients.result.failures == ()
    assert len(after) == 2
    assert not set(before) & set(after)
    assert min(answered(deployer, "pair")) >= BEFORE_AND_AFTER / 4


def test_no_request_fails_while_an_earlier_revision_comes_back(deployer: Deployer) -> None:
    before = units(deployer, "pair")
    with asked(deployer, "pair") as clients:
        deployer("rollback", "pair", "--yes")
    after = units(deployer, "pair")
    assert clients.result.failures == ()
    assert len(after) == 2
    assert not set(before) & set(after)
    deployer("apply", "--yes", "--release", "pair")


@pytest.mark.parametrize("strategy", ["blue_green", "rolling"])
def test_a_revision_that_fails_inference_never_gets_a_request(deployer: Deployer, strategy: str) -> None:
    """It loads and is healthy, and has room for no prompt. Whatever it is asked it answers with 400, which nothing hides from a
    client: that no request failed says that none came to it."""
    before = units(deployer, "pair")
    write_deployment(deployer.root, "pair", pair(strategy, 2))
    with asked(deployer, "pair") as clients:
        said = deployer("apply", "--yes", exit_code=5)
    assert "an inference is answered with 400" in said.stdout + said.stderr
    assert clients.result.failures == ()
    assert units(deployer, "pair") == before


def test_the_downtime_of_a_replacement_in_place_is_what_the_plan_said(deployer: Deployer) -> None:
    for length in (480, 448):
        write_deployment(deployer.root, "alone", alone(length))
        (change,) = (c for c in deployer.json("plan", "alone")["changes"] if c["resource"] == "replica:alone/0")
        said = change["impact"]
        assert "seen" not in said["start_basis"]
        with asked(deployer, "alone") as clients:
            deployer("apply", "alone", "--yes")
        measured = clients.result.longest_gap_s
        print(f"downtime: the plan said {said['downtime_s']:.1f} s ({said['start_basis']}), clients measured {measured:.1f} s")
        assert clients.result.failed > 0
        assert said["downtime_s"] / 3 - 3 < measured < said["downtime_s"] * 3 + 3
