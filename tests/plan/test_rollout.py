"""Which strategy a plan takes, what it moves, and which steps that makes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Change, Plan
from deployer.plan.roster import from_json as roster_from_json
from deployer.plan.steps import run_request, transactions
from deployer.plan.subset import by_changes
from deployer.plan.world import Options
from deployer.spec.models import DeploymentSpec, Resources, Rollout, Strategy
from deployer.state.observed import Unreached
from deployer.state.resources import Kind
from tests.plan.worlds import GIB, WorldMaker, as_saved, deployment, host, probe

FEW = settings(max_examples=30)


def fleet(*hosts: str, replicas: int = 1, rollout: Rollout | None = None, **facts: Any) -> WorldMaker:
    """A world in which one deployment was applied; `facts` are the probes'."""
    names = hosts or ("h1",)
    maker = WorldMaker(
        [deployment(replicas=replicas, rollout=rollout or Rollout())],
        [host(name, gateway=name == names[0] or None) for name in names],
        {name: probe(name, **facts) for name in names},
    )
    maker.done(make_plan(maker.world()))
    assert make_plan(maker.world()).changes == ()
    return maker


def edited(maker: WorldMaker, context: int = 2048, **changes: Any) -> Plan:
    before = maker.deployments[0]
    maker.deployments = [
        deployment(**{"replicas": before.replicas, "rollout": before.rollout, **changes, "engine": {"context": context}})
    ]
    return make_plan(maker.world())


def replicas(plan: Plan) -> list[Change]:
    return [c for c in plan.changes if c.kind is Kind.REPLICA]


def kinds(plan: Plan, name: str = "h1") -> list[tuple[str, str]]:
    return [(s["stage"], s["kind"]) for t in transactions(plan, name) for s in t["steps"] if t["deployment"]]


def test_with_memory_to_spare_the_new_one_starts_beside_the_old_on_another_port() -> None:
    maker = fleet(memory_available=64 * GIB)
    plan = edited(maker)
    (change,) = replicas(plan)
    assert change.actions == ("create", "delete")
    assert change.impact.downtime_s is None
    assert (change.before.payload["port"], change.after.payload["port"]) == (20000, 20001)
    assert change.before.payload["unit"] != change.after.payload["unit"]
    assert plan.rollouts["chat"].strategy == "blue_green"
    assert plan.roster["slots"]["chat"]["0"]["port"] == 20001
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()


def test_the_old_one_stops_only_after_the_route_has_left_it_and_its_requests_have_ended() -> None:
    plan = edited(fleet(memory_available=64 * GIB))
    order = [kind for _, kind in kinds(plan)]
    positions = [order.index(kind) for kind in ("unit.start", "unit.ready", "gateway.reload", "endpoint.ready", "unit.steady")]
    assert positions == sorted(positions)
    last_drained = len(order) - 1 - order[::-1].index("gateway.drained")
    assert order.index("unit.steady") < last_drained < order.index("unit.stop")
    assert [stage for stage, kind in kinds(plan) if kind == "unit.stop"] == ["finish"]


def test_a_route_and_the_replica_behind_it_change_together_or_not_at_all() -> None:
    plan = edited(fleet(memory_available=64 * GIB))
    endpoint = next(c for c in plan.changes if c.kind is Kind.ENDPOINT)
    assert [c.kind for c in by_changes(plan, [c.id for c in plan.changes if c is not endpoint]).changes] == [Kind.DEPLOYMENT] * 0
    without = by_changes(plan, [c.id for c in plan.changes if c.kind is not Kind.REPLICA])
    assert all(c.kind is Kind.DEPLOYMENT for c in without.changes)
    assert without.roster["slots"]["chat"]["0"]["port"] == 20000


def test_a_change_that_was_undone_leaves_a_roster_that_nobody_believes() -> None:
    maker = fleet(memory_available=64 * GIB)
    plan = edited(maker)
    maker.probes["h1"]["roster"] = dict(plan.roster)  # left before the change failed and was undone
    maker.deployments = [deployment()]
    assert make_plan(maker.world()).changes == ()


def test_without_room_and_alone_it_stops_first_and_the_plan_says_why() -> None:
    plan = edited(fleet(memory_available=2 * GIB))
    (change,) = replicas(plan)
    assert change.actions == ("delete", "create")
    assert change.impact.downtime_s
    assert plan.rollouts["chat"].strategy == "recreate"
    assert "resources.memory would say" in plan.rollouts["chat"].why


