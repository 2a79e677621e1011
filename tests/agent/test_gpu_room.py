"""A replica starts when its share of the GPUs is free, not before; and who holds it is said."""

from typing import Any

import pytest

from deployer.transport.fake import FakeHost
from tests.agent.support import Run, deployment, run_request

GPUS = ["GPU-gpu-01-0000"]
GIB = 1 << 30


def start(host: FakeHost, share: float, **more: Any) -> Run:
    made = deployment()
    args = next(s for s in made["steps"] if s["kind"] == "unit.start")["args"]
    args.update(gpus=GPUS, gpu_share=share, **more)
    return Run(host, run_request(made))


def test_it_waits_for_memory_that_the_driver_gives_back_late(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([70, 30, 10])
    real = host.machine.gpus

    def gpus() -> dict[str, Any]:
        found = real()
        found["gpus"][0]["memory_used"] = next(looks, 0) * found["gpus"][0]["memory_total"] // 100
        return found

    monkeypatch.setattr(host.machine, "gpus", gpus)
    run = start(host, 0.9)
    assert run.result == "done"
    assert next(looks, None) is None, "it looked until there was room"
    assert "waiting until its GPU memory is free" in [e.get("data", {}).get("phase") for e in run.events]


def test_what_never_becomes_free_is_told_with_who_holds_it(host: FakeHost) -> None:
    total = host.machine.gpus()["gpus"][0]["memory_total"]
    host.machine.set_gpu(0, {"memory_used": total // 2, "processes": [{"pid": 4711, "memory": total // 2}]})
    told = start(host, 0.9).report["transactions"]["chat"]
    assert told["state"] == "undone"
    assert told["cause"] == f"something else holds memory of GPU 0: process 4711 ({total / 2 / GIB:.1f} GiB)"
    assert told["hint"] == "gpu_memory_utilization: 0.50 is what is free, or end that"


@pytest.mark.parametrize("facts", [{"memory_used": None}, {"memory_total": 0}, {"uuid": "GPU-another"}])
def test_what_the_driver_does_not_tell_is_no_hindrance(
    host: FakeHost, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = host.machine.gpus

    def gpus() -> dict[str, Any]:
        found = real()
        found["gpus"][0].update({"memory_used": 1 << 60, **facts})
        return found

    monkeypatch.setattr(host.machine, "gpus", gpus)
    assert start(host, 0.9).result == "done"


def test_half_a_gpu_is_enough_for_half(host: FakeHost) -> None:
    total = host.machine.gpus()["gpus"][0]["memory_total"]
    host.machine.set_gpu(0, {"memory_used": total // 2})
    assert start(host, 0.5).result == "done"


def test_on_a_gpu_that_others_use_too_it_waits_for_its_own_share_alone(host: FakeHost) -> None:
    total = host.machine.gpus()["gpus"][0]["memory_total"]
    host.machine.set_gpu(0, {"memory_used": total * 6 // 10, "processes": [{"pid": 4711, "memory": total * 6 // 10}]})
    assert start(host, 0.4, shared=True).result == "done"


def test_a_neighbour_that_takes_more_than_its_share_is_named(host: FakeHost) -> None:
    total = host.machine.gpus()["gpus"][0]["memory_total"]
    host.machine.set_gpu(0, {"memory_used": total * 3 // 4, "processes": [{"pid": 4711, "memory": total * 3 // 4}]})
    told = start(host, 0.4, shared=True).report["transactions"]["chat"]
    assert told["cause"].startswith("something else holds memory of GPU 0: process 4711")
    assert told["hint"] == "placement.gpu_share: 25% of it is free; or a larger one for what takes more than its own"
