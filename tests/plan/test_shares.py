"""Several replicas on one GPU, each with a share of it: who stands where, who gives way, what is said and what it costs."""

import copy
from random import Random
from typing import Any

import pytest

from deployer.plan import costs
from deployer.plan.codec import to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.roster import Place
from deployer.plan.steps import transactions
from deployer.plan.subset import by_changes
from deployer.plan.text import render
from deployer.plan.world import Adoption, HoldRequest, Options
from deployer.spec.models import DeploymentSpec, FleetSpec, Placement, Resources, Rollout, Strategy
from deployer.state.observed import Unreached
from tests.plan import models
from tests.plan.test_fitting import chat, of_fit, world
from tests.plan.worlds import GIB, WorldMaker, deployment, host, probe


def shared(name: str, percent: int | None, replicas: int = 1, context: int = 1024, **more: Any) -> DeploymentSpec:
    rules: dict[str, Any] = {"gpu_share": None if percent is None else f"{percent}%"}
    rules.update({key: more.pop(key) for key in ("gpu", "strategy", "hosts") if key in more})
    settings = {"gpus": more.pop("gpus", 1), "context": context}
    return deployment(name, replicas=replicas, engine=settings, placement=Placement(**rules), **more)


def fleet(specs: list[DeploymentSpec], gpus: dict[str, int]) -> WorldMaker:
    hosts = [host(name, gateway=True) for name in gpus]
    return WorldMaker(specs, hosts, {name: probe(name, gpus=count) for name, count in gpus.items()})


def stands(plan: Plan) -> dict[str, str]:
    """Replica → GPU."""
    assert plan.refusals == (), plan.refusals
    return {f"{name}/{n}": s["gpus"][0] for name, slots in plan.roster["slots"].items() for n, s in slots.items()}


def settled(maker: WorldMaker) -> WorldMaker:
    plan = make_plan(maker.world())
    assert plan.refusals == (), plan.refusals
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()
    return maker


def refused(plan: Plan) -> tuple[tuple[str, ...], str | None]:
    (found,) = plan.refusals
    return found.details, found.hint


def test_shares_fill_one_gpu_before_they_break_into_another_and_whole_ones_stay_alone() -> None:
    specs = [shared("a", 30), shared("b", 50), shared("c", 30), shared("whole", None)]
    assert stands(make_plan(fleet(specs, {"h1": 3}).world())) == {
        "whole/0": "GPU-h1-0",  # it chooses before those that fit into gaps
        "b/0": "GPU-h1-1",  # the largest share first
        "a/0": "GPU-h1-1",
        "c/0": "GPU-h1-2",
    }


def test_a_share_never_goes_onto_an_exclusive_gpu_nor_the_other_way_round() -> None:
    maker = settled(fleet([shared("a", 30)], {"h1": 1}))
    maker.deployments.append(shared("whole", None))
    assert refused(make_plan(maker.world()))[0] == ("h1: 0 of 1 GPUs free, 1 wanted",)
    maker = settled(fleet([shared("whole", None)], {"h1": 1}))
    maker.deployments.append(shared("a", 30))
    details, hint = refused(make_plan(maker.world()))
    assert details == ("h1: 0 of 1 GPUs with 30% free, 1 wanted",)
    assert hint == "a smaller gpu_share here or beside it, another host, or fewer replicas"


def test_a_hundred_percent_are_all_and_the_next_one_is_refused() -> None:
    maker = settled(fleet([shared("a", 40), shared("b", 60)], {"h1": 1}))
    assert len(set(stands(make_plan(maker.world())).values())) == 1
    maker.deployments.append(shared("c", 1))
    assert refused(make_plan(maker.world()))[0] == ("h1: 0 of 1 GPUs with 1% free, 1 wanted",)


def test_replicas_on_several_gpus_have_a_share_of_each() -> None:
    maker = settled(fleet([shared("wide", 60, gpus=2), shared("a", 40), shared("b", 40)], {"h1": 2}))
    assert sorted(stands(make_plan(maker.world())).values()) == ["GPU-h1-0", "GPU-h1-0", "GPU-h1-1"]
    maker.deployments.append(shared("c", 10))
    assert refused(make_plan(maker.world()))[0] == ("h1: 0 of 2 GPUs with 10% free, 1 wanted",)


