"""Which GPUs of a host a replica gets: joined by NVLink, alike, slices of MIG only when they are asked for."""

from dataclasses import dataclass
from typing import Any

import pytest

from deployer.agent.wire import NVLINK
from deployer.engines.vllm import VLLM
from deployer.plan.make import make_plan
from deployer.plan.world import Options
from deployer.spec.models import DeploymentSpec
from tests.plan.test_gpus import Picky
from tests.plan.test_placement import fleet, gpus_of, named, one, refusal, where
from tests.plan.worlds import GIB, Toy, WorldMaker

#: GPUs 0, 2 and 1, 3 have NVLink to each other.
PAIRS = [[0, 1, 30], [0, 2, NVLINK], [0, 3, 50], [1, 2, 50], [1, 3, NVLINK], [2, 3, 30]]


def joined(specs: list[DeploymentSpec], links: list[list[int]], gpus: int = 4) -> WorldMaker:
    maker = fleet(specs, {"h1": gpus})
    maker.probes["h1"]["gpu_links"] = links
    return maker


def test_gpus_that_work_together_are_joined_by_nvlink_and_that_is_said_when_asked() -> None:
    maker = joined([one("chat", gpus=2)], PAIRS)
    plan = make_plan(maker.world(options=Options(explain=("chat",))))
    assert gpus_of(plan) == ["GPU-h1-0", "GPU-h1-2"]
    (said,) = [n.what for n in plan.notices if n.code == "placement"]
    assert said == "chat/0 on h1: the emptiest host that has room; its GPUs are joined by NVLink"
    maker.probes["h1"]["gpu_links"] = []
    assert gpus_of(make_plan(maker.world())) == ["GPU-h1-0", "GPU-h1-1"], "nothing known: by index"


def test_without_nvlink_the_nearest_on_pcie_are_taken() -> None:
    links = [[0, 1, 50], [0, 2, 50], [0, 3, 50], [1, 2, 40], [1, 3, 40], [2, 3, 10]]
    maker = joined([one("chat", gpus=2)], links)
    plan = make_plan(maker.world(options=Options(explain=("chat",))))
    assert gpus_of(plan) == ["GPU-h1-2", "GPU-h1-3"]
    assert any(n.what.endswith("not all of its GPUs are joined by NVLink") for n in plan.notices)


def test_a_lone_gpu_is_taken_where_it_breaks_up_no_pair() -> None:
    maker = joined([one("a"), one("b"), one("chat", gpus=2)], PAIRS)
    maker.deployments = [one("a")]
    maker.done(make_plan(maker.world()))
    maker.deployments = [one("a"), one("b")]
    maker.done(make_plan(maker.world()))
    slots = maker.probes["h1"]["roster"]["slots"]
    assert [slots[name]["0"]["gpus"] for name in "ab"] == [["GPU-h1-0"], ["GPU-h1-2"]]
    maker.deployments.append(one("chat", gpus=2))
    assert gpus_of(make_plan(maker.world())) == ["GPU-h1-1", "GPU-h1-3"]


def test_gpus_of_one_replica_are_alike_where_that_is_possible_though_others_are_nearer() -> None:
    maker = joined([one("chat", gpus=2)], PAIRS)
    names = ("NVIDIA A100", "NVIDIA A100", "NVIDIA H100", "NVIDIA H100")
    named(maker.probes["h1"], *names)
    assert gpus_of(make_plan(maker.world())) == ["GPU-h1-0", "GPU-h1-1"]
    maker.probes["h1"]["gpu_links"] = []
    named(maker.probes["h1"], "NVIDIA A100", *names[1:2], "NVIDIA A100", "NVIDIA H100")
    maker.probes["h1"]["gpus"][0]["name"] = "NVIDIA H100"
    assert gpus_of(make_plan(maker.world())) == ["GPU-h1-0", "GPU-h1-3"]


