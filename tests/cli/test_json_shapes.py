"""The shapes that scripts rely on (DESIGN §7), each from the command itself, over fake hosts with GPUs."""

import json
from typing import Any

import pytest

from deployer.transport.fake import FakeHost
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]

PLAN = {
    "format_version", "plan_id", "fleet", "git_commit", "created_at", "hosts", "changes", "drift", "refusals", "unreachable",
    "summary",
}  # fmt: skip
CHANGE = {"id", "host", "deployment", "resource", "actions", "reason", "source", "before", "after", "impact", "depends_on"}
IMPACT = {"downtime_s", "restarts", "vram_bytes", "disk_bytes", "download_bytes", "start_s", "start_basis", "month", "currency"}
DEPLOYMENT = {"name", "state", "revision", "endpoint", "replicas", "tags"}
REPLICA = {"slot", "state", "since", "reason", "units"}
UNIT = {"host", "unit", "rank", "port", "gpus"}
HOST = {"name", "reachable", "gpus", "disk", "agent"}
GPU = {"uuid", "name", "memory_total", "memory_used", "utilization", "replica"}
EVENT = {"type", "at", "host", "change", "step", "message"}


@pytest.fixture
def gpus(bench: Bench) -> Bench:
    """The bench with two GPUs on h1, and a deployment that wants one."""
    bench.hosts["h1"] = FakeHost("g1", bench.hosts["h1"].root.parent, gpus=2)
    bench.edit("tags: [prod]", "tags: [prod]\nplacement: {hosts: [h1]}")
    return bench


def test_a_plan(bench: Bench) -> None:
    bench.hosts["h2"].unreachable = "timeout"
    found = bench.json("plan")
    assert set(found) >= PLAN
    assert found["format_version"] == "1.0"
    assert found["fleet"]["id"] == "0123abcd"
    assert {name: host["reachable"] for name, host in found["hosts"].items()} == {"h1": True, "h2": False}
    assert found["hosts"]["h1"]["fingerprint"]
    assert found["unreachable"] == ["h2"]
    assert set(found["summary"]) == {"create", "update", "replace", "delete"}
    assert found["summary"]["create"] == len(found["changes"])
    ids = {change["id"] for change in found["changes"]}
    assert len(ids) == len(found["changes"])
    for change in found["changes"]:
        assert set(change) >= CHANGE
        assert set(change["impact"]) == IMPACT
        assert set(change["depends_on"]) <= ids
        assert change["actions"] == ["create"]
        assert change["before"] is None
        assert change["source"] is None or set(change["source"]) == {"file", "line", "column"}
    (replica,) = [change for change in found["changes"] if change["resource"] == "replica:chat/0"]
    assert replica["source"] == {"file": "deployments/chat.yaml", "line": 3, "column": 1}


def test_a_search_for_delete_finds_every_destructive_change_and_no_other(bench: Bench) -> None:
    bench("apply", "--yes")
    bench.edit("ctranslate2: {}", "ctranslate2: {max_queue: 9}")
    (change,) = [c for c in bench.json("plan")["changes"] if "delete" in c["actions"]]
    assert (change["resource"], change["actions"]) == ("replica:chat/0", ["create", "delete"])
    assert change["before"] is not None
    assert change["impact"]["restarts"] == 1
    assert change["impact"]["downtime_s"] is None
    bench.edit("tags: [prod]", "tags: [prod]\nrollout: {strategy: recreate}")
    (change,) = [c for c in bench.json("plan")["changes"] if "delete" in c["actions"]]
    assert (change["resource"], change["actions"]) == ("replica:chat/0", ["delete", "create"])
    assert change["impact"]["downtime_s"] > 0
    bench.edit("tags: [prod]\nrollout: {strategy: recreate}", "tags: [prod]")
    bench.edit("ctranslate2: {max_queue: 9}", "ctranslate2: {}")
    bench.edit("tags: [prod]", "tags: [test]")
    assert [c["actions"] for c in bench.json("plan")["changes"]] == [["update"]]


def test_a_saved_plan_is_the_plan_that_was_shown(bench: Bench) -> None:
    shown = bench.json("plan", "--out", "p.json")
    assert json.loads((bench.root / "p.json").read_text()) == shown
    assert (bench.root / "p.json").stat().st_mode & 0o777 == 0o600