def test_what_it_is_told_and_what_people_read() -> None:
    plan = make_plan(fleet([shared("a", 30), shared("b", 50)], {"h1": 1}).world(options=Options(explain=("a",))))
    assert "a/0 on 30% of 1 GPU, port" in render(plan, unicode=True)
    assert "a/0 on h1: the emptiest host that has room; it has 30% of its GPU, beside b/0 (50%)" in [n.what for n in plan.notices]
    assert plan.roster["slots"]["a"]["0"]["share"] == 30
    (made,) = [c for c in to_json(plan)["changes"] if c["deployment"] == "a" and c["kind"] == "replica"]
    (payload,) = [c.after.payload for c in plan.changes if c.name == "a/0" and c.after is not None]
    assert (payload["share"], payload["gpu_share"]) == (30, 0.3)
    assert "30%" in str(made["after"])
    (start,) = [s for t in transactions(plan, "h1") for s in t["steps"] if s["kind"] == "unit.start" and "a/0" in s["label"]]
    assert (start["args"]["gpus"], start["args"]["gpu_share"], start["args"]["shared"]) == (["GPU-h1-0"], 0.3, True)


def test_without_a_share_nothing_says_anything_of_one() -> None:
    plan = make_plan(fleet([shared("a", None)], {"h1": 1}).world(options=Options(explain=("a",))))
    assert plan.roster["slots"]["a"]["0"] == {"host": "h1", "port": 20000, "gpus": ["GPU-h1-0"]}
    assert "share" not in str(to_json(plan)["changes"])


def test_a_host_that_does_not_answer_keeps_its_shares_and_so_does_the_fleet_of_somebody_else() -> None:
    maker = settled(fleet([shared("a", 60, hosts=("h1",))], {"h1": 1, "h2": 0}))
    silent = copy.deepcopy(maker)
    del silent.probes["h1"]
    silent.unreached = {"h1": Unreached("h1", "timeout", "timed out")}
    silent.deployments = [shared("a", 20, hosts=("h1",))]
    assert make_plan(silent.world()).roster["slots"]["a"]["0"]["share"] == 60  # it runs there as it was started
    other = fleet([shared("c", 40)], {"h1": 1})
    theirs = {"id": "0", "name": "theirs", "ports": [], "gpus": ["GPU-h1-0"], "shares": {"GPU-h1-0": 60}}
    other.probes["h1"]["other_fleets"] = [theirs]
    assert stands(make_plan(other.world())) == {"c/0": "GPU-h1-0"}
    theirs["shares"] = {"GPU-h1-0": 61}
    assert "40% free" in refused(make_plan(other.world()))[0][0]
    del theirs["shares"]
    assert "40% free" in refused(make_plan(other.world()))[0][0]


def test_another_share_is_noted_without_a_restart_and_who_grows_gives_way() -> None:
    maker = settled(fleet([shared("a", 30), shared("b", 50)], {"h1": 1}))
    maker.deployments[0] = shared("a", 50)
    plan = make_plan(maker.world())
    (change,) = [c for c in plan.changes if c.name == "a/0"]
    assert (change.actions, [d.name for d in change.deltas], change.impact.restarts) == (("update",), ["gpu_share"], 0)
    assert plan.roster["slots"]["a"]["0"]["share"] == 50
    maker.deployments[0] = shared("a", 51)
    assert "h1: 0 of 1 GPUs with 51% free, 1 wanted" in refused(make_plan(maker.world()))[0]
    maker = settled(fleet([shared("a", 30, strategy="pack"), shared("b", 50, strategy="pack")], {"h1": 2}))
    maker.deployments[0] = shared("a", 51, strategy="pack")
    plan = make_plan(maker.world())
    assert stands(plan) == {"a/0": "GPU-h1-1", "b/0": "GPU-h1-0"}
    (moves,) = [notice for notice in plan.notices if notice.code == "move"]
    assert moves.what == "a/0 moves: its GPU on h1 has no 51% for it beside the others"
    assert moves.hint == "to h1: other GPUs of it have room"
    (change,) = [c for c in plan.changes if c.name == "a/0"]
    assert (change.actions, change.impact.restarts) == (("create", "delete"), 1), "on another GPU there is a new process"
    assert plan.rollouts["a"].why == "a second one fits beside the old: its GPUs are others than the old one's"


def test_what_a_share_gives_back_is_free_for_the_next_plan_and_that_is_said() -> None:
    maker = settled(fleet([shared("a", None)], {"h1": 1}))
    maker.deployments = [shared("a", 50), shared("b", 30)]
    assert refused(make_plan(maker.world()))[1] == "a gives back 50% of its GPU: first deployer apply a, then the rest"
    maker.done(make_plan(maker.world(options=Options(names=("a",)))))
    assert stands(make_plan(maker.world())) == {"a/0": "GPU-h1-0", "b/0": "GPU-h1-0"}


