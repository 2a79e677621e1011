"""What a plan's id is made of: all that is done, also of a plan that was saved; not where values are written, nor estimates."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from deployer.plan.codec import from_json, to_json
from deployer.plan.identity import plan_id
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.spec.models import ApiKey, EndpointSpec
from deployer.spec.positions import Positions
from tests.plan.worlds import WorldMaker, deployment, host, probe


def maker() -> WorldMaker:
    keys = (ApiKey(name="team-a", sha256="a" * 64),)
    return WorldMaker([deployment(engine={"gpus": 1}, endpoint=EndpointSpec(keys=keys))], [host()], {"h1": probe(gpus=1)})


def first() -> Plan:
    return make_plan(maker().world())


def changed() -> Plan:
    """A plan with values before and after."""
    made = maker()
    made.done(make_plan(made.world()))
    made.deployments = [deployment(engine={"gpus": 1, "context": 2048}, endpoint=EndpointSpec(open=True))]
    return make_plan(made.world())


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
        return
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def with_other(data: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    found = copy.deepcopy(data)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    inner[path[-1]] = (
        {"create": "delete", "delete": "create", "update": "create"}.get(old, f"{old}x")
        if isinstance(old, str)
        else not old
        if isinstance(old, bool)
        else 7
        if old is None
        else old + 1
    )
    return found


def counts(path: tuple[str | int, ...]) -> bool:
    """Less where values are written, what a change costs, and text that stands beside its digest. What an attribute means for a
    process follows from its name; how a resource is called is said by the change, too.
    """
    unseen = {"source", "impact", "content", "resource", "kind"}
    return not unseen & set(path) and not ("attributes" in path and path[-1] in ("restarts", "secret"))


@pytest.mark.parametrize("plan", [first(), changed()], ids=["from nothing", "a change"])
def test_every_word_of_a_change_counts(plan: Plan) -> None:
    told = to_json(plan)
    for path in leaves(told["changes"], ("changes",)):
        if counts(path) and path[2:] not in (("before",), ("after",)):
            assert plan_id(from_json(with_other(told, path))) != plan.plan_id, path


@pytest.mark.parametrize("plan", [first(), changed()], ids=["from nothing", "a change"])
def test_places_in_files_and_estimates_do_not_count(plan: Plan) -> None:
    told = to_json(plan)
    paths = [p for p in leaves(told["changes"], ("changes",)) if {"source", "impact", "content"} & set(p) and p[-1] != "source"]
    assert {"source", "impact", "content"} <= {word for path in paths for word in path}
    for path in paths:
        assert plan_id(from_json(with_other(told, path))) == plan.plan_id, path


def test_a_saved_plan_has_the_id_that_it_had() -> None:
    for plan in (first(), changed()):
        assert plan_id(from_json(to_json(plan))) == plan.plan_id


def test_a_value_that_moved_to_another_line_is_the_same_value() -> None:
    world = maker().world()
    moved = Positions({key: place._replace(line=place.line + 10) for key, place in world.positions.places.items()})
    assert make_plan(maker().world(positions=moved)).plan_id == make_plan(world).plan_id
