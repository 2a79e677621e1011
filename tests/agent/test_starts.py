"""How long starts took is noted on the host, told by the probe, and goes with the deployment."""

import json
from typing import Any

import pytest

from deployer.agent import figures, files, starts
from deployer.agent.system import System
from deployer.transport.fake import FakeHost
from tests.agent.support import (
    Run,
    deployment,
    probe,
    ready_args,
    record,
    run_request,
    step,
    transaction,
    tree,
    unit_name,
    unit_text,
)

SLOWLY = [f"INFO loading {part} of 8" for part in range(8)]
NOTED = "var/lib/deployer/acme/chat/starts.json"


def noted(host: FakeHost) -> list[dict[str, Any]]:
    return list(probe(host)["starts"].get("chat", []))


def replaced(host: FakeHost, revision: int, old: str) -> Run:
    return Run(host, run_request(deployment(digest=f"aaaa{revision:04}", revision=revision, old=old)))


def test_a_first_start_says_how_long_it_took_and_has_no_downtime(host: FakeHost) -> None:
    host.slow_engine("aaaa0001", *SLOWLY)
    assert Run(host, run_request(deployment())).result == "done"
    (one,) = noted(host)
    assert one["revision"] == 1
    assert 1 <= one["start_s"] < 10
    assert "down_s" not in one


