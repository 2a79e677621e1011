"""What a probe says of a host, and what its fingerprint feels and does not feel."""

import json
from pathlib import Path

import pytest

from deployer.agent import wire
from deployer.agent.facts import machine as machine_facts
from deployer.agent.facts.units import is_marked
from deployer.agent.fingerprint import moved
from deployer.agent.lock import take
from deployer.agent.probe import probe as agent_probe
from deployer.transport.fake import GIB, FakeHost
from tests.agent.support import (
    FLEET,
    OTHER,
    Run,
    ask,
    deployment,
    marked,
    probe,
    record,
    replica,
    run_request,
    step,
    transaction,
    unit_name,
    unit_text,
)


def test_an_empty_host_says_what_it_is(host: FakeHost) -> None:
    seen = probe(host)
    assert seen["os"].startswith("Debian")
    assert (seen["arch"], seen["glibc"], seen["systemd"], seen["python"]) == ("x86_64", "2.36", 252, ["3.11"])
    assert seen["memory_total"] == 256 * GIB
    assert [g["uuid"] for g in seen["gpus"]] == ["GPU-gpu-01-0000", "GPU-gpu-01-0001"]
    assert seen["units"] == seen["foreign_units"] == seen["unfinished"] == []
    assert seen["lock"] is None
    assert seen["secret_key"] is None


def test_a_probe_changes_nothing_on_a_host(host: FakeHost) -> None:
    before = sorted(str(p) for p in host.root.rglob("*"))
    probe(host)
    assert sorted(str(p) for p in host.root.rglob("*")) == before


def test_what_one_probe_is_told_of_no_gpus_is_not_the_next_ones(host: FakeHost) -> None:
    asked = {"fleet": FLEET, "ports": [20000, 20999], "gpus": False}
    agent_probe(host.machine, asked)["gpus"].append({"uuid": "GPU-of-another"})
    assert agent_probe(host.machine, asked)["gpus"] == []


def test_two_hosts_have_two_machine_ids(tmp_path: Path) -> None:
    ids = {probe(FakeHost(name, tmp_path))["machine_id"] for name in ("a", "b")}
    assert len(ids) == 2


def test_a_unit_is_found_with_its_port_and_its_gpu(host: FakeHost) -> None:
    tx = deployment()
    tx["steps"][1]["args"]["content"] = unit_text(20000, "Environment=CUDA_VISIBLE_DEVICES=GPU-gpu-01-0001\n")
    Run(host, run_request(tx))
    seen = probe(host)
    assert {"port": 20000, "address": "127.0.0.1", "unit": unit_name()} in seen["listening"]
    assert [p["unit"] for g in seen["gpus"] for p in g["processes"]] == [unit_name()]


def test_a_drop_in_is_drift_that_can_be_seen(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = probe(host)
    path = f"{wire.UNITS}/{unit_name()}.d/override.conf"
    host.path(path).parent.mkdir()
    host.path(path).write_text("[Service]\nNice=5\n", encoding="utf-8")
    after = probe(host)
    assert after["units"][0]["dropins"] == [path]
    assert path in after["files"]
    assert moved(before["fingerprint"], after["fingerprint"])


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("# Made by deployer for fleet acme, id 7f3a9c21.", True),
        ("# id=7f3a9c21", True),
        ("# id 7f3a9c219", False),
        ("# id 7f3a-7f3a9c21x", False),
        ("Environment=X=7f3a9c21", False),
    ],
)
def test_a_unit_is_ours_by_the_id_in_a_comment_of_its_head(line: str, ours: bool) -> None:
    assert is_marked(f"{line}\n[Unit]\n".encode(), FLEET["id"]) is ours
    assert is_marked(("[Unit]\n" * 20 + line).encode(), FLEET["id"]) is False


