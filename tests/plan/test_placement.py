"""Where new replicas go: rules, GPUs, neighbours, what is said when there is no place, and the nearest that would do."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from deployer.agent.wire import Probe
from deployer.plan.codec import to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Plan, Refusal
from deployer.plan.world import Options
from deployer.spec.models import DeploymentSpec, Placement
from deployer.state.observed import Unreached
from tests.plan.worlds import GIB, WorldMaker, deployment, host, probe


def fleet(specs: list[DeploymentSpec], gpus: dict[str, int], labels: dict[str, dict[str, str]] | None = None) -> WorldMaker:
    hosts = [host(name, gateway=True, labels=(labels or {}).get(name, {})) for name in gpus]
    return WorldMaker(specs, hosts, {name: probe(name, gpus=count) for name, count in gpus.items()})


def one(name: str = "chat", gpus: int = 1, replicas: int = 1, **rules: Any) -> DeploymentSpec:
    return deployment(name, replicas=replicas, engine={"gpus": gpus}, placement=Placement(**rules))


def named(found: Probe, *names: str, gib: int = 80) -> Probe:
    for gpu, name in zip(found["gpus"], names, strict=True):
        gpu.update(name=name, memory_total=gib * GIB)
    return found


def where(plan: Plan) -> dict[str, list[str]]:
    assert plan.refusals == (), plan.refusals
    return {name: [s["host"] for _, s in sorted(slots.items())] for name, slots in plan.roster["slots"].items()}


def gpus_of(plan: Plan, name: str = "chat", number: str = "0") -> list[str]:
    assert plan.refusals == (), plan.refusals
    return list(plan.roster["slots"][name][number]["gpus"])


def refusal(plan: Plan) -> Refusal:
    (found,) = plan.refusals
    return found


def test_the_model_of_a_gpu_is_asked_for_by_whole_words_of_its_name() -> None:
    maker = fleet([one(gpu="L4")], {"h1": 2, "h2": 2})
    named(maker.probes["h1"], "NVIDIA L40S", "NVIDIA L40S")
    named(maker.probes["h2"], "NVIDIA A100-SXM4-80GB", "NVIDIA L4")
    assert gpus_of(make_plan(maker.world())) == ["GPU-h2-1"]
    for asked in ("A100", "a100-sxm4", "nvidia a100 sxm4 80gb"):
        maker.deployments = [one(gpu=asked)]
        assert gpus_of(make_plan(maker.world())) == ["GPU-h2-0"]
    maker.deployments = [one(gpu="H100")]
    assert refusal(make_plan(maker.world())).details == (
        "h1: NVIDIA L40S (80.0 GiB): no H100",
        "h2: NVIDIA A100-SXM4-80GB (80.0 GiB): no H100; NVIDIA L4 (80.0 GiB): no H100",
    )


def test_the_memory_that_is_asked_for_is_had_by_each_and_the_smallest_that_has_it_is_taken() -> None:
    maker = fleet([one(gpu_memory=40 * GIB)], {"h1": 3})
    for gpu, gib in zip(maker.probes["h1"]["gpus"], (24, 80, 48), strict=True):
        gpu["memory_total"] = gib * GIB
    assert gpus_of(make_plan(maker.world())) == ["GPU-h1-2"]
    maker.deployments = [one(gpu_memory=40 * GIB, gpus=3)]
    assert refusal(make_plan(maker.world())).details == (
        "h1: 2 of 2 fitting GPUs free, 3 wanted; H100 (24.0 GiB): less than 40.0 GiB",
    )


def test_a_slot_whose_gpu_the_rules_forbid_moves_and_says_why() -> None:
    maker = fleet([one()], {"h1": 1, "h2": 1})
    maker.done(make_plan(maker.world()))
    named(maker.probes["h2"], "NVIDIA H200", gib=141)
    maker.deployments = [one(gpu="H200")]
    plan = make_plan(maker.world())
    assert where(plan) == {"chat": ["h2"]}
    assert "chat/0 moves: GPU 0 of h1 is H100 (80.0 GiB): no H200" in [n.what for n in plan.notices]


def test_packing_fills_the_host_in_use_and_spreading_the_emptiest() -> None:
    gpus = {"h1": 4, "h2": 4, "h3": 4}
    names = ("a", "b", "c", "d", "e")
    assert where(make_plan(fleet([one(n, strategy="pack") for n in names], gpus).world())) == {
        **dict.fromkeys("abcd", ["h1"]),
        "e": ["h2"],
    }
    assert where(make_plan(fleet([one(n) for n in names], gpus).world())) == {
        "a": ["h1"],
        "b": ["h2"],
        "c": ["h3"],
        "d": ["h1"],
        "e": ["h2"],
    }


def test_packing_takes_the_host_with_the_fewest_gpus_left_that_suffice() -> None:
    maker = fleet([one("big", gpus=2, strategy="pack")], {"h1": 8, "h2": 2})
    assert where(make_plan(maker.world())) == {"big": ["h2"]}


def test_what_wants_most_gpus_chooses_first() -> None:
    maker = fleet([one("a"), one("b", gpus=2)], {"h1": 2, "h2": 1})
    assert where(make_plan(maker.world())) == {"a": ["h2"], "b": ["h1"]}


def test_whom_the_fewest_gpus_would_do_chooses_before_one_that_takes_any() -> None:
    maker = fleet([one("any"), one("rare", gpu="H100")], {"h1": 1, "h2": 1})
    named(maker.probes["h1"], "NVIDIA H100")
    named(maker.probes["h2"], "NVIDIA L4")
    assert where(make_plan(maker.world())) == {"any": ["h2"], "rare": ["h1"]}


RACKS = {"h1": {"rack": "r1"}, "h2": {"rack": "r1"}, "h3": {"rack": "r2"}, "h4": {}}


def test_replicas_are_spread_over_a_label_first_and_then_over_hosts() -> None:
    maker = fleet([one(replicas=4, gpus=0, spread_by="rack")], dict.fromkeys(RACKS, 0), RACKS)
    assert where(make_plan(maker.world())) == {"chat": ["h1", "h3", "h2", "h4"]}


def test_which_rack_comes_first_is_told_by_how_empty_its_hosts_are() -> None:
    maker = fleet([one(n, gpus=0, spread_by="rack") for n in "ab"], dict.fromkeys(RACKS, 0), RACKS)
    assert where(make_plan(maker.world())) == {"a": ["h1"], "b": ["h2"]}


def test_replicas_that_must_stand_apart_do_and_a_host_that_cannot_tell_its_rack_gets_none() -> None:
    maker = fleet([one(replicas=3, gpus=0, apart="rack")], dict.fromkeys(RACKS, 0), RACKS)
    found = refusal(make_plan(maker.world()))
    assert found.what == "chat/2 has no host to stand on"
    assert found.details == (
        "h1, h2: rack r1 has a replica of it already",
        "h3:     rack r2 has a replica of it already",
        "h4:     has no label rack, and its replicas stand apart by that",
    )
    maker.deployments = [one(replicas=2, gpus=0, apart="rack")]
    assert where(make_plan(maker.world())) == {"chat": ["h1", "h3"]}


def test_packed_replicas_that_stand_apart_are_on_different_hosts() -> None:
    maker = fleet([one(replicas=2, strategy="pack", apart="host")], {"h1": 2, "h2": 2})
    assert where(make_plan(maker.world())) == {"chat": ["h1", "h2"]}


@pytest.mark.parametrize("says", ["a", "b"])
def test_two_that_stand_apart_do_whichever_of_them_says_so(says: str) -> None:
    other = {"a": "b", "b": "a"}[says]
    maker = fleet([one(other, strategy="pack"), one(says, strategy="pack", apart_from=(other,))], {"h1": 2, "h2": 2})
    assert where(make_plan(maker.world())) == {"a": ["h1"], "b": ["h2"]}


def test_a_new_rule_moves_the_one_that_says_it() -> None:
    maker = fleet([one("a", strategy="pack"), one("b", strategy="pack")], {"h1": 2, "h2": 2})
    maker.done(make_plan(maker.world()))
    maker.deployments[0] = one("a", strategy="pack", apart_from=("b",))
    plan = make_plan(maker.world())
    assert where(plan) == {"a": ["h2"], "b": ["h1"]}
    assert "a/0 moves: h1 has b, from which it stands apart" in [n.what for n in plan.notices]


def test_a_host_that_does_not_answer_keeps_its_slots_whatever_the_rules_say_now() -> None:
    maker = fleet([one()], {"h1": 1, "h2": 1})
    maker.done(make_plan(maker.world()))
    maker.probes["h2"]["roster"] = maker.probes["h1"]["roster"]
    del maker.probes["h1"]
    maker.unreached = {"h1": Unreached("h1", "timeout", "timed out")}
    for rules in ({"hosts": ("h2",)}, {"labels": {"gpu": "h200"}}, {"gpu": "H200"}):
        maker.deployments = [one(**rules)]
        assert where(make_plan(maker.world())) == {"chat": ["h1"]}
    maker.deployments = [one(hosts=("h2",))]
    assert where(make_plan(maker.world(options=Options(replace_lost=("h1",))))) == {"chat": ["h2"]}


def test_the_host_that_has_the_model_already_is_taken_before_an_emptier_one() -> None:
    first = one("a", hosts=("h2",))
    maker = fleet([first], {"h1": 2, "h2": 2, "h3": 2})
    maker.done(make_plan(maker.world()))
    maker.deployments = [first, one("b")]
    plan = make_plan(maker.world())
    assert where(plan)["b"] == ["h2"]
    assert not [c for c in plan.changes if c.kind == "model"]
    maker.deployments = [first, one("b", replicas=2)]
    assert where(make_plan(maker.world()))["b"] == ["h2", "h1"], "its own replicas are spread before that"
    maker.deployments = [first, one("b", gpus=0)]
    assert where(make_plan(maker.world()))["b"] == ["h1"], "on the CPU all would stand on one host"


def test_a_converted_model_is_known_by_its_own_name() -> None:
    first = deployment("a", engine={"gpus": 1, "convert": True}, placement=Placement(hosts=("h2",)))
    maker = fleet([first], {"h1": 2, "h2": 2})
    maker.done(make_plan(maker.world()))
    maker.deployments = [first, deployment("b", engine={"gpus": 1, "convert": True}), one("c")]
    assert where(make_plan(maker.world())) == {"a": ["h2"], "b": ["h2"], "c": ["h1"]}


def test_reasons_of_five_hundred_hosts_are_a_few_lines() -> None:
    maker = fleet([one(gpus=2)], {f"h{n:03}": n % 2 for n in range(500)})
    maker.unreached = {"h001": Unreached("h001", "timeout", "timed out")}
    del maker.probes["h001"]
    assert refusal(make_plan(maker.world())).details == (
        "h000, h002, h004 and 247 more: 0 of 0 GPUs free, 2 wanted",
        "h001:                          unreachable: timed out",
        "h003, h005, h007 and 246 more: 1 of 1 GPUs free, 2 wanted",
    )


def test_many_different_reasons_are_cut_to_the_most_frequent() -> None:
    maker = fleet([one(gpus=99)], {f"h{n:02}": n for n in range(30)})
    details = refusal(make_plan(maker.world())).details
    assert len(details) == 12
    assert details[-1] == "and 19 hosts more, for 19 other reasons"


def test_a_host_that_the_labels_leave_out_and_that_has_room_is_named() -> None:
    maker = fleet([one(labels={"gpu": "h100"})], {"h1": 0, "h2": 1}, {"h1": {"gpu": "h100"}})
    assert refusal(make_plan(maker.world())).hint == "h2 has room, but has no label gpu: h100"


def test_a_host_that_is_cordoned_and_has_room_is_named() -> None:
    maker = fleet([one()], {"h1": 1})
    maker.hosts[0] = host("h1", gateway=True, state="cordoned")
    assert str(refusal(make_plan(maker.world())).hint).startswith("h1 has room, but is cordoned: deployer hosts uncordon h1")


def test_a_gpu_that_the_rules_leave_out_and_that_is_free_is_named() -> None:
    maker = fleet([one(gpu="H200")], {"h1": 1})
    hint = "h1 has a free H100 (80.0 GiB), which may hold it: that is not known, but it is no H200"
    assert refusal(make_plan(maker.world())).hint == hint


def test_one_whose_move_would_make_room_is_named_when_it_has_room_elsewhere() -> None:
    maker = fleet([one("small", hosts=("h1",))], {"h1": 2, "h2": 1})
    maker.done(make_plan(maker.world()))
    maker.deployments = [one("small", hosts=("h1", "h2")), one("wide", gpus=2)]
    hint = "small/0 could stand on h2; h1 would then have room (placement: {hosts: [h2]} in its file moves it)"
    assert refusal(make_plan(maker.world())).hint == hint
    maker.deployments[0] = one("small", hosts=("h2",))
    assert make_plan(maker.world()).refusals[0].hint != hint, "it moves by itself, but stops only late in the plan"
    maker.deployments[0] = one("small", hosts=("h1",))
    assert "could stand" not in str(refusal(make_plan(maker.world())).hint)


def test_a_slot_that_leaves_may_take_its_own_room_again_and_nobody_else_may() -> None:
    maker = fleet([one("a")], {"h1": 2})
    maker.done(make_plan(maker.world()))
    maker.deployments = [one("a", gpus=2)]
    assert gpus_of(make_plan(maker.world()), "a") == ["GPU-h1-0", "GPU-h1-1"]
    maker.hosts.append(host("h2", gateway=True))
    maker.probes["h2"] = probe("h2", gpus=1)
    maker.deployments = [one("a", hosts=("h2",)), one("b", gpus=2, hosts=("h1",))]
    plan = make_plan(maker.world())
    assert [r.deployment for r in plan.refusals] == ["b"]
    assert plan.roster["slots"]["a"]["0"]["host"] == "h2"


def test_removing_one_file_leaves_the_rest_where_it_is() -> None:
    maker = fleet([one(n, gpus=1) for n in "abcd"], {"h1": 2, "h2": 2})
    maker.done(make_plan(maker.world()))
    before = where(make_plan(maker.world()))
    maker.deployments = [d for d in maker.deployments if d.name != "b"]
    plan = make_plan(maker.world(options=replace(Options(), prune_approved=("b",))))
    assert {name: found for name, found in before.items() if name != "b"} == where(plan)


def mixed() -> WorldMaker:
    """Ten deployments on three hosts with different GPUs."""
    specs = [
        *(one(f"chat-{n}", gpu="H100", spread_by="rack") for n in range(2)),
        *(one(f"code-{n}", gpus=2, gpu_memory=40 * GIB) for n in range(2)),
        *(one(f"embed-{n}", strategy="pack", apart_from=("code-0",)) for n in range(3)),
        *(one(f"rank-{n}", gpus=0, replicas=2, apart="host") for n in range(3)),
    ]
    maker = fleet(specs, {"h1": 4, "h2": 4, "h3": 8}, {"h1": {"rack": "r1"}, "h2": {"rack": "r2"}, "h3": {"rack": "r2"}})
    named(maker.probes["h1"], *["NVIDIA H100 80GB HBM3"] * 4)
    named(maker.probes["h2"], *["NVIDIA L4"] * 2, *["NVIDIA H100 80GB HBM3"] * 2, gib=48)
    named(maker.probes["h3"], *["NVIDIA L40S"] * 8, gib=48)
    return maker


def test_ten_deployments_on_mixed_gpus_stand_the_same_however_they_are_read() -> None:
    first = make_plan(mixed().world())
    for seed in range(5):
        maker = mixed()
        Random(seed).shuffle(maker.deployments)
        Random(seed).shuffle(maker.hosts)
        maker.probes = {n: maker.probes[n] for n in Random(seed).sample(sorted(maker.probes), 3)}
        assert to_json(make_plan(maker.world())) == to_json(first)
    assert first.refusals == ()


@pytest.mark.parametrize("gone", range(10))
def test_ten_deployments_less_one_stand_where_they_stood(gone: int) -> None:
    maker = mixed()
    maker.done(make_plan(maker.world()))
    name = maker.deployments.pop(gone).name
    maker.deployments = [
        d.model_copy(update={"placement": d.placement.model_copy(update={"apart_from": ()})}) if name == "code-0" else d
        for d in maker.deployments
    ]
    plan = make_plan(maker.world(options=Options(prune_approved=(name,))))
    assert {c.deployment for c in plan.changes} == {name}


def test_a_drained_host_is_left_with_a_reason_for_each_and_a_reason_why_to_there() -> None:
    maker = mixed()
    maker.done(make_plan(maker.world()))
    before = where(make_plan(maker.world()))
    leaving = {f"{name}/{n}" for name, hosts in before.items() for n, h in enumerate(hosts) if h == "h2"}
    assert leaving
    maker.hosts[1] = host("h2", gateway=True, labels={"rack": "r2"}, state="drained")
    plan = make_plan(maker.world())
    after = where(plan)
    assert not any("h2" in hosts for hosts in after.values())
    assert {f"{n}/{i}" for n, hosts in before.items() for i, h in enumerate(hosts) if after[n][i] != h} == leaving
    moves = {notice.what: notice.hint for notice in plan.notices if notice.code == "move"}
    assert set(moves) == {f"{slot} moves: host h2 is drained" for slot in leaving}
    assert all(hint and hint.startswith("to h") for hint in moves.values())
