"""A canary: what starts, what stays, what the next plan says, and what becomes of it."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.plan.canaries import CANARY, is_canary, standing
from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Change, Plan
from deployer.plan.retention import kept
from deployer.plan.revisions import choose
from deployer.plan.roster import ROLLED_BACK, latest
from deployer.plan.steps import transactions
from deployer.plan.world import CordonRequest, HoldRequest, Options
from deployer.spec.models import CanarySpec, GuardSpec, Rollout, Strategy
from deployer.state.observed import Reached
from deployer.state.resources import Kind
from tests.plan.worlds import GIB, WorldMaker, as_saved, deployment, host, probe

FEW = settings(max_examples=25)
CANARIES = Rollout(strategy=Strategy.CANARY)


def fleet(*hosts: str, replicas: int = 1, memory: int = 64, rollout: Rollout = CANARIES) -> WorldMaker:
    names = hosts or ("h1",)
    maker = WorldMaker(
        [deployment(replicas=replicas, rollout=rollout)],
        [host(name, gateway=name == names[0] or None) for name in names],
        {name: probe(name, memory_available=memory * GIB) for name in names},
    )
    maker.done(make_plan(maker.world()))
    return maker


def edit(maker: WorldMaker, context: int = 2048, **changes: Any) -> None:
    before = maker.deployments[0]
    kept = {"replicas": before.replicas, "rollout": before.rollout}
    maker.deployments = [deployment(**{**kept, **changes, "engine": {"context": context}})]


def tried(*hosts: str, **facts: Any) -> WorldMaker:
    """One in which a canary stands."""
    maker = fleet(*hosts, **facts)
    edit(maker)
    maker.done(make_plan(maker.world()))
    return maker


def promoted(maker: WorldMaker) -> Plan:
    return make_plan(maker.world(options=Options(names=("chat",), promote=("chat",))))


def reverted(maker: WorldMaker) -> Plan:
    observed = maker.world().observed
    one = standing(observed, latest(observed).canaries)["chat"]
    hold = HoldRequest("chat", ROLLED_BACK, "ann", "slow", None, one.base)
    return make_plan(maker.world(options=Options(names=("chat",), holds=(hold,))))


def replicas(plan: Plan) -> list[Change]:
    return [c for c in plan.changes if c.kind is Kind.REPLICA]


def kinds(plan: Plan) -> list[tuple[str, str]]:
    return [(s["stage"], s["kind"]) for t in transactions(plan, "h1") for s in t["steps"] if t["deployment"]]


def contexts(maker: WorldMaker, name: str = "h1") -> dict[int, int]:
    """Slot → what its replica was started with, as the host notes it."""
    found = {}
    for r in maker.probes[name]["records"]["chat"]["resources"]:
        if r["kind"] == "replica":
            found[r["payload"]["slot"]] = next(a["value"] for a in r["attributes"] if a["name"] == "context")
    return found


def test_one_new_process_starts_and_nothing_else_moves() -> None:
    maker = fleet(replicas=2)
    edit(maker)
    plan = make_plan(maker.world())
    (change,) = replicas(plan)
    assert (change.name, change.actions) == ("chat/2", ("create",))
    assert change.after is not None
    assert is_canary(change.after)
    assert plan.rollouts["chat"].strategy == "canary"
    assert [kind for _, kind in kinds(plan) if kind == "unit.stop"] == []
    maker.done(plan)
    assert contexts(maker) == {0: 1024, 1: 1024, 2: 2048}


def test_it_is_watched_behind_the_route_and_before_the_record() -> None:
    maker = fleet()
    edit(maker)
    order = [kind for _, kind in kinds(make_plan(maker.world()))]
    positions = [order.index(k) for k in ("unit.ready", "gateway.reload", "endpoint.ready", "canary.watch", "record")]
    assert positions == sorted(positions)
    steps = [s for t in transactions(make_plan(maker.world()), "h1") for s in t["steps"]]
    (watch,) = [s for s in steps if s["kind"] == "canary.watch"]
    assert (watch["stage"], watch["args"]["seconds"], watch["args"]["against"]) == ("gateway", 600.0, [20000])
    assert watch["timeout_s"] > 600
    (start,) = [s for s in steps if s["kind"] == "unit.start"]
    assert start["args"]["beside"] is True  # so that an undo stops it only when nothing is sent to it any more


def test_without_a_time_to_watch_it_only_has_to_hold() -> None:
    maker = fleet(rollout=Rollout(strategy=Strategy.CANARY, canary=CanarySpec(watch=0.0)))
    edit(maker)
    found = [kind for _, kind in kinds(make_plan(maker.world()))]
    assert "canary.watch" not in found
    assert "unit.steady" in found


def test_the_same_files_change_nothing_and_the_plan_says_what_stands() -> None:
    maker = tried(replicas=2)
    plan = make_plan(maker.world(now="2026-11-21T09:00:00Z", who="ci"))
    assert plan.changes == ()
    assert plan.roster["canaries"]["chat"]["at"] == "2026-11-20T12:00:00Z"
    (notice,) = [n for n in plan.notices if n.code == "canary"]
    assert "10% of the requests go to chat/2, the others to revision 1" in notice.what
    assert "deployer promote chat" in str(notice.hint)
    assert "deployer revert chat" in str(notice.hint)


def test_the_same_canary_has_the_same_plan_id_whenever_it_is_planned() -> None:
    maker = fleet()
    edit(maker)
    assert make_plan(maker.world()).plan_id == make_plan(maker.world(now="2026-11-21T09:00:00Z")).plan_id


def test_the_record_says_that_it_is_of_a_canary() -> None:
    maker = tried()
    assert maker.probes["h1"]["records"]["chat"]["canary"] == {"slot": 1, "base": 1}
    maker.done(promoted(maker))
    assert "canary" not in maker.probes["h1"]["records"]["chat"]


def test_promoted_all_are_new_and_the_canary_is_gone() -> None:
    maker = tried(replicas=2)
    plan = promoted(maker)
    assert plan.refusals == ()
    assert [(c.name, c.actions) for c in replicas(plan)] == [
        ("chat/0", ("create", "delete")),
        ("chat/1", ("create", "delete")),
        ("chat/2", ("delete",)),
    ]
    maker.done(plan)
    assert contexts(maker) == {0: 2048, 1: 2048}
    after = make_plan(maker.world())
    assert after.changes == ()
    assert "canaries" not in after.roster


def test_promoted_into_more_replicas_the_canary_stays_as_one_of_them() -> None:
    maker = fleet(replicas=1)
    edit(maker, replicas=2)
    maker.done(make_plan(maker.world()))
    assert make_plan(maker.world()).changes == ()
    plan = promoted(maker)
    assert [(c.name, c.actions) for c in replicas(plan)] == [("chat/0", ("create", "delete")), ("chat/1", ("update",))]
    assert [kind for _, kind in kinds(plan) if kind == "unit.start"] == ["unit.start"]
    maker.done(plan)
    assert contexts(maker) == {0: 2048, 1: 2048}
    assert make_plan(maker.world()).changes == ()


def test_without_room_for_all_the_canary_serves_while_the_old_one_is_replaced() -> None:
    maker = tried()
    maker.probes["h1"]["memory_available"] = 0
    plan = promoted(maker)
    assert plan.rollouts["chat"].strategy == "rolling"
    steps = [s for t in transactions(plan, "h1") for s in t["steps"] if t["deployment"]]
    routes = [s["args"]["content"] for s in steps if s["kind"] == "file.write" and s["args"]["path"].endswith("10-chat.cfg")]
    assert [[port for port in ("20000", "20001") if f":{port}" in text] for text in routes] == [["20001"], ["20000"]]
    assert "weight 0" not in routes[0]
    stops = [s["label"] for s in steps if s["kind"] == "unit.stop"]
    assert stops == ["stop chat/0", "stop chat/1"]
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()


def test_reverted_the_old_ones_are_held_and_ci_does_not_bring_it_again() -> None:
    maker = tried(replicas=2)
    plan = reverted(maker)
    assert [(c.name, c.actions) for c in replicas(plan)] == [("chat/2", ("delete",))]
    drained, stopped = [i for i, (_, kind) in enumerate(kinds(plan)) if kind in ("gateway.drained", "unit.stop")]
    assert [kind for _, kind in kinds(plan)].index("gateway.reload") < drained < stopped
    maker.done(plan)
    after = make_plan(maker.world())
    assert after.changes == ()
    assert contexts(maker) == {0: 1024, 1: 1024}
    assert plan.roster["holds"]["chat"]["revision"] == 1
    assert "canaries" not in plan.roster
    released = make_plan(maker.world(options=Options(release=("chat",))))
    assert released.rollouts["chat"].strategy == "canary"


def test_files_that_say_the_old_again_take_it_away() -> None:
    maker = tried()
    edit(maker, context=1024)
    plan = make_plan(maker.world())
    assert [(c.name, c.actions, c.reason) for c in replicas(plan)] == [("chat/1", ("delete",), "its time as a canary is over")]
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()


def test_other_files_change_the_canary_alone() -> None:
    maker = tried(replicas=2)
    edit(maker, context=4096)
    plan = make_plan(maker.world())
    assert [c.name for c in replicas(plan)] == ["chat/2"]
    assert "canary.watch" in [kind for _, kind in kinds(plan)]
    maker.done(plan)
    assert contexts(maker) == {0: 1024, 1: 1024, 2: 4096}
    assert plan.roster["canaries"]["chat"]["base"] == 1
    assert make_plan(maker.world()).changes == ()


def test_another_share_is_a_reload_and_no_more() -> None:
    maker = tried()
    edit(maker, rollout=Rollout(strategy=Strategy.CANARY, canary=CanarySpec(share="25%")))
    plan = make_plan(maker.world())
    assert [c.kind for c in plan.changes] == [Kind.ENDPOINT]
    assert plan.roster["canaries"]["chat"]["share"] == "25%"


def test_another_strategy_in_the_files_is_a_promotion() -> None:
    maker = tried()
    edit(maker, rollout=Rollout())
    assert [(c.name, c.actions) for c in replicas(make_plan(maker.world()))] == [
        ("chat/0", ("create", "delete")),
        ("chat/1", ("delete",)),
    ]


def test_a_promotion_that_broke_off_is_still_a_canary() -> None:
    maker = tried(replicas=2)
    maker.probes["h1"]["memory_available"] = 0
    plan = promoted(maker)
    maker.done(replace(plan, changes=tuple(c for c in plan.changes if c.wave == 1 and c.after is not None)))
    assert contexts(maker) == {0: 2048, 1: 1024, 2: 2048}
    again = make_plan(maker.world())
    assert replicas(again) == []
    maker.done(again)
    assert make_plan(maker.world()).changes == ()
    maker.done(promoted(maker))
    assert contexts(maker) == {0: 2048, 1: 2048}


def test_a_canary_that_was_undone_leaves_a_note_that_nobody_believes() -> None:
    maker = fleet()
    edit(maker)
    plan = make_plan(maker.world())
    maker.probes["h1"]["roster"] = dict(plan.roster)
    assert standing(maker.world().observed, latest(maker.world().observed).canaries) == {}
    again = make_plan(maker.world())
    assert [(c.name, c.actions) for c in replicas(again)] == [("chat/1", ("create",))]


def test_rollback_goes_past_a_canary() -> None:
    maker = tried()
    maker.done(promoted(maker))
    assert [entry["revision"] for entry in maker.probes["h1"]["history"]["chat"]] == [1, 2, 3]
    assert choose(maker.world().observed, "chat") == 1


def test_a_canary_that_goes_is_no_replica_that_stops() -> None:
    maker = tried(replicas=4)
    maker.extra["guard"] = GuardSpec(max_stopped="0%")
    assert promoted(maker).refusals == ()
    assert reverted(maker).refusals == ()
    edit(maker, replicas=3)
    assert [r.code for r in promoted(maker).refusals] == ["share"]


def test_what_a_canary_stands_beside_is_not_forgotten() -> None:
    maker = tried()
    for context in range(3000, 3006):
        edit(maker, context=context)
        maker.done(make_plan(maker.world()))
    assert 1 in (kept(maker.world(), "chat") or ())


def test_a_stop_stops_the_canary_too() -> None:
    maker = tried()
    hold = HoldRequest("chat", "stopped", "ann")
    plan = make_plan(maker.world(options=Options(names=("chat",), holds=(hold,))))
    maker.done(plan)
    assert "canaries" not in plan.roster
    assert [u["name"] for u in maker.probes["h1"]["units"] if "chat" in u["name"] and u["active"] == "active"] == []


def test_what_cannot_be_is_refused_with_a_reason() -> None:
    def refused(maker: WorldMaker) -> str:
        edit(maker)
        (refusal,) = make_plan(maker.world()).refusals
        assert refusal.code == "rollout"
        return f"{refusal.what}: {refusal.details[0]}"

    assert "no room for a canary" in refused(fleet(memory=0))
    assert "stand on h1, h2" in refused(fleet("h1", "h2", replicas=2))
    unwatched = Rollout(strategy=Strategy.CANARY, canary=CanarySpec(watch=0.0, promote="auto"))
    assert "watches nothing" in refused(fleet(rollout=unwatched))


def test_a_host_with_a_canary_is_not_drained() -> None:
    maker = tried("h1", "h2")
    drain = CordonRequest("h1", "drained", "ann")
    plan = make_plan(maker.world(options=Options(names=("chat",), cordons=(drain,), scoped=True)))
    assert any("while its canary stands there" in r.details[0] for r in plan.refusals if r.details)


def test_on_gpus_it_takes_a_free_one_and_keeps_it() -> None:
    maker = WorldMaker([deployment(engine={"gpus": 1}, rollout=CANARIES)], probes={"h1": probe(gpus=2)})
    maker.done(make_plan(maker.world()))
    maker.deployments = [deployment(engine={"gpus": 1, "context": 4096}, rollout=CANARIES)]
    plan = make_plan(maker.world())
    (change,) = replicas(plan)
    assert change.after is not None
    assert change.after.payload["gpus"] == ["GPU-h1-1"]
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()
    other = deployment("embed", engine={"gpus": 1})
    maker.deployments.append(other)
    assert [r.deployment for r in make_plan(maker.world()).refusals] == ["embed"]


def test_a_host_that_does_not_answer_keeps_its_canary() -> None:
    maker = tried("h1", "h2")
    maker.probes["h2"]["roster"] = dict(maker.probes["h1"]["roster"])
    del maker.probes["h1"]
    plan = make_plan(maker.world())
    assert plan.changes == ()
    assert plan.roster["canaries"]["chat"]["host"] == "h1"


@FEW
@given(st.integers(1, 3), st.integers(1, 4), st.integers(8, 40), st.sampled_from(["promote", "revert", "files"]))
def test_whatever_becomes_of_it_nothing_is_left_to_change(before: int, after: int, memory: int, end: str) -> None:
    maker = fleet(replicas=before)
    maker.probes["h1"]["memory_available"] = memory * GIB
    edit(maker, replicas=after)
    plan = make_plan(maker.world())
    if plan.refusals:
        return
    assert from_json(to_json(plan)) == as_saved(plan)
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()
    if end == "files":
        edit(maker, context=1024, replicas=before)
    then = promoted(maker) if end == "promote" else reverted(maker) if end == "revert" else make_plan(maker.world())
    assert then.refusals == ()
    maker.done(then)
    assert make_plan(maker.world()).changes == ()
    assert set(contexts(maker).values()) == ({2048} if end == "promote" else {1024})
    assert len(contexts(maker)) == (after if end == "promote" else before)
    reached = maker.world().observed["h1"]
    assert isinstance(reached, Reached)
    assert not any(CANARY in r["payload"] for r in reached.probe["records"]["chat"]["resources"])
