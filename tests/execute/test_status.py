"""From what hosts say to the state of deployments and hosts."""

from typing import Any

import pytest

from deployer.cli.status import render
from deployer.execute.history import history
from deployer.execute.standing import DeploymentState
from deployer.execute.status import make_status
from deployer.spec.models import FleetSpec, GatewaySpec, HostSpec
from deployer.state.observed import Observed, Reached, Unreached
from tests.plan.worlds import deployment

GATEWAY = "deployer-acme-gateway.service"
UNIT = "deployer-acme-chat-0-abc.service"


def fleet(replicas: int = 1) -> FleetSpec:
    hosts = {name: HostSpec(name=name, address=f"192.0.2.{name[1]}") for name in ("h1", "h2")}
    chat = deployment("chat", replicas=replicas)
    return FleetSpec(
        id="0123abcd", name="acme", gateway=GatewaySpec(insecure=True, hosts=("h1",)), hosts=hosts, deployments={"chat": chat}
    )


def record(slot: int = 0, unit: str = UNIT, revision: int = 3) -> dict[str, Any]:
    payload = {"slot": slot, "unit": unit, "port": 20000 + slot, "gpus": ["GPU-1"]}
    resource = {
        "kind": "replica",
        "name": f"chat/{slot}",
        "payload": payload,
        "attributes": [{"name": "state", "value": "running"}],
    }
    return {"deployment": "chat", "revision": revision, "at": "2026-01-01T00:00:00Z", "who": "ann", "resources": [resource]}


def host(name: str = "h1", *, active: str | None = "active", gateway: str = "active", **more: Any) -> Reached:
    units = [{"name": GATEWAY, "active": gateway}]
    if active:
        units.append({"name": UNIT, "active": active, "since": "2026-01-01T00:00:01Z", "result": "exit-code", "restarts": 0})
    return Reached(name, {"records": {"chat": record()}, "units": units, **more})  # type: ignore[typeddict-item]


def chat(observed: Observed, replicas: int = 1) -> DeploymentState:
    (found,) = make_status(fleet(replicas), observed, "2026-01-02T00:00:00Z").deployments
    return found


ALIVE = {"run": "r", "alive": True, "deployments": ["chat"], "who": "ann"}


@pytest.mark.parametrize(
    ("observed", "state", "reason"),
    [
        (host(), "deployed", None),
        (host(gateway="failed"), "degraded", "the gateway on h1 is failed"),
        (host(active="activating"), "starting", None),
        (host(active="failed"), "failed", "its unit is failed (exit-code)"),
        (host(active="failed", failures={"chat": {"cause": "no memory", "at": "2026"}}), "failed", "no memory"),
        (host(active=None), "failed", "its unit is not on the host any more: deployer plan"),
        (host(active=None, unfinished=[{**ALIVE, "stage": "artifacts"}]), "downloading", None),
        (host(active="inactive", unfinished=[{**ALIVE, "stage": "switch"}]), "starting", None),
        (Reached("h1", {}), "pending", None),
        (
            Reached("h1", {"roster": {"generation": 1, "holds": {"chat": {"kind": "stopped", "who": "a", "at": "b"}}}}),
            "stopped",
            None,
        ),
    ],
)
def test_the_state_of_one_replica_is_the_state_of_its_deployment(observed: Reached, state: str, reason: str | None) -> None:
    found = chat({"h1": observed})
    assert (found.state, found.reason) == (state, reason)


def test_a_host_that_does_not_answer_leaves_its_replica_unknown_and_not_absent() -> None:
    slots = {"0": {"host": "h1", "port": 20000, "gpus": []}, "1": {"host": "h2", "port": 20000, "gpus": []}}
    roster = {"generation": 2, "hosts": {}, "slots": {"chat": slots}, "holds": {}}
    found = chat({"h1": host(roster=roster), "h2": Unreached("h2", "timeout", "timed out after 5 s")}, replicas=2)
    assert found.state == "degraded"
    assert [r.state for r in found.replicas] == ["deployed", "unknown"]
    assert found.replicas[1].reason == "h2: timed out after 5 s"


def test_the_contract_of_status_json() -> None:
    data = make_status(fleet(), {"h1": host(gpus=[{"uuid": "GPU-1", "name": "H100", "memory_total": 5}])}, "now").json()
    (one,) = data["deployments"]
    assert {"name", "state", "revision", "endpoint", "replicas", "tags"} <= set(one)
    assert one["endpoint"] == "http://192.0.2.1:8443/chat/v1" or one["endpoint"].startswith("http://127.0.0.1")
    assert {"slot", "state", "since", "reason", "units"} == set(one["replicas"][0])
    assert {"host", "unit", "rank", "port", "gpus"} == set(one["replicas"][0]["units"][0])
    (machine,) = data["hosts"]
    assert {"name", "reachable", "gpus", "disk", "agent"} <= set(machine)
    assert set(machine["gpus"][0]) == {"uuid", "name", "memory_total", "memory_used", "utilization", "replica"}
    assert machine["gpus"][0]["replica"] == "chat/0"


