"""The line of a plan that says what a replica really computes in, and the no for what it cannot."""

from collections.abc import Sequence
from typing import Any

import pytest

from deployer.plan import computing, fitting
from deployer.plan.model import Change
from deployer.plan.roster import Place
from deployer.plan.world import Options
from deployer.state.locked import Locked
from deployer.state.resources import Kind, Resource
from tests.engines.builders import GPU, deployment, model
from tests.plan import worlds


def told(settings: dict[str, Any], on: Sequence[str] = (), **probe: Any) -> tuple[Change, list[str]]:
    """The change that starts chat/0 on host a, and what is refused of it."""
    found = model()
    maker = worlds.WorldMaker(deployments=[deployment("ctranslate2", settings)])
    maker.probes["h1"].update(probe)  # type: ignore[typeddict-item]
    world = maker.world(locked=Locked(models={found.key: found}))
    place = Place("chat", 0, "h1", 20000, tuple(on))
    resource = Resource("h1", Kind.REPLICA, "chat/0", deployment="chat", payload={"port": 20000})
    plain = Change("1", "h1", Kind.REPLICA, "chat/0", "chat", ("create",), "new", after=resource)
    [change] = computing.with_types(world, [place], [plain])
    return change, [refusal.what for refusal in computing.refusals(world, [place], [change])]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"quantization": "int8"}, "computes in int8_float32, not int8_bfloat16: this CPU has no fast bfloat16"),
        ({}, "computes in float32, not bfloat16: this CPU has no fast bfloat16"),
        ({"quantization": "float32"}, "computes in float32"),
        ({"compute_type": "auto"}, "computes in int8_float32"),
    ],
)
def test_the_type_is_said_with_its_reason(settings: dict[str, Any], line: str) -> None:
    change, refused = told(settings, cpu_vendor="AuthenticAMD")
    assert computing.line(change) == line
    assert refused == []


def test_whoever_asks_for_an_explanation_is_told_it_also_where_nothing_starts() -> None:
    found = model()
    maker = worlds.WorldMaker(deployments=[deployment("ctranslate2", {"quantization": "int8"})])
    maker.probes["h1"]["cpu_vendor"] = "AuthenticAMD"
    world = maker.world(locked=Locked(models={found.key: found}), options=Options(explain=("chat",)))
    notices = fitting.notices(world, [Place("chat", 0, "h1", 20000, ())], [])
    assert "chat/0 on h1 computes in int8_float32, not int8_bfloat16: this CPU has no fast bfloat16" in [n.what for n in notices]


def test_a_type_the_gpu_does_not_have_is_refused() -> None:
    probe = {"gpus": [{"uuid": GPU, "index": 0, "capability": "7.5"}]}
    change, refused = told({"compute_type": "bfloat16", "device": "cuda"}, (GPU,), **probe)
    assert change.data["computes"]["type"] is None
    assert computing.line(change) is None
    assert refused == [
        "chat/0 on h1: this GPU (compute capability 7.5) cannot compute in bfloat16, and CTranslate2 does not start with it"
    ]
