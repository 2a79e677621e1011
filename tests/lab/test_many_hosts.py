"""A deployment across hosts, and plans in which one host is away, has moved, is busy, or is not who it says."""

import hashlib
import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.spec.gateway import GatewaySpec
from tests.lab.commands import REFERENCES, Deployer, as_gateway, ask, deployed, post, text_of, write_deployment
from tests.lab.conftest import LabFleet
from tests.lab.controllers import applying

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

KEY = "sk-lab-pair-0123456789"
PAIR = f"""\
model: {{path: models/tiny-chat}}
engine: {{ctranslate2: {{quantization: float32, max_model_len: 512}}}}
replicas: 2
endpoint:
  keys: [{{name: team, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}]
placement: {{hosts: [lab-1, lab-2]}}
"""
QUESTION = REFERENCES[2]


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    """`pair` on lab-1 and lab-2; lab-3 carries the endpoint and has no replica."""
    with as_gateway(lab_fleet, "lab-3"), deployed(lab_fleet, {"pair": PAIR}) as run:
        yield run


def longer(length: int) -> str:
    return PAIR.replace("512", str(length))


def ask_pair(deployer: Deployer, key: str | None = KEY) -> tuple[int, dict[str, Any]]:
    return ask(deployer, "pair", QUESTION, key)


def answers(deployer: Deployer) -> bool:
    status, found = ask_pair(deployer)
    return status == 200 and text_of(found) == QUESTION["text"]


def slots(planned: dict[str, Any]) -> dict[str, str]:
    return {number: slot["host"] for number, slot in planned["roster"]["slots"]["pair"].items()}


def served(deployer: Deployer, host: str) -> int:
    """Requests that the replica on this host has answered so far."""
    (pair,) = deployer.json("status", "pair")["deployments"]
    (port,) = [u["port"] for r in pair["replicas"] for u in r["units"] if u["host"] == host]
    text = deployer.lab.run(host, ["curl", "-s", f"http://127.0.0.1:{port}/metrics"]).stdout
    return int(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("vllm:request_success_total")))


def test_the_endpoint_balances_over_the_fronts_of_both_hosts(deployer: Deployer) -> None:
    deployer("plan", "--detailed-exitcode", exit_code=0)
    address = deployer.lab.hosts["lab-3"].address
    assert address in deployer.json("endpoint", "pair")["url"]
    before = {host: served(deployer, host) for host in ("lab-1", "lab-2")}
    assert all(answers(deployer) for _ in range(6))
    grown = {host: served(deployer, host) - before[host] for host in before}
    assert all(grown.values()), grown
    assert ask_pair(deployer, key=None)[0] == 401
    assert ask_pair(deployer, key="sk-wrong")[0] == 401


def test_both_hosts_serve_the_bytes_of_one_conversion(deployer: Deployer) -> None:
    sums = set()
    for host in ("lab-1", "lab-2"):
        record = json.loads(deployer.lab.run(host, ["cat", "/var/lib/deployer/labtests/pair/current.json"]).stdout)
        (path,) = {r["payload"]["path"] for r in record["resources"] if r["payload"].get("method") in ("convert", "copy")}
        sums.add(deployer.lab.run(host, ["sha256sum", f"{path}/model.bin"]).stdout.split()[0])
    assert len(sums) == 1


def test_the_front_of_a_replica_is_no_endpoint_and_lets_only_the_fleets_gateways_in(deployer: Deployer) -> None:
    address = deployer.lab.hosts["lab-2"].address
    url = deployer.json("endpoint", "pair")["url"].replace(deployer.lab.hosts["lab-3"].address, address)
    body = {"model": "pair", "prompt": "Hi", "max_tokens": 1}
    assert post(f"{url}/completions", body, KEY)[0] == 404
    inner = url.replace("/pair/v1", "/_replica/pair/v1")
    assert post(f"{inner}/completions", body, KEY)[0] == 404
    fronts = f"https://{address}:{GatewaySpec().port + 1}/_replica/pair/v1/completions"
    with pytest.raises(
        OSError, match="certificate required|EOF occurred|reset by peer|closed connection"
    ):  # it listens, and hangs up
        urllib.request.urlopen(fronts, json.dumps(body).encode(), timeout=10, context=ssl._create_unverified_context())


def test_a_host_that_is_cut_keeps_its_slots_and_the_others_go_on(deployer: Deployer) -> None:
    stays = slots(deployer.json("plan"))
    assert sorted(stays.values()) == ["lab-1", "lab-2"]
    write_deployment(deployer.root, "pair", longer(640))
    deployer.lab.cut("lab-2")
    try:
        planned = deployer.json("plan", exit_code=6)
        assert planned["unreachable"]
        assert slots(planned) == stays
        assert {c["host"] for c in planned["changes"]} == {"lab-1"}
        done = deployer("apply", "--yes", exit_code=6)
        assert "lab-2" in done.stdout
        assert "1 done, 1 unreachable, 1 unchanged" in done.stdout
        assert all(answers(deployer) for _ in range(3))  # by the other one
    finally:
        deployer.lab.heal("lab-2")
    planned = deployer.json("plan")
    assert {c["host"] for c in planned["changes"]} == {"lab-2"}
    assert slots(planned) == stays
    deployer("apply", "--yes")
    deployer("plan", "--detailed-exitcode", exit_code=0)


def test_a_saved_plan_is_refused_for_the_host_that_changed_meanwhile_and_done_on_the_other(
    deployer: Deployer, tmp_path: Path
) -> None:
    write_deployment(deployer.root, "pair", longer(768))
    saved = str(tmp_path / "saved.json")
    deployer("plan", "--out", saved)
    (pair,) = deployer.json("status", "pair")["deployments"]
    (unit,) = [u["unit"] for r in pair["replicas"] for u in r["units"] if u["host"] == "lab-1"]
    deployer.lab.run("lab-1", ["systemctl", "disable", unit])
    done = deployer("apply", saved, "--yes", exit_code=8)
    assert "lab-1  stale: since the plan was made, these changed: the fleet's units" in done.stdout
    assert "1 stale, 1 done, 1 unchanged" in done.stdout
    assert {c["host"] for c in deployer.json("plan")["changes"]} == {"lab-1"}
    deployer("apply", "--yes")
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert answers(deployer)


def test_of_two_applies_at_once_one_is_told_who_is_at_it(deployer: Deployer) -> None:
    write_deployment(deployer.root, "pair", longer(896))
    with applying(deployer) as first:
        first.until("pair/0 answers")
        second = deployer("apply", "--yes", exit_code=7)
        code, events = first.end()
    assert (code, events[-1]["type"]) == (0, "report")
    assert "is applying here since" in second.stdout
    assert events[-1]["run"] in second.stdout
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert answers(deployer)


def test_a_host_that_shows_another_key_is_not_talked_to_and_the_others_go_on(deployer: Deployer) -> None:
    file = deployer.root / "hosts/lab-2.yaml"
    honest = file.read_text()
    file.write_text(honest.replace(deployer.lab.hosts["lab-2"].host_key, deployer.lab.hosts["lab-3"].host_key))
    write_deployment(deployer.root, "pair", longer(960))
    try:
        planned = deployer("plan", exit_code=6)
        assert "host key" in planned.stdout
        done = deployer("apply", "--yes", exit_code=6)
        assert "1 done, 1 unreachable, 1 unchanged" in done.stdout
        assert "host key" in done.stdout
    finally:
        file.write_text(honest)
    deployer("apply", "--yes")
    assert answers(deployer)