def test_one_that_wants_its_gpu_alone_again_leaves_the_others_where_they_are() -> None:
    maker = settled(fleet([shared("a", 30), shared("b", 50)], {"h1": 2}))
    maker.deployments[0] = shared("a", None)
    plan = make_plan(maker.world())
    assert stands(plan) == {"a/0": "GPU-h1-1", "b/0": "GPU-h1-0"}
    assert "a/0 moves: others share its GPU on h1, and it wants one alone" in [n.what for n in plan.notices]
    assert "share" not in plan.roster["slots"]["a"]["0"]


def test_a_new_process_stands_beside_the_old_where_a_second_share_is_free() -> None:
    maker = settled(fleet([shared("a", 30), shared("b", 40)], {"h1": 1}))
    maker.deployments[0] = shared("a", 30, context=2048)
    plan = make_plan(maker.world())
    assert plan.rollouts["a"].strategy == "blue_green"
    assert plan.rollouts["a"].why == "a second one fits beside the old: another 30% of a GPU is free"
    assert plan.roster["slots"]["a"]["0"]["gpus"] == ["GPU-h1-0"]
    maker.deployments[1] = shared("b", 40, context=2048)  # for both there is no room
    both = make_plan(maker.world())
    assert [both.rollouts[n].strategy for n in "ab"] == ["blue_green", "recreate"]
    assert both.rollouts["b"].why.startswith("no GPU of h1 has a second 40% free")


def test_a_process_with_another_share_needs_only_the_larger_of_both() -> None:
    maker = settled(fleet([shared("a", 30), shared("b", 20)], {"h1": 1}))
    maker.deployments[0] = shared("a", 40, context=2048)
    assert make_plan(maker.world()).rollouts["a"].strategy == "blue_green"  # 40 and 40 and 20
    maker.deployments[0] = shared("a", 41, context=2048, rollout=Rollout(strategy=Strategy.BLUE_GREEN))
    assert [r.code for r in make_plan(maker.world()).refusals] == ["rollout"]


def test_a_rollback_needs_its_share_and_says_who_has_it() -> None:
    maker = settled(fleet([shared("a", 60)], {"h1": 1}))
    maker.deployments = [shared("a", 20, context=2048, rollout=Rollout(strategy=Strategy.RECREATE))]
    settled(maker)
    maker.deployments.append(shared("b", 50))
    settled(maker)
    back = Options(holds=(HoldRequest("a", "rolled-back", "anna", revision=1),))
    no = [r.what for r in make_plan(maker.world(options=back)).refusals]
    assert no == ["a cannot go back to revision 1: 60% of the GPU of a/0 on h1 are not free any more: b/0"]
    maker.deployments[1] = shared("b", 40)
    settled(maker)
    assert make_plan(maker.world(options=back)).refusals == ()


def test_the_same_places_for_every_order_of_the_files_and_nothing_moves_for_a_file_that_goes() -> None:
    specs = [shared(f"d{n}", percent) for n, percent in enumerate((10, 20, 30, 40, 50, 60, None, 70))]
    gpus = {"h1": 2, "h2": 2, "h3": 1}
    before = stands(make_plan(fleet(specs, gpus).world()))
    for seed in range(4):
        shuffled = [*specs]
        Random(seed).shuffle(shuffled)
        assert stands(make_plan(fleet(shuffled, dict(reversed(gpus.items()))).world())) == before
    maker = settled(fleet(specs, gpus))
    gone = maker.deployments.pop(4)
    plan = make_plan(maker.world(options=Options(prune_approved=(gone.name,))))
    assert {c.deployment for c in plan.changes} == {gone.name}


def test_a_share_costs_its_part_of_a_gpu() -> None:
    spec = FleetSpec(id="7f3a9c21", name="acme", hosts={"h1": host("h1", price=(2.0, "EUR"))})
    places = [Place("a", 0, "h1", 20000, ("GPU-h1-0",), 25), Place("b", 0, "h1", 20001, ("GPU-h1-1",))]
    assert costs.of_places(spec, places) == {"a": {"EUR": 365.0}, "b": {"EUR": 1460.0}}


def on_a_share(spec: DeploymentSpec, percent: int, **more: Any) -> DeploymentSpec:
    return spec.model_copy(update={"placement": Placement(gpu_share=f"{percent}%"), **more})


