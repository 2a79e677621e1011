"""The guard on how much of the fleet a plan may stop."""

from typing import Any

import pytest

from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.world import CordonRequest, HoldRequest, Options
from deployer.spec.models import GuardSpec
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker, deployment, host, probe


def fleet(*sizes: int, **extra: Any) -> WorldMaker:
    """Deployments a, b, … of these sizes, which run."""
    names = [f"h{i}" for i in range(1, 4)]
    made = [deployment(chr(ord("a") + i), replicas=size) for i, size in enumerate(sizes)]
    maker = WorldMaker(made, [host(n, gateway=n == "h1" or None) for n in names], {n: probe(n) for n in names}, extra=extra)
    maker.done(make_plan(maker.world()))
    return maker


def stop(maker: WorldMaker, *names: str, **options: Any) -> Plan:
    held = tuple(HoldRequest(name, "stopped", "ada") for name in names)
    return make_plan(maker.world(options=Options(names=names, holds=held, **options)))


def shares(plan: Plan) -> list[str]:
    return [r.what for r in plan.refusals if r.code == "share"]


def test_a_plan_that_stops_more_than_half_of_what_runs_is_refused_with_how_much_of_what() -> None:
    plan = stop(fleet(3, 2, 1), "a", "c")
    [refusal] = [r for r in plan.refusals if r.code == "share"]
    assert refusal.what == "this stops 4 of 6 running replicas of the fleet, with nothing in their place"
    assert refusal.details == ("a: 3 of 3", "c: 1 of 1")
    assert "--allow" in str(refusal.hint)


def test_half_is_not_more_than_half_and_allow_is_a_word_for_just_that() -> None:
    assert shares(stop(fleet(3, 2, 1), "a")) == []
    assert stop(fleet(3, 2, 1), "a", "b", "c", allow=True).refusals == ()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_fleets_are_left_alone(size: int) -> None:
    assert stop(fleet(size), "a").refusals == ()


@pytest.mark.parametrize(
    ("said", "names", "refused"), [("0%", "c", True), ("17%", "c", False), ("16%", "c", True), ("100%", "abc", False)]
)
def test_what_deployer_yaml_says_is_what_counts(said: str, names: str, refused: bool) -> None:
    assert bool(shares(stop(fleet(3, 2, 1, guard=GuardSpec(max_stopped=said)), *names))) is refused


def test_what_is_said_counts_for_small_fleets_too() -> None:
    assert shares(stop(fleet(1, guard=GuardSpec(max_stopped="0%")), "a")) == [
        "this stops 1 of 1 running replica of the fleet, with nothing in their place"
    ]


def test_what_is_replaced_restarted_or_moved_has_a_successor() -> None:
    none = GuardSpec(max_stopped="0%")
    maker = fleet(2, 2, 2, guard=none)
    maker.deployments = [deployment(d.name, replicas=d.replicas, engine={"context": 2048}) for d in maker.deployments]
    assert shares(make_plan(maker.world())) == []
    maker = fleet(2, 2, 2, guard=none)
    assert shares(make_plan(maker.world(options=Options(restart=("a", "b", "c"))))) == []
    moved = make_plan(maker.world(options=Options(cordons=(CordonRequest("h2", "drained", "ada"),))))
    assert [c for c in moved.changes if c.kind == "replica"] != []
    assert shares(moved) == []


def test_fewer_replicas_files_that_are_gone_and_hosts_that_retire_all_count() -> None:
    maker = fleet(6)
    maker.deployments = [deployment("a", replicas=1)]
    assert shares(make_plan(maker.world())) != []
    maker = fleet(3, 3)
    maker.deployments = []
    assert shares(make_plan(maker.world())) == []  # they stay until somebody prunes
    assert shares(make_plan(maker.world(options=Options(prune=True)))) != []


def test_what_stands_on_a_host_that_does_not_answer_counts_as_running() -> None:
    maker = fleet(6)
    maker.deployments = [deployment("a", replicas=2)]
    assert shares(make_plan(maker.world())) != []
    maker.probes.pop("h3")
    maker.unreached = {"h3": Unreached("h3", "timeout", "timed out")}
    plan = make_plan(maker.world())
    assert [c.name for c in plan.changes if c.kind == "replica" and c.after is None] == ["a/3", "a/4"]
    assert shares(plan) == []  # 2 of 6
