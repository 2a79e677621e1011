"""Who converts a model, and who copies it."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.plan.make import make_plan
from deployer.plan.model import Change, Plan
from deployer.plan.steps import transactions
from deployer.plan.subset import by_hosts
from deployer.spec.models import Placement, Rollout, Strategy
from deployer.state.resources import Kind
from tests.plan.worlds import GIB, WorldMaker, deployment, host, locked, probe

HOSTS = ("h1", "h2", "h3")


def maker(**more: Any) -> WorldMaker:
    return WorldMaker(
        [deployment(replicas=3, engine={"convert": True})],
        [host(name, gateway=name == "h3") for name in HOSTS],
        {name: probe(name, **more) for name in HOSTS},
    )


def methods(plan: Plan) -> dict[str, str]:
    """Host → "convert", or "copy h1"."""
    made = [c.after for c in plan.changes if c.kind is Kind.MODEL and c.after is not None]
    wanted = [r for r in made if r.payload["method"] in ("convert", "copy")]
    return {r.host: " ".join([r.payload["method"], *([r.payload["from"]] if "from" in r.payload else [])]) for r in wanted}


def model(plan: Plan, name: str) -> Change:
    return next(c for c in plan.changes if c.host == name and c.after and c.after.payload.get("method") in ("convert", "copy"))


def test_the_first_host_converts_and_only_it_gets_the_source_and_the_converter() -> None:
    plan = make_plan(maker().world())
    assert methods(plan) == {"h1": "convert", "h2": "copy h1", "h3": "copy h1"}
    brought = {(c.host, c.name) for c in plan.changes if c.kind is Kind.ENVIRONMENT and "convert" in c.name}
    assert {name for name, _ in brought} == {"h1"}
    assert [c.host for c in plan.changes if c.after and c.after.payload.get("method") == "push"] == ["h1"]


def test_a_copy_needs_the_conversion_and_falls_away_with_it() -> None:
    plan = make_plan(maker().world())
    assert model(plan, "h1").id in model(plan, "h2").depends_on
    assert {c.host for c in by_hosts(plan, ["h2", "h3"]).changes if c.kind in (Kind.MODEL, Kind.REPLICA)} == set()


def test_copies_come_behind_their_own_barrier() -> None:
    plan = make_plan(maker().world())
    steps = {n: {s["kind"]: s["stage"] for t in transactions(plan, n) for s in t["steps"]} for n in HOSTS}
    assert steps["h1"]["model.convert"] == "artifacts"
    assert steps["h2"]["model.copy"] == steps["h3"]["model.copy"] == "copies"


def test_a_host_that_has_begun_stays_the_one_also_when_others_come_before_it() -> None:
    world = maker()
    world.done(by_hosts(make_plan(world.world()), ["h1"]))
    for found in world.probes.values():
        found["artifacts"] = [a for a in found["artifacts"] if a["kind"] != "model" or "/dddd" in a["path"]]  # only the source
    world.hosts.append(host("a0"))
    world.probes["a0"] = probe("a0")
    world.deployments = [deployment(replicas=4, engine={"convert": True})]
    assert methods(make_plan(world.world())) == {"h1": "convert", "a0": "copy h1", "h2": "copy h1", "h3": "copy h1"}


def test_who_has_it_gives_it_also_when_it_is_no_place_of_it_any_more() -> None:
    world = maker()
    world.deployments = [deployment(placement=Placement(hosts=("h2",)), engine={"convert": True})]
    world.done(make_plan(world.world()))
    world.deployments.append(deployment("second", replicas=2, placement=Placement(hosts=("h1", "h3")), engine={"convert": True}))
    assert methods(make_plan(world.world())) == {"h1": "copy h2", "h3": "copy h2"}


def test_a_host_without_the_memory_or_the_disk_copies() -> None:
    world = maker(memory_available=GIB)
    world.probes["h1"]["memory_available"] = 1024**2
    world.probes["h2"]["disks"] = {"/var/lib/deployer/models": {"total": GIB, "free": 1024**2}}
    found = methods(make_plan(world.world()))
    assert found["h3"] == "convert"
    assert found["h1"] == "copy h3"


@pytest.mark.parametrize("free", [None, 0])
def test_memory_that_nobody_told_of_is_not_taken_for_none(free: int | None) -> None:
    world = maker(**({} if free is None else {"memory_available": free}))
    assert methods(make_plan(world.world()))["h1"] == "convert"


def test_what_is_stopped_has_nothing_made_and_so_gives_nothing() -> None:
    world = maker()
    world.deployments = [
        deployment("asleep", state="stopped", placement=Placement(hosts=("h1",)), engine={"convert": True}),
        deployment("awake", placement=Placement(hosts=("h2",)), engine={"convert": True}),
    ]
    assert methods(make_plan(world.world())) == {"h2": "convert"}


def test_two_deployments_of_one_model_share_its_conversion_while_one_is_replaced_beside() -> None:
    """A blue_green is planned a second time for its second place: who converts is not decided again."""
    world = maker(memory_available=64 * GIB)
    in_turn = Rollout(strategy=Strategy.RECREATE)
    world.deployments = [
        deployment("a", placement=Placement(hosts=("h2",))),
        deployment("b", placement=Placement(hosts=("h1",)), rollout=in_turn),
    ]
    world.done(make_plan(world.world()))
    world.deployments = [
        deployment("a", placement=Placement(hosts=("h2",)), engine={"convert": True}),
        deployment("b", placement=Placement(hosts=("h1",)), rollout=in_turn, engine={"convert": True}),
    ]
    plan = make_plan(world.world())
    assert {c.deployment for c in plan.changes if c.beside} == {"a"}
    assert methods(plan) == {"h1": "convert", "h2": "copy h1"}


def test_nobody_can_and_each_host_says_why() -> None:
    world = maker(memory_available=1024**2)
    plan = make_plan(world.world())
    (refusal,) = plan.refusals
    assert refusal.code == "conversion"
    assert [line.partition(":")[0] for line in refusal.details] == list(HOSTS)
    assert all("1.0 MiB is free" in line for line in refusal.details)
    assert methods(plan) == {}


def test_a_host_that_no_lock_fits_is_refused_as_for_any_environment() -> None:
    world = maker()
    found = locked()
    environments = {n: replace(e, targets={}) if "convert" in n else e for n, e in found.environments.items()}
    plan = make_plan(world.world(locked=replace(found, environments=environments)))
    assert {(r.code, r.host) for r in plan.refusals} == {("target", name) for name in HOSTS}