def test_an_orphan_is_shown_and_said_to_be_one() -> None:
    spec = fleet()
    spec = spec.model_copy(update={"deployments": {}})
    (found,) = make_status(spec, {"h1": host()}, "now").deployments
    assert (found.name, found.orphan, found.state) == ("chat", True, "deployed")


def test_an_old_failure_is_not_shown_once_a_newer_revision_serves() -> None:
    old = {"chat": {"at": "2025-12-31T23:00:00Z", "cause": "old"}}
    new = {"chat": {"at": "2026-01-01T00:00:00.500Z", "cause": "new"}}
    assert chat({"h1": host(failures=old)}).failure is None
    assert (chat({"h1": host(failures=new)}).failure or {})["cause"] == "new"


def test_history_joins_the_hosts_newest_first() -> None:
    def entry(number: int) -> dict[str, Any]:
        return {"revision": number, "at": f"2026-01-0{number}", "who": "ann", "why": None, "git_commit": "c"}

    one = host(history={"chat": [entry(1), entry(2)]})
    two = host("h2", history={"chat": [entry(2)]})
    found = history({"h1": one, "h2": two}, "chat")
    assert [(r["revision"], r["hosts"], r["current"]) for r in found] == [
        (3, ["h1", "h2"], True), (2, ["h1", "h2"], False), (1, ["h1"], False)
    ]  # fmt: skip


def test_a_start_says_how_far_it_is_and_what_is_expected_of_it() -> None:
    unit = "deployer-acme-chat-0-0a1b2c3d.service"
    doing = {unit: {"phase": "loading shards 5 of 15", "since": "2026-01-01T23:59:23+00:00"}}
    run = {**ALIVE, "stage": "switch", "starting": doing}
    roster = {"generation": 1, "hosts": {}, "slots": {"chat": {"0": {"host": "h1", "port": 20000, "gpus": []}}}, "holds": {}}
    began = [{"at": "2026", "start_s": 41.0, "model": "local--tiny/1"}, {"at": "2027", "start_s": 52.0, "model": "local--tiny/1"}]
    new = Reached("h1", {"roster": roster, "unfinished": [run], "starts": {"chat": began}})  # type: ignore[typeddict-item]
    (replica,) = chat({"h1": new}).replicas
    assert (replica.state, replica.phase, replica.expected_s) == ("starting", "loading shards 5 of 15", 52.0)
    status = make_status(fleet(), {"h1": new}, "2026-01-02T00:00:00+00:00")
    assert "h1:20000 (loading shards 5 of 15, 0:37 of about 0:52)" in render(status)
    assert status.json()["deployments"][0]["replicas"][0]["phase"] == "loading shards 5 of 15"


def test_a_conversion_says_how_far_it_is() -> None:
    doing = {"phase": "writing the converted model, 40 %", "since": "2026-01-01T23:59:00+00:00", "deployments": ["chat"]}
    run = {**ALIVE, "stage": "artifacts", "starting": {}, "converting": doing}
    roster = {"generation": 1, "hosts": {}, "slots": {"chat": {"0": {"host": "h1", "port": 20000, "gpus": []}}}, "holds": {}}
    new = Reached("h1", {"roster": roster, "unfinished": [run]})  # type: ignore[typeddict-item]
    found = chat({"h1": new})
    assert (found.state, found.replicas[0].state) == ("optimizing", "optimizing")
    status = make_status(fleet(), {"h1": new}, "2026-01-02T00:00:00+00:00")
    assert "h1:20000 (writing the converted model, 40 %, 1:00)" in render(status)
    doing["deployments"] = ["another"]
    assert chat({"h1": new}).state == "downloading"


def test_one_that_serves_while_its_successor_starts_says_so() -> None:
    unit = "deployer-acme-chat-0-0a1b2c3d.service"
    run = {**ALIVE, "stage": "switch", "starting": {unit: {"phase": "compiling", "since": None}}}
    found = host(unfinished=[run])
    found.probe["records"]["chat"]["resources"][0] |= {"host": "h1", "attributes": []}
    (replica,) = chat({"h1": found}).replicas
    assert (replica.state, replica.phase, replica.expected_s) == ("deployed", "compiling", None)
    assert "(a new one: compiling)" in render(make_status(fleet(), {"h1": found}, "2026-01-02T00:00:00Z"))