def test_the_fingerprint_feels_what_a_plan_rests_on(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    seen = [probe(host)["fingerprint"]]

    def feels(word: str) -> None:
        seen.append(probe(host)["fingerprint"])
        told = moved(seen[-2], seen[-1])
        assert any(word in one for one in told), (word, told)

    host.machine.units.crash(unit_name())
    feels("units")
    host.path("/etc/deployer/acme/chat/0-aaaa0001/args").write_text("changed", encoding="utf-8")
    feels("files")
    note = step("finish", "record", deployment="chat", record=record("chat", 2))
    Run(host, run_request(transaction("t", note)))
    feels("revisions")
    hold = {"chat": {"kind": "stopped", "who": "bob", "at": "now"}}
    ask(host, "roster", {"fleet": FLEET, "roster": {"generation": 1, "holds": hold}})
    feels("holds")
    here = {"gpu-01": {"machine_id": probe(host)["machine_id"]}}
    slots = {"chat": {"0": {"host": "gpu-01", "port": 20000, "gpus": []}}}
    ask(host, "roster", {"fleet": FLEET, "roster": {"generation": 2, "holds": hold, "hosts": here, "slots": slots}})
    feels("slots")


def test_the_fingerprint_does_not_feel_memory_disk_time_or_other_hosts_slots(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = probe(host)["fingerprint"]
    host.machine.disk_bytes = (100, 1)
    host.path("/proc/meminfo").write_text("MemTotal: 1 kB\n", encoding="utf-8")
    marked(host, "/opt/deployer/engines/not-in-use", "environment")
    slots = {"embed": {"0": {"host": "gpu-02", "port": 20000, "gpus": []}}}
    ask(host, "roster", {"fleet": FLEET, "roster": {"generation": 7, "hosts": {"gpu-02": {"machine_id": "x"}}, "slots": slots}})
    assert probe(host)["fingerprint"] == before


def test_an_artifact_says_which_fleets_use_it(host: FakeHost) -> None:
    path = "/var/lib/deployer/models/org--m/abc"
    marked(host, path, "model", bytes=7)
    resource = {"kind": "model", "name": "m", "payload": {"path": path}}
    for fleet in (FLEET, OTHER):
        Run(
            host,
            run_request(
                transaction("t", step("finish", "record", deployment="chat", record=record("chat", 1, resource))), fleet=fleet
            ),
        )
    assert [(a["path"], a["bytes"], a["fleets"]) for a in probe(host)["artifacts"]] == [
        (path, 7, sorted([FLEET["id"], OTHER["id"]]))
    ]


def test_other_paths_for_models_and_engines_are_looked_at(host: FakeHost) -> None:
    marked(host, "/nvme/models/org--m/abc", "model")
    host.path("/nvme/models/somebody/else").mkdir(parents=True)
    seen = probe(host, paths={"models": "/nvme/models"})
    assert [a["path"] for a in seen["artifacts"]] == ["/nvme/models/org--m/abc"]
    assert "/nvme/models" in seen["disks"]


def test_another_fleet_claims_its_ports_and_gpus(host: FakeHost) -> None:
    note = record("x", 1, replica("deployer-other-x-0-1.service", 20005, ["GPU-gpu-01-0000"]))
    Run(host, run_request(transaction("t", step("finish", "record", deployment="x", record=note)), fleet=OTHER))
    assert probe(host)["other_fleets"] == [{**OTHER, "ports": [20005], "gpus": ["GPU-gpu-01-0000"]}]


def test_of_gpus_that_another_fleet_shares_it_is_told_how_much(host: FakeHost) -> None:
    made = []
    for number, (gpus, share) in enumerate([(["GPU-a", "GPU-b"], 30), (["GPU-a"], 20), (["GPU-b"], None)]):
        one = replica(f"deployer-other-x{number}-0-1.service", 20005 + number, gpus)
        one["payload"].update({} if share is None else {"share": share})
        made.append(step("finish", "record", deployment=f"x{number}", record=record(f"x{number}", 1, one)))
    Run(host, run_request(transaction("t", *made), fleet=OTHER))
    (told,) = probe(host)["other_fleets"]
    assert (told["gpus"], told["shares"]) == (["GPU-a", "GPU-b"], {"GPU-a": 50})  # one has GPU-b alone


def test_history_is_short_unless_it_is_asked_for_whole(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    assert "resources" not in probe(host)["history"]["chat"][0]
    assert probe(host, history=["chat"])["history"]["chat"][0]["resources"][0]["kind"] == "replica"


def test_a_model_that_is_said_to_be_there_is_looked_at(host: FakeHost) -> None:
    host.path("/srv/models/x").mkdir(parents=True)
    host.path("/srv/models/x/config.json").write_text("{}", encoding="utf-8")
    seen = probe(host, host_paths=["/srv/models/x", "/srv/none"])["host_paths"]
    assert seen == {"/srv/models/x": {"files": {"config.json": 2}}, "/srv/none": None}


def test_a_file_that_cannot_be_read_is_said(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployer.agent import files

    Run(host, run_request(deployment()))
    secret = "/etc/deployer/acme/chat/0-aaaa0001/args"
    real = files.digest

    def denied(system: object, path: str, *rest: object) -> str:
        if path == secret:
            raise PermissionError(13, "Permission denied", path)
        return real(system, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "digest", denied)
    seen = probe(host)
    assert secret in seen["unreadable"]
    assert secret not in seen["files"]


def test_a_half_written_roster_is_no_roster(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    host.path("/var/lib/deployer/acme/roster.json").write_text('{"generation": 3, ', encoding="utf-8")
    assert probe(host)["roster"] is None


def test_the_lock_is_shown_and_not_taken(host: FakeHost) -> None:
    held = take(host.machine, {"run": "r-1", "who": "bob", "doing": "model x"})
    assert held is not None
    assert probe(host)["lock"] == {"run": "r-1", "who": "bob", "doing": "model x"}
    held.release()
    assert probe(host)["lock"] is None


def test_a_name_that_is_no_fleet_is_refused(host: FakeHost) -> None:
    from deployer.errors import DeployerError

    for name in ("../x", "models", "", "A"):
        with pytest.raises(DeployerError, match="not the name of a fleet"):
            probe(host, {"id": "7f3a9c21", "name": name})


def test_packages_are_read_from_files(host: FakeHost) -> None:
    from deployer.transport.simulation import furniture

    furniture.set_packages(host.root, {"haproxy": "2.6.12-1", "gcc": "4:12.2.0"})
    found = probe(host)["packages"]
    assert (found["haproxy"], found["gcc"]) == ("2.6.12-1", "4:12.2.0")


def test_a_removed_package_with_configuration_left_is_not_installed(host: FakeHost) -> None:
    host.path("/var/lib/dpkg/info/haproxy.list").write_text("", encoding="utf-8")
    status = "Package: haproxy\nStatus: deinstall ok config-files\nVersion: 2.6\n\n"
    host.path("/var/lib/dpkg/status").write_text(status, encoding="utf-8")
    assert machine_facts.package_version(host.machine, "haproxy") is None


def test_a_probe_is_one_line_of_json_that_holds_the_contract(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    seen = probe(host)
    assert set(seen) - {"type"} == set(wire.Probe.__annotations__)
    json.dumps(seen)
