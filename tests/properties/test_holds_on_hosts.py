"""What must hold for every fleet when one of its hosts is held."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.world import CordonRequest, Options
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker
from tests.properties.test_planner import FEW, makers, settled

Slots = dict[tuple[str, str], dict[str, Any]]


def slots(plan: Plan) -> Slots:
    return {(name, n): slot for name, found in plan.roster.get("slots", {}).items() for n, slot in found.items()}


def asked(maker: WorldMaker, host: str, kind: str | None) -> Options:
    """As Fleet.cordon, drain and uncordon ask."""
    moving = {name for (name, _), slot in slots(make_plan(maker.world())).items() if slot["host"] == host}
    names = tuple(sorted(moving)) if kind == "drained" else ()
    return Options(names=names, cordons=(CordonRequest(host, kind, "ada"),), scoped=True)


@FEW
@given(makers(), st.sampled_from(["cordoned", None]), st.data())
def test_to_cordon_and_to_lift_it_moves_nothing(maker: WorldMaker, kind: str | None, data: st.DataObject) -> None:
    settled(maker)
    host = data.draw(st.sampled_from(sorted(maker.probes)))
    before = slots(make_plan(maker.world()))
    plan = make_plan(maker.world(options=asked(maker, host, kind)))
    assert (plan.changes, plan.refusals) == ((), ())
    assert slots(plan) == before
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()


@FEW
@given(makers(), st.data())
def test_a_drain_is_refused_or_leaves_no_slot_there_loses_none_and_is_settled_once_done(
    maker: WorldMaker, data: st.DataObject
) -> None:
    settled(maker)
    host = data.draw(st.sampled_from(sorted(maker.probes)))
    before = slots(make_plan(maker.world()))
    plan = make_plan(maker.world(options=asked(maker, host, "drained")))
    if plan.refusals:
        assert {r.code for r in plan.refusals} <= {"placement", "gateway", "fit"}
        return
    after = slots(plan)
    assert after.keys() == before.keys()
    assert all(slot["host"] != host for slot in after.values())
    assert all(after[key] == slot for key, slot in before.items() if slot["host"] != host)
    claims = [(slot["host"], gpu) for slot in after.values() for gpu in slot["gpus"]]
    assert len(claims) == len(set(claims))
    made = {c.name: c for c in plan.changes if c.kind == "replica" and c.after is not None}
    for gone in (c for c in plan.changes if c.kind == "replica" and c.after is None):
        assert made[gone.name].id in gone.depends_on
    for change in plan.changes:
        if change.kind == "endpoint" and change.after is not None:
            text = "".join(str(file.get("content", "")) for file in change.after.payload["files"])
            assert f"server {host} " not in text
    maker.done(plan)
    again = make_plan(maker.world())
    assert again.changes == ()
    assert again.roster == plan.roster
    lifted = make_plan(maker.world(options=asked(maker, host, None)))
    assert lifted.changes == ()
    assert slots(lifted) == after


@FEW
@given(makers(), st.data())
def test_a_host_that_does_not_answer_keeps_its_slots_when_it_is_drained(maker: WorldMaker, data: st.DataObject) -> None:
    settled(maker)
    host = data.draw(st.sampled_from(sorted(maker.probes)))
    before = slots(make_plan(maker.world()))
    if len(maker.probes) < 2:
        return
    options = asked(maker, host, "drained")
    del maker.probes[host]
    maker.unreached = {host: Unreached(host, "timeout", "timed out")}
    plan = make_plan(maker.world(options=options))
    assert slots(plan) == before
    assert not [c for c in plan.changes if c.kind == "replica"]
