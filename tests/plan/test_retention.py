"""What hosts may forget: revisions beyond `keep`, and the artifacts that only those stood on."""

from typing import Any

from deployer.plan.describe import cost, subject
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.retention import collectable, kept, surplus
from deployer.plan.steps import transactions
from deployer.plan.subset import by_changes
from deployer.plan.world import HoldRequest, Options
from deployer.state.observed import Reached, Unreached
from tests.plan.test_rolledback import back, revised, shortened
from tests.plan.worlds import WorldMaker, deployment, host, probe

GC = Options(gc=True)


def collected(maker: WorldMaker, **options: Any) -> Plan:
    plan = make_plan(maker.world(options=Options(gc=True, **options)))
    return by_changes(plan, {c.id for c in plan.changes if collectable(c)})


def own_model(maker: WorldMaker, number: int) -> str:
    """Gives one revision an artifact that no other has."""
    path = f"/var/lib/deployer/models/own/{number}"
    entry = next(e for e in maker.probes["h1"]["history"]["chat"] if e["revision"] == number)
    one = {"host": "h1", "kind": "model", "name": f"own/{number}", "payload": {"path": path}}
    entry["resources"] = [*entry["resources"], one]
    maker.probes["h1"]["artifacts"].append({"path": path, "kind": "model", "name": f"own/{number}", "complete": True})
    return path


def paths(plan: Plan) -> set[str]:
    return {c.before.payload["path"] for c in plan.changes if c.before and c.kind == "model"}


def numbers(plan: Plan) -> dict[str, list[int]]:
    return {c.name: c.before.payload["numbers"] for c in plan.changes if c.before and c.kind == "history"}


def test_the_newest_are_kept_and_what_only_the_others_stood_on_goes() -> None:
    maker = revised(*range(1, 6))
    gone, stays = own_model(maker, 2), own_model(maker, 3)
    plan = collected(maker)
    assert numbers(plan) == {"chat": [1, 2]}
    assert paths(plan) == {gone}
    assert stays not in paths(plan)
    steps = [(s["kind"], s["args"]) for t in transactions(plan, "h1") for s in t["steps"]]
    assert steps == [
        ("revisions.drop", {"deployment": "chat", "numbers": [1, 2]}),
        ("artifact.remove", {"path": gone}),
    ]
    (history,) = [c for c in plan.changes if c.kind == "history"]
    assert subject(history) == "chat: revisions 1, 2"
    assert cost(history) == "3 revisions of it are kept"
    assert history.destructive


def test_a_deployment_may_keep_more_or_fewer_than_the_fleet() -> None:
    maker = revised(*range(1, 6))
    maker.deployments = [deployment(engine={"context": 5}, keep=1)]
    assert numbers(collected(maker)) == {"chat": [1, 2, 3]}  # 4 is what a rollback goes to
    maker.deployments = [deployment(engine={"context": 5}, keep=9)]
    assert numbers(collected(maker)) == {}


def test_what_is_held_and_what_a_rollback_needs_stay() -> None:
    maker = revised(*range(1, 7))
    maker.deployments = [deployment(engine={"context": 6}, keep=1)]
    maker.done(make_plan(maker.world(options=back(2))))
    plan = collected(maker)
    assert numbers(plan) == {"chat": [3, 4, 5, 6]}  # 7 stands, it is held at 2, and 1 is what a rollback would go to
    world = maker.world()
    assert kept(world, "chat") == {1, 2, 7}


def test_prune_leaves_what_a_revision_stands_on() -> None:
    maker = revised(1, 2)
    path = own_model(maker, 1)
    shortened(maker.probes)
    maker.probes["h1"]["history"]["chat"][0]["paths"] = [path]
    maker.probes["h1"]["history"]["chat"][1]["paths"] = []
    plan = make_plan(maker.world(options=Options(prune=True)))
    assert paths(plan) == set()
    maker.probes["h1"]["history"]["chat"][0]["paths"] = []
    plan = make_plan(maker.world(options=Options(prune=True)))
    assert paths(plan) == {path}


def test_a_revision_that_does_not_say_what_it_stands_on_keeps_everything() -> None:
    maker = revised(1, 2)
    own_model(maker, 1)
    shortened(maker.probes)
    assert paths(make_plan(maker.world(options=Options(prune=True)))) == set()


def test_what_is_not_known_is_not_forgotten() -> None:
    maker = revised(*range(1, 6))
    maker.probes["h1"]["unreadable"] = ["/var/lib/deployer/acme/chat/revisions/4.json"]
    assert numbers(collected(maker)) == {}
    hosts = [host("h0", gateway=True), host("h1")]
    maker = WorldMaker(hosts=hosts, probes={h.name: probe(h.name) for h in hosts})
    revised(*range(1, 6), maker=maker, replicas=2)
    assert len([c for c in collected(maker).changes if c.kind == "history"]) == 2
    del maker.probes["h1"]
    maker.unreached = {"h1": Unreached("h1", "timeout", "timed out")}
    assert collected(maker).changes == ()


def test_a_host_keeps_the_record_that_was_in_force_for_a_kept_revision() -> None:
    hosts = [host("h0", gateway=True), host("h1")]
    maker = WorldMaker(hosts=hosts, probes={h.name: probe(h.name) for h in hosts})
    maker.deployments = [deployment(replicas=2)]
    maker.done(make_plan(maker.world()))
    entries = maker.probes["h0"]["history"]["chat"]
    for number in range(2, 7):  # only h0 was touched since
        entries.append({**entries[0], "revision": number})
    maker.probes["h0"]["records"]["chat"] = entries[-1]
    late = maker.probes["h1"]["history"]["chat"]
    late.append({**late[0], "revision": 6})
    maker.probes["h1"]["records"]["chat"] = late[-1]
    world = maker.world()
    reached = [world.observed[name] for name in ("h0", "h1")]
    assert all(isinstance(one, Reached) for one in reached)
    assert surplus(world, reached[0], "chat") == (1, 2, 3)  # type: ignore[arg-type]
    assert surplus(world, reached[1], "chat") == ()  # type: ignore[arg-type]


def test_only_the_named_ones_and_never_an_orphan() -> None:
    maker = revised(*range(1, 6))
    maker.deployments.append(deployment("embed"))
    assert numbers(collected(maker, names=("embed",))) == {}
    maker.deployments = []
    maker.extra = {}
    assert collected(maker).changes == ()


def test_a_stopped_deployment_is_collected_like_any_other() -> None:
    maker = revised(*range(1, 6))
    stop = Options(names=("chat",), holds=(HoldRequest("chat", "stopped", "bob"),))
    maker.done(make_plan(maker.world(options=stop)))
    assert numbers(collected(maker)) == {"chat": [1, 2, 3]}
