"""GPUs of a replica: what of them must be free before it starts, and whether they can compute what is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from deployer.engines.base import Complaint
from deployer.engines.memory import MemorySettings
from deployer.plan import replica
from deployer.plan.make import make_plan
from deployer.plan.steps import transactions
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel
from tests.plan.worlds import Toy, WorldMaker, deployment, probe


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        (MemorySettings(utilization=0.45), {"gpus": ["GPU-h1-0"], "gpu_share": 0.45}),
        (MemorySettings(cache_bytes=1 << 30), {}),  # vLLM looks at no share then
        (MemorySettings(scheme="converted"), {}),
        (None, {}),
    ],
)
def test_an_engine_that_takes_its_share_at_once_starts_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, settings: MemorySettings | None, more: dict[str, Any]
) -> None:
    monkeypatch.setattr(replica, "memory_settings", lambda spec: settings)
    maker = WorldMaker([deployment(engine={"gpus": 1})], probes={"h1": probe(gpus=1)})
    steps = [s for t in transactions(make_plan(maker.world()), "h1") for s in t["steps"]]
    (start,) = (s for s in steps if s["kind"] == "unit.start")
    assert {name: value for name, value in start["args"].items() if name != "unit"} == more


@dataclass(frozen=True)
class Picky(Toy):
    def check_gpu(self, deployment: DeploymentSpec, model: LockedModel | None, gpu: str, capability: str) -> Sequence[Complaint]:
        return (Complaint(("engine", "toy", "context"), f"{gpu} is {capability}", "another"),) if capability == "7.5" else ()


def test_a_gpu_that_cannot_compute_it_is_refused_at_the_line_once_for_each_kind() -> None:
    maker = WorldMaker([deployment(engine={"gpus": 2})], probes={"h1": probe(gpus=2)})
    for gpu in maker.probes["h1"]["gpus"]:
        gpu["capability"] = "7.5"
    (refusal,) = make_plan(maker.world(engines={"toy": Picky()})).refusals
    assert (refusal.code, refusal.what, refusal.host) == ("gpu", "chat: H100 is 7.5", "h1")
    assert str(refusal.source) == "deployments/chat.yaml:6"
    for gpu in maker.probes["h1"]["gpus"]:
        gpu["capability"] = None
    assert make_plan(maker.world(engines={"toy": Picky()})).refusals == (), "a driver that does not say is no reason"
