"""Holds on hosts: what they keep away, what they move, and when they end."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.subset import by_hosts
from deployer.plan.world import CordonRequest, HoldRequest, Options
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker, deployment, host, probe

CHAT = deployment("chat", replicas=2, engine={"gpus": 1})


def fleet(*, hosts: int = 3, gpus: int = 2, **changes: Any) -> WorldMaker:
    names = [f"h{i}" for i in range(1, hosts + 1)]
    maker = WorldMaker(
        [CHAT], [host(n, gateway=n == "h1" or None) for n in names], {n: probe(n, gpus=gpus) for n in names}, **changes
    )
    maker.done(make_plan(maker.world()))
    return maker


def asked(kind: str | None, *names: str, **more: Any) -> Options:
    wanted = tuple(CordonRequest(n, kind, "ada@desk", more.get("why"), more.get("until")) for n in names)
    return Options(names=tuple(more.get("moving", ("chat",) if kind == "drained" else ())), cordons=wanted, scoped=True)


def held(maker: WorldMaker, kind: str | None, *names: str, **more: Any) -> Plan:
    plan = make_plan(maker.world(options=asked(kind, *names, **more)))
    if not plan.refusals:
        maker.done(plan)
        for found in maker.probes.values():
            found["roster"] = dict(plan.roster)
    return plan


def where(plan: Plan) -> list[str]:
    return [slot["host"] for _, slot in sorted(plan.roster["slots"]["chat"].items())]


def says(plan: Plan, code: str) -> list[str]:
    return [n.what for n in plan.notices if n.code == code]


def test_a_cordon_moves_nothing_and_keeps_new_replicas_away() -> None:
    maker = fleet()
    before = where(make_plan(maker.world()))
    plan = held(maker, "cordoned", "h3")
    assert (plan.changes, plan.refusals) == ((), ())
    assert says(plan, "hold") == ["host h3 is held cordoned by ada@desk since 2026-11-20T12:00:00Z"]
    maker.deployments = [deployment("chat", replicas=4, engine={"gpus": 1})]
    again = make_plan(maker.world())
    assert where(again)[:2] == before
    assert "h3" not in where(again)[2:]


def test_a_cordon_asked_for_again_makes_no_new_generation_of_what_stands() -> None:
    maker = fleet()
    held(maker, "cordoned", "h3")
    plan = make_plan(maker.world())
    assert plan.roster == maker.probes["h1"]["roster"]


def test_a_drain_moves_what_stands_there_and_makes_the_new_one_before_the_old_one_goes() -> None:
    maker = fleet()
    plan = held(maker, "drained", "h2")
    assert "h2" not in where(plan)
    made = [c for c in plan.changes if c.kind == "replica"]
    assert [(c.host, c.actions, c.reason) for c in made] == [("h2", ("delete",), "h2 is drained"), ("h3", ("create",), "new")]
    assert made[1].id in made[0].depends_on
    assert by_hosts(plan, ["h1", "h2"]).changes == ()  # without the new one nothing of the old one goes
    assert says(plan, "move") == ["chat/1 moves: host h2 is drained"]
    front = next(c.after for c in plan.changes if c.host == "h1" and c.kind == "endpoint")
    assert front is not None
    text = str(front.payload["files"])
    assert "server h2" not in text
    assert "server h3" in text
    assert make_plan(maker.world()).changes == ()


def test_what_fits_nowhere_is_refused_with_the_reason_per_host_and_nothing_is_changed() -> None:
    maker = fleet(hosts=2, gpus=1)
    plan = held(maker, "drained", "h2", why="new disks")
    [refusal] = plan.refusals
    assert refusal.what == "chat/1 has no host to stand on"
    assert refusal.details == ("h1: 0 of 1 GPUs free, 1 wanted", "h2: is drained")
    assert "free a GPU" in str(refusal.hint)


def test_a_hold_is_respected_by_the_next_plan_and_lifted_by_a_release_or_its_end_or_the_file() -> None:
    maker = fleet()
    held(maker, "drained", "h2", until="2026-11-20T14:00:00Z")
    assert make_plan(maker.world()).roster["cordons"]["h2"]["kind"] == "drained"
    released = make_plan(maker.world(options=Options(release=("h2",))))
    assert "cordons" not in released.roster
    assert released.changes == ()  # what moved away stays there
    late = make_plan(maker.world(now="2026-11-20T14:00:00Z"))
    assert "cordons" not in late.roster
    for state, stays in (("active", True), ("cordoned", True), ("drained", False), ("retired", False)):
        maker.hosts[1] = host("h2", state=state)
        assert ("cordons" in make_plan(maker.world()).roster) is stays, state


def test_uncordon_lifts_and_moves_nothing_back() -> None:
    maker = fleet()
    moved = where(held(maker, "drained", "h2"))
    plan = held(maker, None, "h2")
    assert "cordons" not in plan.roster
    assert plan.changes == ()
    assert where(make_plan(maker.world())) == moved


def test_a_file_that_says_drained_moves_as_the_hold_does() -> None:
    maker = fleet()
    maker.hosts[1] = host("h2", state="drained")
    plan = make_plan(maker.world())
    assert "h2" not in where(plan)
    assert says(plan, "hold") == []


def test_an_unreachable_host_that_is_drained_keeps_its_slots_and_gets_no_request_until_it_is_given_up() -> None:
    maker = fleet()
    maker.unreached = {"h2": Unreached("h2", "timeout", "timed out")}
    gone = maker.probes.pop("h2")
    plan = make_plan(maker.world(options=asked("drained", "h2")))
    assert where(plan) == ["h1", "h2"]
    assert says(plan, "drain") == ["h2 does not answer: what stands on it keeps its place"]
    [route] = [c.after for c in plan.changes]
    assert route is not None
    assert route.host == "h1"
    assert "server h2" not in str(route.payload["files"])
    lost = make_plan(maker.world(options=replace(asked("drained", "h2"), replace_lost=("h2",))))
    assert where(lost) == ["h1", "h3"]
    assert gone["records"]["chat"]


def test_the_only_replica_of_an_unreachable_drained_host_stays_in_the_route() -> None:
    maker = fleet()
    maker.hosts[0] = host("h1", gateway=True)
    maker.deployments = [deployment("chat", engine={"gpus": 1}, placement={"hosts": ("h2",)})]
    maker.done(make_plan(maker.world()))
    maker.unreached = {"h2": Unreached("h2", "timeout", "timed out")}
    maker.probes.pop("h2")
    plan = make_plan(maker.world(options=asked("drained", "h2")))
    assert plan.changes == ()
    assert where(plan) == ["h2"]


def test_a_drained_gateway_goes_on_and_is_said() -> None:
    maker = fleet()
    plan = held(maker, "drained", "h1")
    assert "h1" not in where(plan)
    assert says(plan, "drain") == ["h1 is a gateway and goes on being one: only its replicas move"]


def test_without_a_named_gateway_the_endpoint_moves_along_and_that_is_said() -> None:
    maker = WorldMaker([deployment("chat")], [host("h1"), host("h2")], {"h1": probe("h1"), "h2": probe("h2")})
    maker.done(make_plan(maker.world()))
    plan = held(maker, "drained", "h1")
    assert says(plan, "endpoint") == ["chat: its endpoint moves from h1 to h2, and so has another address"]


def test_a_protected_deployment_may_be_moved() -> None:
    maker = WorldMaker([deployment("chat", protected=True)], [host("h1"), host("h2")], {"h1": probe("h1"), "h2": probe("h2")})
    maker.done(make_plan(maker.world()))
    assert held(maker, "drained", "h1").refusals == ()


def test_a_plan_with_a_cordon_is_another_plan_and_survives_being_saved() -> None:
    maker = fleet()
    plain = make_plan(maker.world(options=Options(scoped=True)))
    plan = make_plan(maker.world(options=asked("cordoned", "h3")))
    drained = make_plan(maker.world(options=asked("drained", "h3", moving=("chat",))))
    assert len({plain.plan_id, plan.plan_id, drained.plan_id}) == 3
    assert from_json(to_json(plan)).roster == plan.roster


@pytest.mark.parametrize("kind", ["cordoned", "drained", None])
def test_a_hold_brings_no_edit_of_the_files_along(kind: str | None) -> None:
    maker = fleet()
    maker.deployments = [CHAT.model_copy(update={"description": "edited"}), deployment("new")]
    plan = make_plan(maker.world(options=asked(kind, "h3")))
    assert {c.deployment for c in plan.changes} <= ({"chat"} if kind == "drained" else set())


def test_what_is_held_at_a_revision_cannot_leave_a_drained_host() -> None:
    maker = fleet()
    before = {n: dict(p["records"]["chat"]) for n, p in maker.probes.items() if "chat" in p["records"]}
    maker.deployments = [deployment("chat", replicas=2, engine={"gpus": 1, "context": 2048})]
    maker.done(make_plan(maker.world()))
    for name, record in before.items():
        maker.probes[name]["history"]["chat"] = [record]  # type: ignore[list-item]
    rolled = Options(names=("chat",), holds=(HoldRequest("chat", "rolled-back", "ada", revision=1),))
    assert make_plan(maker.world(options=rolled)).refusals == ()
    plan = make_plan(maker.world(options=replace(asked("drained", "h2"), holds=rolled.holds)))
    assert [r.what for r in plan.refusals] == ["chat/1 cannot leave h2, which is drained"]


def test_a_gateway_learns_the_certificate_of_a_host_that_gets_its_own_by_the_same_plan() -> None:
    maker = fleet()
    maker.probes["h1"]["peer"] = {"certificate": None, "known": {"h1": "0" * 16}}  # type: ignore[typeddict-unknown-key]
    maker.done(make_plan(maker.world()))
    plan = make_plan(maker.world(options=asked("drained", "h2")))
    gateways = {c.host: c.actions for c in plan.changes if c.kind == "gateway"}
    assert gateways == {"h1": ("update",), "h3": ("create",)}