def test_a_replacement_that_stops_first_says_how_long_nobody_answered(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    host.slow_engine("aaaa0002", *SLOWLY)
    assert replaced(host, 2, unit_name()).result == "done"
    first, second = noted(host)
    assert (first["revision"], second["revision"]) == (1, 2)
    assert second["down_s"] >= second["start_s"] >= 1
    assert first["at"] < second["at"]


def test_a_stop_after_the_new_one_answers_is_no_downtime(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    old, new = unit_name(), unit_name("chat", 0, "aaaa0002")
    steps = [
        step("switch", "file.write", "unit", path=f"/etc/systemd/system/{new}", content=unit_text(20001)),
        step("switch", "systemd.reload"),
        step("switch", "unit.start", unit=new),
        step("switch", "unit.ready", unit=new, **ready_args(20001)),
        step("finish", "unit.stop", unit=old, timeout_s=30.0, ready=ready_args(20000)),
        step("finish", "record", deployment="chat", record=record("chat", 2)),
    ]
    assert Run(host, run_request(transaction("chat", *steps, deployment="chat"))).result == "done"
    assert [("down_s" in one) for one in noted(host)] == [False, False]


def test_what_was_started_is_said_by_the_names_of_the_record(host: FakeHost) -> None:
    made = deployment()
    shown = {"engine": "toy", "environment": "toy-1.0-aa", "model": "org--tiny/bb", "context": 512}
    resource = made["steps"][-1]["args"]["record"]["resources"][0]
    resource["attributes"] = [{"name": name, "value": value} for name, value in shown.items()]
    assert resource["payload"]["unit"] == unit_name()
    Run(host, run_request(made))
    (one,) = noted(host)
    assert {name: one[name] for name in ("engine", "environment", "model")} == {n: v for n, v in shown.items() if n != "context"}
    assert "context" not in one


def test_downtime_ends_when_the_endpoint_answers_if_it_had_to_be_waited_for(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(host, run_request(deployment()))
    made = deployment(digest="aaaa0002", revision=2, old=unit_name())
    answers = {"url": "http://127.0.0.1:8443/chat/v1/chat/completions", "body": {}}
    made["steps"].insert(-1, step("gateway", "endpoint.ready", **answers))
    real, refused = type(host.machine).http, []

    def http(system: Any, verb: str, url: str, *rest: Any, **more: Any) -> Any:
        if ":8443/" not in url:
            return real(system, verb, url, *rest, **more)
        refused.append(url)
        return (503, b"down") if len(refused) < 11 else (200, b"{}")

    monkeypatch.setattr(type(host.machine), "http", http)
    for number, one in enumerate(made["steps"]):
        one["id"] = f"chat.{number}"
    assert Run(host, run_request(made)).result == "done"
    last = noted(host)[-1]
    assert last["down_s"] >= last["start_s"] + 2.9  # ten times 0.3 s


def test_only_the_last_are_kept_and_fewer_are_told(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    path = host.root / NOTED
    path.write_text(json.dumps([{"at": f"2026-01-{n:02}", "start_s": n} for n in range(1, 30)]))
    replaced(host, 2, unit_name())
    kept = json.loads(path.read_text())
    assert (len(kept), kept[0]["start_s"], kept[-1]["revision"]) == (starts.KEPT, 11, 2)
    assert noted(host) == kept[-starts.TOLD :]


@pytest.mark.parametrize("damaged", [b"", b"not json", b"{}", b'[1, "x"]', b"\xff"])
def test_a_damaged_note_fails_nothing_and_is_written_anew(host: FakeHost, damaged: bytes) -> None:
    Run(host, run_request(deployment()))
    (host.root / NOTED).write_bytes(damaged)
    assert noted(host) == []
    assert replaced(host, 2, unit_name()).result == "done"
    assert [one["revision"] for one in noted(host)] == [2]


def test_a_note_that_cannot_be_written_fails_no_run(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.write_json

    def full(system: System, path: str, *rest: Any) -> None:
        if path.endswith(starts.FILE):
            raise OSError(28, "No space left on device", path)
        real(system, path, *rest)

    monkeypatch.setattr(files, "write_json", full)
    assert Run(host, run_request(deployment())).result == "done"
    assert probe(host)["records"]["chat"]["revision"] == 1
    assert noted(host) == []


def test_a_run_that_is_undone_leaves_the_notes_as_they_were(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = tree(host.root)
    made = deployment(digest="aaaa0002", revision=2, old=unit_name())
    made["steps"].append(step("finish", "no.such.step"))
    for number, one in enumerate(made["steps"]):
        one["id"] = f"chat.{number}"
    assert Run(host, run_request(made)).state("chat") == "undone"
    assert tree(host.root) == before


def test_notes_move_no_fingerprint_and_go_with_the_deployment(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    before = probe(host)["fingerprint"]
    (host.root / NOTED).write_text(json.dumps([{"at": "2026-01-01", "start_s": 9}]))
    assert probe(host)["fingerprint"] == before
    steps = [
        step("finish", "record", deployment="chat", record=None),
        step("finish", "tree.remove", path="/var/lib/deployer/acme/chat"),
    ]
    Run(host, run_request(transaction("chat", *steps, deployment="chat")))
    assert probe(host)["starts"] == {}
    assert not (host.root / NOTED).exists()


# memory

ASKED = {"key": "k" * 16, "context": 512, "usable": 1000, "gpus": ["GPU-1"]}
WANTED = [
    {"name": "weights", "regex": r"loading took (?P<number>[\d.]+) GiB", "scale": 1 << 30, "fold": "max"},
    {"name": "cache", "regex": r"buffer size = +(?P<number>[\d.]+) MiB", "scale": 1 << 20, "fold": "sum"},
    {"name": "tokens", "regex": r"(?P<number>[\d,.]+) tokens", "scale": 1, "fold": ""},
    {"name": "concurrency", "regex": r"(?P<number>[\d.]+)x", "scale": 1, "fold": "min"},
]
SAYS = [
    "INFO loading took 14.5 GiB",
    "INFO loading took 14.25 GiB",
    "kv: buffer size =  1.50 MiB",
    "kv: buffer size = 2.00 MiB",
    "cache: 31,232 tokens, 1.56x",
    "nothing of .. tokens",
]


def starting(**more: Any) -> dict[str, Any]:
    made = deployment(digest="aaaa0001")
    for one in made["steps"]:
        if one["kind"] == "unit.ready":
            one["args"].update(more)
    return made


def test_what_an_engine_says_of_memory_is_noted_under_the_plans_key(host: FakeHost) -> None:
    host.slow_engine("aaaa0001", *SAYS)
    assert Run(host, run_request(starting(figures=WANTED, memory=ASKED))).result == "done"
    (one,) = noted(host)
    said = {"weights": 29 << 29, "cache": 3_670_016, "tokens": 31232, "concurrency": 1.56}
    assert one["memory"] == {"key": "k" * 16, "context": 512, "usable": 1000, **said}


def test_what_its_processes_hold_is_noted_and_not_what_the_kernel_caches_for_them(host: FakeHost) -> None:
    stat = "anon 100\nfile 900\nfile_mapped 30\nshmem 5\nodd\nkernel x\n"
    assert figures.held(host.machine, "", []) == {}
    folder = host.root / "sys/fs/cgroup/system.slice/a.service"
    folder.mkdir(parents=True)
    (folder / "memory.stat").write_text(stat)
    assert figures.held(host.machine, "/system.slice/a.service", ["GPU-none"]) == {"host": 135}
    assert figures.held(host.machine, "/system.slice/b.service", []) == {}


def test_of_a_shared_gpu_only_its_own_processes_are_noted(host: FakeHost) -> None:
    for pid, unit in ((11, "mine"), (12, "mine"), (13, "neighbour")):
        (host.root / "proc" / str(pid)).mkdir(parents=True, exist_ok=True)
        (host.root / "proc" / str(pid) / "cgroup").write_text(f"0::/system.slice/{unit}.service\n")
    processes = [{"pid": 11, "memory": 100}, {"pid": 12, "memory": 20}, {"pid": 13, "memory": 4000}]
    host.machine.set_gpu(0, {"memory_used": 5000, "processes": processes})
    gpu = [host.machine.gpus()["gpus"][0]["uuid"]]
    assert figures.held(host.machine, "", gpu, "mine.service") == {"gpu": 120}
    assert figures.held(host.machine, "", gpu) == {"gpu": 5000}
    host.machine.set_gpu(0, {"processes": [{"pid": 11, "memory": None}]})
    assert figures.held(host.machine, "", gpu, "mine.service") == {}


def test_a_plan_that_asks_for_nothing_gets_nothing_noted(host: FakeHost) -> None:
    assert Run(host, run_request(starting(figures=WANTED))).result == "done"
    (one,) = noted(host)
    assert "memory" not in one


def test_another_process_begins_anew() -> None:
    found = figures.Figures(WANTED)
    for line in SAYS:
        found.take(line)
    found.forget()
    found.take(SAYS[2])
    assert found.found() == {"cache": 1_572_864}
