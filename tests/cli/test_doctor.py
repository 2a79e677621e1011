"""Each finding, provoked on hosts that run the real agent, seen by `doctor` and by `plan`, and gone after its remedy."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer.app.doctor import Examined
from deployer.cli.doctortext import text
from deployer.plan.model import Finding
from deployer.transport.fake import FakeHost
from deployer.transport.simulation import furniture
from tests.cli.conftest import relock
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]

GIB = 1 << 30
ON_A_GPU = """\
name: chat
model: {path: models/tiny}
engine:
  vllm: {version: 0.33.0, requirements: [nvidia-cuda-runtime==13.0.96]}
endpoint: {open: true}
"""

INDEX = "name: acme\npackages: {index_url: 'https://index.acme.lan/simple'}"

Act = Callable[[FakeHost], object]


def found(bench: Bench, *words: str) -> list[dict[str, Any]]:
    return list(bench.json("doctor", *words)["findings"])


def of(bench: Bench, id_: str) -> list[tuple[str, str]]:
    """(severity, host) of the findings with this id, by the doctor and by the plan alike."""
    doctor = [(f["severity"], f["host"]) for f in found(bench, "--quick") if f["id"] == id_]
    plan = [(f["severity"], f["host"]) for f in bench.json("plan")["findings"] if f["id"] == id_]
    assert set(plan) == set(doctor)
    return sorted(set(doctor))


@pytest.fixture
def gpus(fleet: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """One host with a GPU and a driver for CUDA 13."""
    (fleet / "deployments/chat.yaml").write_text(ON_A_GPU)
    (fleet / "hosts/h2.yaml").unlink()
    relock(fleet)
    bench.hosts.clear()
    bench.hosts["h1"] = FakeHost("h1", tmp_path / "gpu-machines", gpus=1)
    bench.hosts["h1"].machine.driver = ("580.65.06", "13.0")
    return bench


def test_a_healthy_fleet_has_nothing_and_every_host_says_what_it_reaches(bench: Bench) -> None:
    bench.edit("name: acme", INDEX, "deployer.yaml")
    done = bench("doctor")
    assert (done.code, done.err) == (0, "")
    assert "h1\n  nothing found\n  ·  reaches index https://index.acme.lan " in done.out
    assert done.out.endswith("Nothing found.\n\n") or done.out.endswith("Nothing found.\n")
    assert bench.json("doctor")["summary"] == {"refuse": 0, "warn": 0}
    assert bench("plan").out.count("Preflight") == 0


def age_systemd(host: FakeHost) -> None:
    folder = host.path("/usr/lib/systemd")
    (folder / "libsystemd-shared-252.so").rename(folder / "libsystemd-shared-245.so")


def mend_systemd(host: FakeHost) -> None:
    folder = host.path("/usr/lib/systemd")
    (folder / "libsystemd-shared-245.so").rename(folder / "libsystemd-shared-252.so")


def kernels(*names: str) -> Act:
    def act(host: FakeHost) -> None:
        for name in names:
            furniture.write(host.root, f"/lib/modules/{name}/modules.dep", "")

    return act


def remove(path: str) -> Act:
    return lambda host: host.path(path).unlink()


@pytest.mark.parametrize(
    ("id_", "severity", "provoke", "mend", "words"),
    [
        (
            "clock",
            "warn",
            lambda host: setattr(host.machine, "clock_ahead_s", 125.0),
            lambda host: setattr(host.machine, "clock_ahead_s", 0.0),
            "the clock of h1 is 2 min ahead of this machine's",
        ),
        (
            "clock",
            "warn",
            lambda host: setattr(host.machine, "clock_ahead_s", -45.0),
            lambda host: setattr(host.machine, "clock_ahead_s", 0.0),
            "behind this machine's",
        ),
        ("systemd", "refuse", age_systemd, mend_systemd, "h1 has systemd 245; 247 or newer is wanted"),
        (
            "disk",
            "refuse",
            lambda host: setattr(host.machine, "disk_bytes", (100 * GIB, (512 << 20) + 100)),
            lambda host: setattr(host.machine, "disk_bytes", (100 * GIB, 50 * GIB)),
            "not enough disk on h1 for ",
        ),
        (
            "reboot",
            "warn",
            kernels("6.1.0-9-amd64", "6.1.0-10-amd64"),
            kernels("6.1.0-simulated"),
            "the modules of the kernel that h1 runs (6.1.0-simulated) were removed",
        ),
    ],
)
def test_of_a_machine(bench: Bench, id_: str, severity: str, provoke: Act, mend: Act, words: str) -> None:
    host = bench.hosts["h1"]
    provoke(host)
    doctor, plan = bench("doctor", "--quick"), bench("plan")
    assert words in doctor.out
    assert words in plan.out
    assert "why: " in doctor.out
    assert "do: " in doctor.out
    assert (doctor.code, plan.code) == ((4, 4) if severity == "refuse" else (0, 0))
    mend(host)
    assert [f for f in found(bench, "--quick") if f["id"] == id_] == []


def test_a_warning_in_a_pull_requests_comment(bench: Bench) -> None:
    bench.hosts["h1"].machine.clock_ahead_s = 125.0
    assert "- ⚠ the clock of h1 is 2 min ahead of this machine's: " in bench("plan", "--format", "markdown").out


def test_more_memory_promised_than_there_is_names_the_line(bench: Bench) -> None:
    bench.edit("tags: [prod]", "resources: {memory: 600GiB}")
    assert of(bench, "memory") == [("warn", "h1")]
    [one] = [f for f in found(bench, "--quick") if f["id"] == "memory"]
    assert one["what"] == "chat/0 may take 600.0 GiB of memory together, and h1 has 256.0 GiB"
    assert (one["source"]["file"], one["source"]["line"]) == ("deployments/chat.yaml", 5)
    assert "deployments/chat.yaml:5" in bench("plan").out
    bench.edit("600GiB", "60GiB")
    assert of(bench, "memory") == []


def test_weights_that_no_memory_holds(bench: Bench) -> None:
    with (bench.root / "models/tiny/model.safetensors").open("r+b") as file:
        file.truncate(3 << 20)
    relock(bench.root)
    furniture.write(bench.hosts["h1"].root, "/proc/meminfo", "MemTotal: 2048 kB\nMemAvailable: 2048 kB\n")
    [one] = [f for f in found(bench, "--quick") if f["id"] == "memory"]
    assert one["what"] == "the weights of chat are 3.0 MiB, and h1 has 2.0 MiB of memory"
    furniture.write(bench.hosts["h1"].root, "/proc/meminfo", "MemTotal: 8192 kB\nMemAvailable: 8192 kB\n")
    assert of(bench, "memory") == []


def test_wheels_for_another_cuda_than_the_driver_has(gpus: Bench) -> None:
    host = gpus.hosts["h1"]
    assert of(gpus, "cuda") == []
    host.machine.driver = ("575.57.08", "12.9")
    assert of(gpus, "cuda") == [("refuse", "h1")]
    done = gpus("plan")
    assert done.code == 4
    assert "chat is pinned for CUDA 13.0 (nvidia-cuda-runtime); the driver 575.57.08 of h1 goes up to 12.9" in done.out
    assert "do: a driver from 580.65.06 on, or a version of the engine built for CUDA 12" in done.out
    assert "deployments/chat.yaml:3:1" in done.out or "deployments/chat.yaml:3" in done.out
    gpus.edit("vllm: {", 'vllm: {env: {VLLM_ENABLE_CUDA_COMPATIBILITY: "1"}, ')
    assert of(gpus, "cuda") == [("warn", "h1")]
    gpus.edit('env: {VLLM_ENABLE_CUDA_COMPATIBILITY: "1"}, ', "")
    gpus.edit("13.0.96", "12.8.90")
    relock(gpus.root)
    assert of(gpus, "cuda") == []
    host.machine.driver = ("535.183.01", "12.2")
    assert of(gpus, "cuda") == [("warn", "h1")]
    assert "kernels that are compiled on the host (PTX)" in gpus("doctor", "--quick").out


def test_a_gpu_for_which_the_wheels_have_no_code(gpus: Bench) -> None:
    gpus.hosts["h1"].set_gpu(0, capability="7.0", name="Tesla V100")
    assert of(gpus, "cuda-gpu") == [("refuse", "h1")]
    assert "no code for Tesla V100 of h1 (compute capability 7.0)" in gpus("plan").out
    gpus.edit("13.0.96", "12.6.77")
    relock(gpus.root)
    assert of(gpus, "cuda-gpu") == []
    gpus.hosts["h1"].set_gpu(0, capability="12.0", name="RTX PRO 6000")
    assert of(gpus, "cuda-gpu") == [("warn", "h1")]
    gpus.hosts["h1"].set_gpu(0, capability="9.0")
    assert of(gpus, "cuda-gpu") == []


def test_gpus_that_cannot_be_asked(gpus: Bench) -> None:
    host = gpus.hosts["h1"]
    assert gpus("apply", "--yes").code == 0
    host.machine.gpu_error = "Driver/library version mismatch"
    assert [(f["id"], f["severity"], f["host"]) for f in found(gpus, "--quick")] == [("driver", "refuse", "h1")]
    gpus.edit("vllm: {", "vllm: {max_model_len: 512, ")
    assert of(gpus, "driver") == [("refuse", "h1")]
    assert "the GPUs of h1 cannot be asked: Driver/library version mismatch" in gpus("plan").out
    host.machine.gpu_error = None
    assert of(gpus, "driver") == []


def test_gpus_that_cannot_be_asked_are_why_a_new_one_finds_no_place(gpus: Bench) -> None:
    host = gpus.hosts["h1"]
    listed, host.machine._gpus[:], host.machine.gpu_error = list(host.machine._gpus), [], "Driver Not Loaded"
    said = gpus("plan")
    assert said.code == 4
    assert "h1: its GPUs cannot be asked: Driver Not Loaded" in said.out
    assert "do: look what nvidia-smi says there, often a reboot after a driver update" in said.out
    assert [(f["id"], f["host"]) for f in gpus.json("plan")["findings"]] == [("driver", "h1")]
    assert [(f["id"], f["severity"]) for f in found(gpus, "--quick")] == [("driver", "refuse"), ("driver", "warn")]
    host.machine._gpus[:], host.machine.gpu_error = listed, None
    assert of(gpus, "driver") == []


def test_a_driver_that_was_updated_under_the_one_that_is_loaded(gpus: Bench) -> None:
    host, library = gpus.hosts["h1"], "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  575.57.08  Sat May 24 07:15:22 UTC 2025\n"
    furniture.write(host.root, "/proc/driver/nvidia/version", line)
    furniture.write(host.root, "/proc/uptime", "864000.52 1000.0\n")
    host.path(library).parent.mkdir(parents=True)
    os.symlink("libnvidia-ml.so.580.65.06", host.path(library))
    assert of(gpus, "reboot") == [("refuse", "h1")]
    done = gpus("plan")
    assert "the NVIDIA driver of h1 was updated to 580.65.06 and 575.57.08 is still loaded (last reboot 240 h ago)" in done.out
    assert "do: reboot it: deployer hosts drain h1 first" in done.out
    furniture.write(host.root, "/proc/driver/nvidia/version", line.replace("575.57.08", "580.65.06"))
    assert of(gpus, "reboot") == []
    kernels("6.1.0-simulated", "6.12.0-1-amd64")(host)
    assert of(gpus, "reboot") == [("warn", "h1")]
    assert "h1 boots kernel 6.12.0-1-amd64 next, and that one has no NVIDIA module" in gpus("doctor", "--quick").out
    furniture.write(host.root, "/lib/modules/6.12.0-1-amd64/updates/dkms/nvidia.ko.xz", "")
    assert of(gpus, "reboot") == []


def test_an_index_out_of_reach_is_refused_while_something_is_to_come_from_it_and_then_only_said(bench: Bench) -> None:
    host = bench.hosts["h1"]
    bench.edit("name: acme", INDEX, "deployer.yaml")
    host.machine.offline = True
    done = bench("doctor")
    assert done.code == 4
    assert "h1 does not reach the index https://index.acme.lan: its name is not known here" in done.out
    assert "do: its resolver (/etc/resolv.conf), index_url: in hosts/h1.yaml for a mirror" in done.out
    assert bench("doctor", "--quick").code == 0
    host.machine.offline = False
    assert bench("doctor").code == 0
    assert bench("apply", "--yes").code == 0
    host.machine.offline = True
    assert [(f["id"], f["severity"]) for f in found(bench)] == [("index", "warn")]
    assert bench("doctor").code == 0


def test_without_a_lock_the_machines_are_looked_at_all_the_same(bench: Bench) -> None:
    (bench.root / "deployer.lock").unlink()
    bench.hosts["h2"].machine.clock_ahead_s = 3600.0
    done = bench("doctor")
    assert done.code == 3
    assert "the clock of h2 is 1 h ahead" in done.out
    assert "only the machines themselves were looked at" in done.out


def test_only_some_hosts_and_those_that_do_not_answer(bench: Bench) -> None:
    bench.each(lambda host: setattr(host.machine, "clock_ahead_s", 3600.0))
    assert {f["host"] for f in found(bench, "h2")} == {"h2"}
    bench.hosts["h2"].unreachable = "refused"
    done = bench("doctor")
    assert done.code == 6
    assert "h2\n  ?  unreachable: connection refused" in done.out
    assert "1 warning · 1 host unreachable" in done.out
    assert bench("doctor", "h3").code == 64


def test_a_host_that_goes_while_it_asks_is_not_said_to_be_well(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.edit("name: acme", INDEX, "deployer.yaml")
    host = bench.hosts["h1"]
    host.machine.clock_ahead_s = 125.0
    monkeypatch.setattr(host.machine, "head", lambda *_: host.drop() or 200)
    done = bench("doctor")
    assert done.code == 6
    assert "h1\n  ?  unreachable: " in done.out
    assert "the clock of h1 is 2 min ahead" in done.out, "what its probe said is known all the same"
    assert "1 host unreachable" in done.out
    [one] = [h for h in bench.json("doctor")["hosts"] if h["name"] == "h1"]
    assert (one["reachable"], one["ways"]) == (False, [])


def test_findings_of_a_host_without_a_file_are_shown_too() -> None:
    found = Examined((Finding("port", "refuse", "a word of gone-1", "why", "do", "gone-1"),), {})
    said = text(found, "acme", color=False, unicode=True)
    assert "gone-1\n" in said
    assert "a word of gone-1" in said


def test_the_doctor_touches_nothing(bench: Bench) -> None:
    assert bench("apply", "--yes").code == 0
    before = bench.world()
    assert bench("doctor").code == 0
    assert bench.world() == before


def test_a_saved_plan_keeps_what_it_warned_of(bench: Bench, tmp_path: Path) -> None:
    bench.hosts["h1"].machine.clock_ahead_s = 120.0
    from deployer.app.fleet import Fleet

    bench("plan", "--out", str(tmp_path / "p.json"))
    with Fleet.load(bench.root) as fleet:
        kept = fleet.saved_plan(tmp_path / "p.json").plan
    assert [(f.id, f.host) for f in kept.findings] == [("clock", "h1")]