def test_drift_refusals_and_where_they_come_from(bench: Bench) -> None:
    bench("apply", "--yes")
    unit = next(name for name in bench.hosts["h1"].running() if "chat" in name)
    folder = bench.hosts["h1"].path(f"/etc/systemd/system/{unit}.d")
    folder.mkdir()
    (folder / "override.conf").write_text("[Service]\nNice=5\n")
    (drift,) = bench.json("plan")["drift"]
    assert set(drift) >= {"host", "deployment", "what", "before", "after", "remedy"}
    assert (drift["host"], drift["deployment"]) == ("h1", "chat")
    bench.edit("tags: [prod]", "tags: [prod]\nplacement: {labels: {gpu: h100}}")
    done = bench("plan", "--json")
    (refusal,) = json.loads(done.out)["refusals"]
    assert done.code == 4
    assert set(refusal) >= {"code", "what", "details", "hint", "host", "deployment", "source"}
    assert refusal["code"] == "placement"


def test_the_status(gpus: Bench) -> None:
    before = gpus.json("status")
    (chat,) = before["deployments"]
    assert (chat["state"], chat["revision"]) == ("pending", None)
    assert gpus("apply", "--yes").code == 0
    gpus.hosts["h2"].unreachable = "timeout"
    done = gpus("status", "--json")
    assert done.code == 6
    found = json.loads(done.out)
    (chat,) = found["deployments"]
    assert set(chat) >= DEPLOYMENT
    assert (chat["name"], chat["state"], chat["revision"], chat["tags"]) == ("chat", "deployed", 1, ["prod"])
    assert chat["endpoint"] == "http://192.0.2.1:8443/chat/v1"
    (replica,) = chat["replicas"]
    assert set(replica) == REPLICA
    assert (replica["slot"], replica["state"]) == (0, "deployed")
    (unit,) = replica["units"]
    assert set(unit) == UNIT
    assert (unit["host"], unit["rank"], unit["port"], unit["gpus"]) == ("h1", 0, 20000, [])
    first, second = found["hosts"]
    assert set(first) >= HOST
    assert (first["name"], first["reachable"]) == ("h1", True)
    assert [set(gpu) for gpu in first["gpus"]] == [GPU, GPU]
    assert all(set(sizes) == {"total", "free"} for sizes in first["disk"].values())
    assert (second["reachable"], second["gpus"]) == (False, [])


def test_what_validate_says(bench: Bench) -> None:
    assert bench.json("validate") == {"problems": []}
    bench.edit("tags: [prod]", "tags: [prod]\nreplcas: 2")
    assert bench.json("validate") == {
        "problems": [
            {
                "file": "deployments/chat.yaml",
                "line": 6,
                "column": 1,
                "message": "a deployment has no 'replcas'",
                "hint": "did you mean replicas?",
            }
        ]
    }


def test_an_endpoint(bench: Bench) -> None:
    bench("apply", "--yes")
    found = bench.json("endpoint", "chat")
    assert set(found) == {"name", "url", "model", "curl", "python"}
    assert (found["name"], found["model"], found["url"]) == ("chat", "chat", "http://192.0.2.1:8443/chat/v1")
    assert found["url"] in found["curl"]
    compile(found["python"], "python", "exec")


def stream(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_apply_is_a_stream_of_events_that_ends_with_its_report(bench: Bench) -> None:
    done = bench("apply", "--yes", "--json")
    *events, report = stream(done.out)
    assert all(set(event) >= EVENT for event in events)
    assert {event["type"] for event in events} >= {"locked", "barrier", "step", "host"}
    known = {change["id"] for change in json.loads(saved(bench))["changes"]}
    assert {event["change"] for event in events if event["type"] == "step"} == known
    assert report["type"] == "report"
    assert set(report) >= {"run", "plan_id", "exit_code", "seconds", "hosts", "failures"}
    assert (report["exit_code"], report["hosts"]["h1"]["result"]) == (0, "done")


def saved(bench: Bench) -> str:
    (path,) = (bench.root / ".deployer/plans").glob("*.json")
    return path.read_text()


def test_a_stream_ends_with_a_report_also_when_it_failed_or_was_refused(bench: Bench) -> None:
    bench.each(lambda host: host.break_engine("chat", "RuntimeError: CUDA out of memory"))
    done = bench("apply", "--yes", "--json")
    report = stream(done.out)[-1]
    assert (done.code, report["type"], report["exit_code"]) == (5, "report", 5)
    (failure,) = report["failures"]
    assert (failure["deployment"], failure["undone"], failure["cause"]) == ("chat", True, "the GPU ran out of memory")
    bench.edit("tags: [prod]", "tags: [prod]\nplacement: {labels: {gpu: h100}}")
    done = bench("apply", "--yes", "--json")
    assert done.code == 4
    assert stream(done.out)[-1]["type"] == "report"
    bench.each(lambda host: setattr(host, "unreachable", "timeout"))
    done = bench("apply", "--yes", "--json")
    assert done.code == 6
    assert (stream(done.out)[-1]["type"], stream(done.out)[-1]["exit_code"]) == ("report", 6)