def test_what_a_replica_may_take_at_most_proves_the_room() -> None:
    maker = fleet(memory_available=5 * GIB)
    plan = edited(maker, resources=Resources(memory=3 * GIB))
    assert plan.rollouts["chat"].strategy == "blue_green"
    assert "resources.memory" in plan.rollouts["chat"].why


def test_what_the_old_one_was_seen_to_take_proves_it_too() -> None:
    maker = fleet(memory_available=5 * GIB)
    for unit in maker.probes["h1"]["units"]:
        unit["memory"] = 2 * GIB
    assert edited(maker).rollouts["chat"].strategy == "blue_green"


def test_two_new_ones_must_both_fit() -> None:
    assert edited(fleet(replicas=2, memory_available=16 * GIB)).rollouts["chat"].strategy == "rolling"
    assert edited(fleet(replicas=2, memory_available=18 * GIB)).rollouts["chat"].strategy == "blue_green"


def test_what_one_deployment_found_in_vain_is_there_for_the_next() -> None:
    def both(context: int) -> list[DeploymentSpec]:
        return [deployment(name, replicas=number, engine={"context": context}) for name, number in (("a", 2), ("b", 1))]

    maker = WorldMaker(both(1024), probes={"h1": probe("h1", memory_available=10 * GIB)})
    maker.done(make_plan(maker.world()))
    maker.deployments = both(2048)
    plan = make_plan(maker.world())
    assert {name: rollout.strategy for name, rollout in plan.rollouts.items()} == {"a": "rolling", "b": "blue_green"}
    assert [c.after.payload["port"] for c in replicas(plan) if c.after and c.deployment == "b"] == [20003]


def test_a_free_gpu_is_room_enough() -> None:
    maker = WorldMaker([deployment(engine={"gpus": 1})], probes={"h1": probe(gpus=2)})
    maker.done(make_plan(maker.world()))
    maker.deployments = [deployment(engine={"gpus": 1, "context": 4096})]
    plan = make_plan(maker.world())
    (change,) = replicas(plan)
    assert change.actions == ("create", "delete")
    assert (change.before.payload["gpus"], change.after.payload["gpus"]) == (["GPU-h1-0"], ["GPU-h1-1"])
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()


def test_the_same_gpu_is_no_room_when_nobody_knows_what_fits() -> None:
    maker = WorldMaker([deployment(engine={"gpus": 1})], probes={"h1": probe(gpus=1)})
    maker.done(make_plan(maker.world()))
    maker.deployments = [deployment(engine={"gpus": 1, "context": 4096})]
    assert make_plan(maker.world()).rollouts["chat"].strategy == "recreate"


def test_rolling_replaces_one_replica_a_wave_and_its_host_tells_other_gateways_before() -> None:
    plan = edited(fleet("h1", "h2", replicas=2))
    assert plan.rollouts["chat"].strategy == "rolling"
    assert [(c.host, c.wave, c.actions, c.impact.downtime_s) for c in replicas(plan)] == [
        ("h1", 1, ("delete", "create"), None),
        ("h2", 2, ("delete", "create"), None),
    ]
    first, second = transactions(plan, "h1"), transactions(plan, "h2")
    assert [t["id"] for t in (*first, *second) if t["deployment"]] == ["chat", "chat~2"]
    assert [stage for stage, kind in kinds(plan, "h2") if kind == "unit.stop"] == ["switch-2"]
    drained = next(s for t in second for s in t["steps"] if s["kind"] == "gateway.drained")
    assert (drained["stage"], drained["args"]["ports"]) == ("drain-2", [20000])
    during = next(s for t in second for s in t["steps"] if s["kind"] == "file.write" and s["stage"] == "drain-2")
    assert "/up" in during["args"]["content"]
    request = run_request(plan, "h2", run="r", who="a", why=None, probe={}, fleet={"id": "i", "name": "acme"})
    assert {"drain-2", "switch-2", "gateway-2", "finish-2"} < set(request["barriers"])


def test_two_on_one_host_leave_the_route_in_turn() -> None:
    plan = edited(fleet(replicas=2, memory_available=0))
    assert [c.wave for c in replicas(plan)] == [1, 2]
    written = [
        s["args"]["content"]
        for t in transactions(plan, "h1")
        for s in t["steps"]
        if s["kind"] == "file.write" and s["args"]["path"].endswith("10-chat.cfg")
    ]
    servers = [[port for port in ("20000", "20001") if f":{port}" in text] for text in written]
    assert servers == [["20001"], ["20000", "20001"], ["20000"], ["20000", "20001"]]


