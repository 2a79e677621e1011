"""What of its GPUs must be free before a replica starts, from the plan to the step."""

from typing import Any

import pytest

from deployer.engines.memory import MemorySettings
from deployer.plan import replica
from deployer.plan.make import make_plan
from deployer.plan.steps import transactions
from tests.plan.worlds import WorldMaker, deployment, probe


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        (MemorySettings(utilization=0.45), {"gpus": ["GPU-h1-0"], "gpu_share": 0.45}),
        (MemorySettings(cache_bytes=1 << 30), {}),  # vLLM looks at no share then
        (MemorySettings(paged=False), {}),
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
