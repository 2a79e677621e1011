"""Back to an earlier revision, as a plan: what is wanted comes from the hosts' records, and the hold stands against the files."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from deployer.errors import Refused, UsageError
from deployer.plan.codec import from_json, to_json
from deployer.plan.goingback import Edit, edits
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.revisions import choose
from deployer.plan.rolledback import lacking, roll
from deployer.plan.roster import from_json as roster_from
from deployer.plan.roster import holds_now, latest
from deployer.plan.steps import secrets_needed, transactions
from deployer.plan.text import render
from deployer.plan.world import HoldRequest, Options
from deployer.spec.models import ApiKey, EndpointSpec, Rollout, SecretRef, Strategy
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker, as_saved, deployment, host, probe


def revised(*contexts: int, maker: WorldMaker | None = None, **more: Any) -> WorldMaker:
    """A world where chat was applied once with each of these contexts."""
    maker = maker or WorldMaker()
    for context in contexts:
        maker.deployments = [deployment(engine={"context": context}, **more)]
        maker.done(make_plan(maker.world()))
    return maker


def back(number: int, name: str = "chat", **more: Any) -> Options:
    return Options(names=(name,), holds=(HoldRequest(name, "rolled-back", "ada", revision=number, **more),))


def contexts(maker: WorldMaker) -> list[Any]:
    found = [r for p in maker.probes.values() for r in p["records"].get("chat", {}).get("resources", ())]  # type: ignore[attr-defined]
    return [a["value"] for r in found if r["kind"] == "replica" for a in r["attributes"] if a["name"] == "context"]


def shortened(probes: Mapping[str, Any]) -> None:
    """As a probe tells the revisions when nobody asked for them whole."""
    for found in probes.values():
        found["history"] = {n: [{k: e[k] for k in ("deployment", "revision")} for e in es] for n, es in found["history"].items()}


def codes(plan: Plan) -> list[str]:
    return [r.code for r in plan.refusals]


def test_a_rollback_makes_what_was_recorded_whatever_the_files_say_now() -> None:
    maker = revised(1024, 2048)
    maker.deployments = [deployment(engine={"context": 4096})]
    plan = make_plan(maker.world(options=back(1)))
    (change,) = [c for c in plan.changes if c.kind == "replica"]
    assert [(d.name, d.before, d.after) for d in change.deltas] == [("context", 2048, 1024)]
    assert change.reason == "back to revision 1: context changed"
    assert plan.refusals == ()
    assert plan.revisions == {"chat": 3}
    maker.done(plan)
    assert contexts(maker) == [1024]
    record = maker.probes["h1"]["records"]["chat"]
    assert (record["revision"], record["repeats"], record["why"]) == (3, 1, "rollback to 1 by ada")
    assert from_json(json.loads(json.dumps(to_json(plan)))) == as_saved(plan)


def test_what_is_held_changes_no_more_until_it_is_released() -> None:
    maker = revised(1024, 2048)
    maker.done(make_plan(maker.world(options=back(1, why="too slow"))))
    shortened(maker.probes)
    maker.deployments = [deployment(engine={"context": 8192}, replicas=1, description="new")]
    plan = make_plan(maker.world())
    assert plan.changes == ()
    assert "chat is held at revision 1 by ada since 2026-11-20T12:00:00Z (too slow)" in render(plan)
    assert plan.roster["holds"]["chat"]["revision"] == 1
    released = make_plan(maker.world(options=Options(release=("chat",))))
    (change,) = [c for c in released.changes if c.kind == "replica"]
    assert [(d.before, d.after) for d in change.deltas if d.name == "context"] == [(1024, 8192)]
    assert released.roster["holds"] == {}


def test_rolling_back_and_releasing_is_where_it_began() -> None:
    maker = revised(1024, 2048)
    before = copy.deepcopy(maker.probes)
    maker.done(make_plan(maker.world(options=back(1))))
    maker.done(make_plan(maker.world(options=Options(release=("chat",)))))
    for name, found in maker.probes.items():
        assert found["units"] == before[name]["units"]
        assert found["records"]["chat"]["resources"] == before[name]["records"]["chat"]["resources"]
        assert found["roster"]["slots"] == before[name]["roster"]["slots"]


def test_the_hold_falls_away_when_the_files_say_the_same_again() -> None:
    maker = revised(1024, 2048)
    maker.done(make_plan(maker.world(options=back(1))))
    maker.deployments = [deployment(engine={"context": 1024}, description="only noted")]
    plan = make_plan(maker.world())
    assert plan.roster["holds"] == {}
    assert {str(c.kind) for c in plan.changes} == {"deployment"}
    assert "the files say the same as revision 1" in render(plan)


def test_a_revision_that_the_files_say_needs_no_hold() -> None:
    maker = revised(1024, 2048)
    maker.deployments = [deployment(engine={"context": 1024})]
    plan = make_plan(maker.world(options=back(1)))
    assert plan.roster["holds"] == {}
    assert [c.actions for c in plan.changes if c.kind == "replica"] == [("delete", "create")]


def test_artifacts_that_are_gone_are_a_no_with_their_names() -> None:
    maker = revised(1024, 2048)
    maker.probes["h1"]["artifacts"] = [a for a in maker.probes["h1"]["artifacts"] if a["kind"] != "model"]
    maker.deployments = [deployment(engine={"context": 4096})]
    plan = make_plan(maker.world(options=back(1)))
    assert codes(plan) == ["rollback"]
    assert "model local--tiny/" in plan.refusals[0].what
    assert "is gone from h1" in plan.refusals[0].what
    assert "deployer apply chat" in str(plan.refusals[0].hint)


def test_a_port_that_somebody_else_has_now_is_a_no_with_his_name() -> None:
    maker = revised(1024)
    roster = maker.probes["h1"]["roster"]
    record = maker.probes["h1"]["records"]["chat"]
    maker.deployments = [deployment(engine={"context": 2048})]
    plan = make_plan(maker.world())
    moved = json.loads(json.dumps(to_json(plan)).replace('"port": 20000', '"port": 20007').replace("20000", "20007"))
    maker.done(from_json(moved))
    assert roster
    assert record
    assert maker.probes["h1"]["roster"]["slots"]["chat"]["0"]["port"] == 20007
    maker.deployments.append(deployment("embed"))
    maker.done(make_plan(maker.world()))
    plan = make_plan(maker.world(options=back(1)))
    assert [r.what for r in plan.refusals] == ["chat cannot go back to revision 1: port 20000 of h1 belongs to embed/0 now"]
    assert "move or stop embed first" in str(plan.refusals[0].hint)


def test_a_gpu_that_is_gone_or_taken_is_a_no() -> None:
    maker = WorldMaker(probes={"h1": probe(gpus=2)})
    for context in (1024, 2048):
        maker.deployments = [deployment(engine={"context": context, "gpus": 1})]
        maker.done(make_plan(maker.world()))
    used = copy.deepcopy(maker)
    maker.probes["h1"]["gpus"] = maker.probes["h1"]["gpus"][1:]
    assert "GPU GPU-h1-0 is not on h1 any more" in render(make_plan(maker.world(options=back(1))))
    for unit in ("", "ollama.service"):
        used.probes["h1"]["gpus"][0]["processes"] = [{"pid": 7, "memory": 2**33, "unit": unit}]
        assert "GPU 0 of h1 is used by a program that is not ours" in render(make_plan(used.world(options=back(1))))


def test_two_replicas_on_two_hosts_go_back_together_and_what_came_later_goes() -> None:
    hosts = [host("h0", gateway=True), host("h1"), host("h2")]
    maker = WorldMaker(hosts=hosts, probes={h.name: probe(h.name) for h in hosts})
    for replicas, context in ((2, 1024), (3, 1024), (3, 2048)):
        maker.deployments = [deployment(replicas=replicas, engine={"context": context})]
        plan = make_plan(maker.world())
        assert not plan.refusals
        maker.done(plan)
    assert sorted(contexts(maker)) == [2048, 2048, 2048]
    plan = make_plan(maker.world(options=back(1)))
    assert not plan.refusals, plan.refusals
    maker.done(plan)
    assert contexts(maker) == [1024, 1024]
    shortened(maker.probes)
    assert lacking({n: r for n, r in maker.world().observed.items()}) == ()
    assert make_plan(maker.world()).changes == ()


def test_a_host_that_does_not_answer_keeps_its_slot_and_is_rolled_back_later() -> None:
    hosts = [host("h0", gateway=True), host("h1")]
    maker = WorldMaker(hosts=hosts, probes={h.name: probe(h.name) for h in hosts})
    revised(1024, 2048, maker=maker, replicas=2)
    away = maker.probes.pop("h1")
    maker.unreached = {"h1": Unreached("h1", "timeout", "timed out")}
    plan = make_plan(maker.world(options=back(1)))
    assert {c.host for c in plan.changes} == {"h0"}
    assert not plan.refusals, plan.refusals
    assert plan.roster["slots"]["chat"]["1"]["host"] == "h1"
    maker.done(plan)
    maker.probes["h1"], maker.unreached = away, {}
    full = copy.deepcopy(maker.probes)
    shortened(maker.probes)
    assert lacking(maker.world().observed) == ("chat",)
    assert make_plan(maker.world()).changes == ()  # not known is not absent
    maker.probes = full
    later = make_plan(maker.world())
    assert {c.host for c in later.changes} == {"h1"}
    maker.done(later)
    assert contexts(maker) == [1024, 1024]


def test_records_that_cannot_be_read_change_nothing() -> None:
    maker = revised(1024, 2048)
    maker.probes["h1"]["unreadable"] = ["/var/lib/deployer/acme/chat/revisions/1.json"]
    plan = make_plan(maker.world(options=back(1)))
    assert [c for c in plan.changes if c.deployment == "chat"] == []


def test_stopping_what_is_held_and_starting_it_again_holds_it_again() -> None:
    maker = revised(1024, 2048)
    maker.done(make_plan(maker.world(options=back(1))))
    stop = Options(names=("chat",), holds=(HoldRequest("chat", "stopped", "bob"),))
    maker.done(make_plan(maker.world(options=stop)))
    assert maker.probes["h1"]["roster"]["holds"]["chat"]["revision"] == 1
    plan = make_plan(maker.world(options=Options(names=("chat",), holds=(HoldRequest("chat", None, "bob"),))))
    assert not plan.refusals
    maker.done(plan)
    assert contexts(maker) == [1024]
    assert maker.probes["h1"]["roster"]["holds"]["chat"]["kind"] == "rolled-back"


def test_keys_of_a_secret_stay_as_they_are_on_the_host() -> None:
    ref = SecretRef(env="TEAM_KEY")
    endpoint = EndpointSpec(keys=(ApiKey(name="team", secret=ref),))
    maker = WorldMaker()
    known = {("h1", ref.id): "ffff"}
    for context, timeout in ((1024, 60.0), (2048, 90.0)):
        changed = endpoint.model_copy(update={"timeout": timeout})
        maker.deployments = [deployment(engine={"context": context}, endpoint=changed)]
        maker.done(make_plan(maker.world(secrets=known)))
    plan = make_plan(maker.world(options=back(1), secrets={("h1", ref.id): None}))
    deltas = [d.name for c in plan.changes for d in c.deltas]
    assert "timeout" in deltas
    assert "key team" not in deltas
    assert secrets_needed(plan, "h1") == set()


def test_protection_stays_as_it_is_now() -> None:
    maker = revised(1024)
    maker = revised(2048, maker=maker, protected=True)
    maker.done(make_plan(maker.world(options=back(1))))
    assert maker.probes["h1"]["records"]["chat"]["protected"] is True


def test_which_revision_is_meant() -> None:
    maker = revised(1024, 2048)
    stop = Options(names=("chat",), holds=(HoldRequest("chat", "stopped", "bob"),))
    start = Options(names=("chat",), holds=(HoldRequest("chat", None, "bob"),))
    maker.done(make_plan(maker.world(options=stop)))
    maker.done(make_plan(maker.world(options=start)))
    observed = maker.world().observed
    assert choose(observed, "chat") == 1  # 3 was stopped, 2 is what stands now
    assert choose(observed, "chat", 2) == 2
    with pytest.raises(UsageError, match="revision 9") as error:
        choose(observed, "chat", 9)
    assert error.value.hint == "there is: 1, 2, 3, 4"
    maker.done(make_plan(maker.world(options=back(2))))
    assert choose(maker.world().observed, "chat") == 1  # what was rolled back to is not left for what was bad
    with pytest.raises(Refused, match="no earlier revision"):
        choose(revised(1024).world().observed, "chat")


def test_a_part_without_the_deployment_leaves_what_is_held_alone() -> None:
    maker = revised(1024, 2048)
    maker.done(make_plan(maker.world(options=back(1))))
    maker.deployments.append(deployment("embed"))
    plan = make_plan(maker.world(options=Options(names=("embed",))))
    assert {c.deployment for c in plan.changes if c.deployment} == {"embed"}
    assert plan.roster["slots"]["chat"]
    assert plan.roster["holds"]["chat"]["revision"] == 1
    assert make_plan(maker.world(options=back(1, name="chat"))).changes == ()


def test_another_slot_in_its_place_is_a_no_with_a_way_that_has_downtime() -> None:
    maker = WorldMaker(probes={"h1": probe(memory_available=64 << 30)})
    revised(1024, 2048, maker=maker)
    revised(2048, maker=maker, replicas=2)
    slots = maker.probes["h1"]["roster"]["slots"]["chat"]
    assert (slots["0"]["port"], slots["1"]["port"]) == (20001, 20000)
    plan = make_plan(maker.world(options=back(1)))
    assert [r.what for r in plan.refusals] == [
        "chat cannot go back to revision 1: chat/1 runs in the place that chat/0 had on h1"
    ]
    stop = Options(names=("chat",), holds=(HoldRequest("chat", "stopped", "bob"),))
    maker.done(make_plan(maker.world(options=stop)))
    assert make_plan(maker.world(options=back(1))).refusals == ()


def test_a_strategy_that_wants_room_beside_does_not_keep_anybody_from_going_back() -> None:
    maker = WorldMaker(probes={"h1": probe(memory_available=64 << 30)})
    revised(1024, 2048, 4096, maker=maker, rollout=Rollout(strategy=Strategy.BLUE_GREEN))
    ports = [e["slots"]["0"]["port"] for e in maker.probes["h1"]["history"]["chat"]]
    for number in (1, 2):
        plan = make_plan(maker.world(options=back(number)))
        assert plan.refusals == ()
        beside = ports[number - 1] != ports[2]
        (change,) = [c for c in plan.changes if c.kind == "replica"]
        assert change.actions == (("create", "delete") if beside else ("delete", "create"))
    assert len(set(ports)) == 2


def test_the_new_process_is_made_by_the_same_steps_as_an_update() -> None:
    maker = revised(1024, 2048)
    update = make_plan(maker.world(options=Options(release=("chat",))))
    assert update.changes == ()
    maker.deployments = [deployment(engine={"context": 4096})]
    kinds = [[s["kind"] for t in transactions(p, "h1") for s in t["steps"]] for p in (
        make_plan(maker.world()), make_plan(maker.world(options=back(1))),
    )]  # fmt: skip
    assert kinds[0] == kinds[1]


def test_what_to_change_in_git_is_said_value_by_value() -> None:
    maker = revised(1024, 2048)
    record = maker.probes["h1"]["history"]["chat"][0]
    record["spec"] = {"name": "chat", "engine": {"toy": {"context": 1024}}, "replicas": 1}
    world = maker.world(options=back(1))
    held = roll(world, latest(world.observed), holds_now(world, latest(world.observed))).held["chat"]
    assert edits(world, held) is None  # no tree in this world
    assert roster_from(make_plan(world).roster).holds["chat"].revision == 1
    assert Edit(("engine", "toy", "context"), 2048, 1024).text == "engine.toy.context: 2048 → 1024"