def test_each_wave_notes_only_what_it_did() -> None:
    plan = edited(fleet(replicas=2, memory_available=0))
    notes = [s["args"]["record"] for t in transactions(plan, "h1") for s in t["steps"] if s["kind"] == "record"]
    contexts = [
        [a["value"] for r in note["resources"] if r["kind"] == "replica" for a in r["attributes"] if a["name"] == "context"]
        for note in notes
    ]
    assert contexts == [[2048, 1024], [2048, 2048]]


def test_a_second_replica_that_comes_along_serves_before_the_first_one_stops() -> None:
    maker = fleet(memory_available=0)
    plan = edited(maker, replicas=2)
    assert plan.rollouts["chat"].strategy == "rolling"
    assert [(c.name, c.actions, c.wave) for c in replicas(plan)] == [
        ("chat/0", ("delete", "create"), 2),
        ("chat/1", ("create",), 1),
    ]


def test_one_that_is_down_anyway_comes_before_the_one_that_serves() -> None:
    maker = fleet(replicas=2, memory_available=0)
    next(u for u in maker.probes["h1"]["units"] if "chat-1" in u["name"])["active"] = "failed"
    plan = edited(maker)
    assert plan.rollouts["chat"].strategy == "rolling"
    assert [(c.name, c.wave) for c in replicas(plan)] == [("chat/0", 2), ("chat/1", 1)]


def test_hosts_that_do_not_answer_count_where_a_number_is_given() -> None:
    maker = fleet("h1", "h2", "h3", replicas=3, rollout=Rollout(max_failures=0))
    maker.unreached = {"h3": Unreached("h3", "timeout", "timed out")}
    maker.probes.pop("h3")
    (refusal,) = edited(maker).refusals
    assert refusal.code == "rollout"
    assert "h3" in refusal.what
    assert edited(maker, rollout=Rollout(max_failures=1)).refusals == ()


def test_max_parallel_never_takes_all() -> None:
    plan = edited(fleet(replicas=3, memory_available=0, rollout=Rollout(max_parallel=8)))
    assert [c.wave for c in replicas(plan)] == [1, 1, 2]


def test_what_was_asked_for_and_does_not_fit_is_refused_with_a_place() -> None:
    maker = fleet(memory_available=0, rollout=Rollout(strategy=Strategy.BLUE_GREEN))
    (refusal,) = edited(maker).refusals
    assert refusal.code == "rollout"
    assert "wants" in refusal.details[0]


def test_what_was_asked_for_is_done_where_more_would_fit() -> None:
    plan = edited(fleet(replicas=2, memory_available=64 * GIB, rollout=Rollout(strategy=Strategy.RECREATE)))
    assert [(c.actions, c.wave) for c in replicas(plan)] == [(("delete", "create"), 1)] * 2
    assert plan.rollouts["chat"].strategy == "recreate"


def test_a_restart_has_no_downtime_where_both_fit() -> None:
    maker = fleet(memory_available=64 * GIB)
    plan = make_plan(maker.world(options=Options(names=("chat",), restart=("chat",))))
    (change,) = replicas(plan)
    assert change.actions == ("create", "delete")
    assert change.reason.startswith("restart asked for by")


def test_a_stop_needs_no_strategy() -> None:
    plan = edited(fleet(memory_available=64 * GIB), context=1024, state="stopped")
    assert plan.rollouts == {}


@FEW
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 40), st.sampled_from(list(Strategy)[:3] + [Strategy.RECREATE]))
def test_every_replica_is_replaced_once_and_then_nothing_is_left(count: int, hosts: int, memory: int, strategy: Strategy) -> None:
    names = [f"h{i}" for i in range(hosts)]
    maker = fleet(*names, replicas=count, rollout=Rollout(strategy=strategy), memory_available=memory * GIB)
    plan = edited(maker)
    if plan.refusals:
        assert strategy is Strategy.BLUE_GREEN
        return
    assert len(replicas(plan)) == count
    stopped = [
        s["args"]["unit"] for name in names for t in transactions(plan, name) for s in t["steps"] if s["kind"] == "unit.stop"
    ]
    assert sorted(stopped) == sorted({c.before.payload["unit"] for c in replicas(plan)})
    assert from_json(to_json(plan)) == as_saved(plan)
    claims = [(p.host, p.port) for p in roster_from_json(plan.roster).places]
    assert len(set(claims)) == count
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()
