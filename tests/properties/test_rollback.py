"""What must hold for every rollback: the way back is the way back, a hold holds, and what is not known stays."""

import copy
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from deployer.plan.make import make_plan
from deployer.plan.retention import collectable
from deployer.plan.revisions import revisions
from deployer.plan.world import HoldRequest, Options
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker, deployment
from tests.properties.test_planner import FEW, makers, settled


@st.composite
def histories(draw: st.DrawFn) -> tuple[WorldMaker, str]:
    """A fleet where one deployment was applied twice in different shapes."""
    maker = settled(draw(makers()))
    assume(maker.deployments)
    before = maker.deployments[0]
    settings = before.engine.settings.model_dump()
    changed = {"engine": {**settings, "context": 2048}, "replicas": draw(st.integers(1, 3)), "description": "second"}
    maker.deployments = [deployment(before.name, **changed), *maker.deployments[1:]]
    plan = make_plan(maker.world())
    assume(not plan.refusals)
    maker.done(plan)
    return maker, before.name


def back(name: str, number: int) -> Options:
    return Options(names=(name,), holds=(HoldRequest(name, "rolled-back", "ada", revision=number),))


def rolled(maker: WorldMaker, name: str) -> WorldMaker:
    plan = make_plan(maker.world(options=back(name, 1)))
    assume(not plan.refusals)
    maker.done(plan)
    return maker


def standing(maker: WorldMaker, name: str) -> dict[str, Any]:
    """The replicas of one deployment, all but the port: a new process may stand beside the old one."""
    return {
        r["name"]: (
            h,
            r["payload"]["gpus"],
            [(a["name"], a["value"]) for a in r["attributes"] if a["name"] not in ("port", "files")],
        )
        for h, p in maker.probes.items()
        for r in p["records"].get(name, {}).get("resources", ())
        if r["kind"] == "replica"
    }


@FEW
@given(histories())
def test_a_rollback_makes_what_stood_then_and_a_second_one_changes_nothing(found: tuple[WorldMaker, str]) -> None:
    maker, name = found
    first = {
        (h, r["kind"], r["name"]): r["payload"]["files"]
        for h, p in maker.probes.items()
        for e in p["history"].get(name, ())
        if e["revision"] == 1
        for r in e["resources"]
        if r["kind"] == "replica"
    }
    rolled(maker, name)
    now = {
        (h, r["kind"], r["name"]): r["payload"]["files"]
        for h, p in maker.probes.items()
        for r in p["records"].get(name, {}).get("resources", ())
        if r["kind"] == "replica"
    }
    assert now == first
    assert make_plan(maker.world(options=back(name, 1))).changes == ()


@FEW
@given(histories())
def test_rolling_back_and_releasing_leaves_what_was_there(found: tuple[WorldMaker, str]) -> None:
    maker, name = found
    before = standing(maker, name)
    others = {one.name: standing(maker, one.name) for one in maker.deployments[1:]}
    rolled(maker, name)
    plan = make_plan(maker.world(options=Options(release=(name,))))
    assume(not plan.refusals)
    maker.done(plan)
    after = standing(maker, name)
    if {n: (h, gpus) for n, (h, gpus, _) in after.items()} == {n: (h, gpus) for n, (h, gpus, _) in before.items()}:
        assert after == before  # a slot that the first revision did not have may come back to another place
    assert after.keys() == before.keys()
    assert {one.name: standing(maker, one.name) for one in maker.deployments[1:]} == others
    assert make_plan(maker.world()).changes == ()


@FEW
@given(histories(), st.data())
def test_what_is_held_never_changes_whatever_the_files_say(found: tuple[WorldMaker, str], data: st.DataObject) -> None:
    maker, name = found
    rolled(maker, name)
    said = deployment(
        name,
        replicas=data.draw(st.integers(1, 4)),
        engine={"context": data.draw(st.sampled_from([4096, 8192])), "convert": data.draw(st.booleans())},
        description=data.draw(st.sampled_from([None, "third"])),
        state=data.draw(st.sampled_from(["running", "stopped"])),
    )
    maker.deployments = [said, *maker.deployments[1:]]
    plan = make_plan(maker.world(options=Options(prune=data.draw(st.booleans()), gc=data.draw(st.booleans()))))
    assert [c for c in plan.changes if c.deployment == name] == []
    assert plan.roster["holds"][name]["revision"] == 1


@FEW
@given(histories(), st.data())
def test_what_is_not_known_is_neither_rolled_back_nor_removed(found: tuple[WorldMaker, str], data: st.DataObject) -> None:
    maker, name = found
    silent = data.draw(st.sampled_from(sorted(maker.probes)))
    assume(len(maker.probes) > 1)
    before = make_plan(maker.world()).roster["slots"][name]
    del maker.probes[silent]
    maker.unreached = {silent: Unreached(silent, "timeout", "timed out")}
    if not revisions(maker.world().observed, name):
        return
    plan = make_plan(maker.world(options=back(name, 1)))
    assert silent not in {c.host for c in plan.changes}
    for number, slot in before.items():
        if slot["host"] == silent and not plan.refusals:
            assert plan.roster["slots"][name][number] == slot


@FEW
@given(histories(), st.data())
def test_what_gc_leaves_is_enough_for_every_revision_that_it_keeps(found: tuple[WorldMaker, str], data: st.DataObject) -> None:
    maker, name = found
    for context in range(data.draw(st.integers(0, 4))):
        settings = maker.deployments[0].engine.settings.model_dump()
        maker.deployments = [deployment(name, engine={**settings, "context": 3000 + context}, keep=2), *maker.deployments[1:]]
        plan = make_plan(maker.world())
        assume(not plan.refusals)
        maker.done(plan)
    dropped = [c for c in make_plan(maker.world(options=Options(gc=True))).changes if collectable(c)]
    whole = copy.deepcopy(maker)
    for change in dropped:
        assert change.before is not None
        probe = maker.probes[change.host]
        if change.kind == "history":
            gone = change.before.payload["numbers"]
            probe["history"][change.name] = [e for e in probe["history"][change.name] if e["revision"] not in gone]
        else:
            probe["artifacts"] = [a for a in probe["artifacts"] if a["path"] != change.before.payload["path"]]
    assert make_plan(maker.world()).changes == make_plan(whole.world()).changes
    left = {one.number for one in revisions(maker.world().observed, name)}
    for number in sorted(left)[-2:]:
        after, before = (make_plan(m.world(options=back(name, number))) for m in (maker, whole))
        assert after.changes == before.changes
        assert after.refusals == before.refusals