def test_a_model_must_fit_into_its_share_and_the_share_that_would_do_is_said() -> None:
    assert of_fit(make_plan(world(models.LLAMA_3_8B, 80, on_a_share(chat(max_model_len=8192), 30)))) == ([], [])
    ((text,), _) = of_fit(make_plan(world(models.LLAMA_3_8B, 80, on_a_share(chat(max_model_len=8192), 20))))
    assert "chat does not fit on 20% of h1 GPU 0 (80 GiB)" in text
    assert "of 16.00 GiB usable" in text
    assert "gpu_share 24%" in text or "gpu_share 25%" in text


@pytest.mark.parametrize(("cache", "fits"), [(2 * GIB, True), (12 * GIB, False)])
def test_a_cache_of_stated_size_is_held_against_the_share(cache: int, fits: bool) -> None:
    spec = on_a_share(chat(max_model_len=8192, args={"kv_cache_memory_bytes": cache}), 30)
    plan = make_plan(world(models.LLAMA_3_8B, 80, spec))
    (told,) = [c.data["fit"] for c in plan.changes if "fit" in c.data]
    assert told["usable"] == int(80 * GIB * 0.3)
    assert told["fits"] is fits
    assert (of_fit(plan)[0] == []) is fits


def test_a_stated_size_is_held_against_the_share() -> None:
    for stated, fits in ((24, True), (25, False)):
        spec = on_a_share(chat(max_model_len=8192), 30, resources=Resources(gpu_memory=stated * GIB))
        assert (of_fit(make_plan(world(models.LLAMA_3_8B, 80, spec)))[0] == []) is fits


def test_a_start_beside_others_is_measured_by_its_own_processes() -> None:
    plan = make_plan(world(models.LLAMA_3_8B, 80, on_a_share(chat(max_model_len=8192), 30)))
    (change,) = [c for c in plan.changes if "memory" in c.data]
    assert change.data["memory"]["shared"] is True
    whole = make_plan(world(models.LLAMA_3_8B, 80, chat(max_model_len=8192)))
    (alone,) = [c for c in whole.changes if "memory" in c.data]
    assert "shared" not in alone.data["memory"]
    assert alone.data["memory"]["key"] == change.data["memory"]["key"]  # what one told counts for the other


def test_a_neighbour_of_ours_is_not_foreign_and_a_stranger_is() -> None:
    maker = settled(fleet([shared("a", 30)], {"h1": 1}))
    unit = maker.probes["h1"]["units"][0]["name"]
    gpu = maker.probes["h1"]["gpus"][0]
    gpu["processes"] = [{"pid": 7, "memory": 20 * GIB, "unit": unit}]
    gpu["memory_used"] = 20 * GIB
    maker.deployments.append(shared("b", 30))
    assert stands(make_plan(maker.world())) == {"a/0": "GPU-h1-0", "b/0": "GPU-h1-0"}
    gpu["processes"] = [{"pid": 7, "memory": 20 * GIB, "unit": None}]
    assert "0 of 1 GPUs with 30% free" in refused(make_plan(maker.world()))[0][0]
    gpu["processes"] = [{"pid": 7, "memory": 20 * GIB, "unit": "ollama.service"}]
    assert "0 of 1 GPUs with 30% free" in refused(make_plan(maker.world()))[0][0]
    gpu["processes"][0]["unit"] = "deployer-other-c-0-0123456789ab.service"  # its share is known from that fleet's own record
    assert stands(make_plan(maker.world())) == {"a/0": "GPU-h1-0", "b/0": "GPU-h1-0"}


def test_a_gpu_is_free_of_a_unit_that_ours_takes_over_from() -> None:
    maker = fleet([shared("a", 30)], {"h1": 1})
    maker.probes["h1"]["gpus"][0]["processes"] = [{"pid": 7, "memory": 20 * GIB, "unit": "vllm.service"}]
    assert stands(make_plan(maker.world(options=Options(adopt=(Adoption("a", "h1", "vllm.service"),))))) == {"a/0": "GPU-h1-0"}
    for other in (Adoption("a", "h2", "vllm.service"), Adoption("a", "h1", "other.service")):
        assert refused(make_plan(maker.world(options=Options(adopt=(other,)))))


def test_a_part_of_a_plan_keeps_the_share_that_stands() -> None:
    maker = settled(fleet([shared("a", 30)], {"h1": 1}))
    maker.deployments[0] = shared("a", 50)
    assert by_changes(make_plan(maker.world()), set()).roster["slots"]["a"]["0"]["share"] == 30
    assert Place("a", 0, "h1", 1, share=30).as_json()["share"] == 30