def test_two_replicas_of_eight_gpus_each_get_a_whole_half_of_the_machine() -> None:
    half = [[a, b, NVLINK if a // 4 == b // 4 else 50] for a in range(8) for b in range(a + 1, 8)]
    maker = joined([one("a", gpus=4), one("b", gpus=4)], half, gpus=8)
    plan = make_plan(maker.world())
    assert {tuple(gpus_of(plan, name)) for name in "ab"} == {
        tuple(f"GPU-h1-{n}" for n in half_of) for half_of in (range(4), range(4, 8))
    }


def cut_up(specs: list[DeploymentSpec], **rules: Any) -> WorldMaker:
    maker = fleet(specs, {"h1": 2})
    named(maker.probes["h1"], "NVIDIA A100", "NVIDIA A100")
    whole = maker.probes["h1"]["gpus"][0]
    whole["mig"] = True
    slices = [
        {**whole, "mig": False, "slice": n, "parent": whole["uuid"], "uuid": f"MIG-{n}", "name": f"NVIDIA A100 MIG {profile}"}
        for n, profile in enumerate(("1g.10gb", "3g.40gb"))
    ]
    for one_slice, gib in zip(slices, (10, 40), strict=True):
        one_slice["memory_total"] = gib * GIB
    maker.probes["h1"]["gpus"] += slices  # type: ignore[arg-type]
    return maker


@pytest.mark.parametrize(
    ("rules", "gpu"),
    [
        ({}, "GPU-h1-1"),
        ({"gpu": "A100"}, "GPU-h1-1"),
        ({"gpu": "MIG 3g.40gb"}, "MIG-1"),
        ({"gpu": "1g.10gb"}, "MIG-0"),
        ({"gpu_memory": 8 * GIB}, "MIG-0"),
        ({"gpu_memory": 20 * GIB}, "MIG-1"),
    ],
)
def test_a_slice_is_a_gpu_for_those_who_ask_for_one_and_what_is_cut_up_is_none(rules: dict[str, Any], gpu: str) -> None:
    assert gpus_of(make_plan(cut_up([one(**rules)]).world())) == [gpu]


def test_several_slices_are_not_given_to_one_replica() -> None:
    found = refusal(make_plan(cut_up([one(gpus=2, gpu_memory=8 * GIB)]).world()))
    (line,) = found.details
    assert line.startswith("h1: 1 of 1 fitting GPU free, 2 wanted; NVIDIA A100 MIG 1g.10gb (10.0 GiB): a slice, of which")


def test_the_parent_in_a_hosts_file_means_its_slices() -> None:
    maker = cut_up([one(gpu="MIG 1g.10gb")])
    maker.hosts[0] = maker.hosts[0].model_copy(update={"gpus": (0,)})
    assert gpus_of(make_plan(maker.world())) == ["MIG-0"]
    maker.hosts[0] = maker.hosts[0].model_copy(update={"gpus": (1,)})
    assert refusal(make_plan(maker.world())).details == ("h1: NVIDIA A100 (80.0 GiB): no MIG 1g.10gb",)


@dataclass(frozen=True)
class Sliceless(Toy):
    check_gpu = VLLM.check_gpu


def test_vllm_is_given_no_slice() -> None:
    maker = cut_up([one(gpu="MIG 1g.10gb")])
    for gpu in maker.probes["h1"]["gpus"]:
        gpu["capability"] = "8.0"
    (found,) = make_plan(maker.world(engines={"toy": Sliceless()})).refusals
    assert (found.code, found.what) == ("gpu", "chat: vLLM cannot be given a slice of a GPU (MIG)")


def test_a_gpu_that_cannot_compute_what_is_asked_is_passed_over() -> None:
    maker = fleet([one()], {"h1": 1, "h2": 1})
    for name, capability in (("h1", "7.5"), ("h2", "9.0")):
        maker.probes[name]["gpus"][0].update(name=f"GPU {capability}", capability=capability)
    assert where(make_plan(maker.world(engines={"toy": Picky()}))) == {"chat": ["h2"]}
    maker.deployments = [one(replicas=2)]
    assert refusal(make_plan(maker.world(engines={"toy": Picky()}))).details == (
        "h1: GPU 7.5 (80.0 GiB): GPU 7.5 is 7.5",
        "h2: 0 of 1 GPUs free, 1 wanted",
    )
