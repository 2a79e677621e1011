"""A plan that changes something of a deployment named by the catalogue says where its repository is from; others do not."""

from dataclasses import replace

from deployer.plan.make import make_plan
from deployer.plan.text import render
from deployer.spec.models import ModelSpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from deployer.state.locked import Locked
from tests.plan.worlds import WorldMaker, deployment, locked


def test_a_change_says_where_the_repository_is_from_and_no_change_says_nothing():
    made = WorldMaker(deployments=[deployment(model=ModelSpec(repo="acme/tiny", catalog="tiny-1b"))])
    base = locked()
    tiny = replace(next(iter(base.models.values())), key="hub:acme/tiny@main", source="hub", name="acme/tiny", revision="main")
    known = Locked({tiny.key: replace(tiny, commit="c" * 40)}, base.environments, base.tools)
    world = made.world(locked=known)
    name = made.deployments[0].name
    entry = {(f"deployment:{name}", ("model", "repo")): Source("deployer/catalog/tiny-1b.yaml", 4, 1)}
    world = replace(world, positions=Positions({**world.positions.places, **entry}))
    first = make_plan(world)
    assert first.changes
    text = render(first)
    assert f"{name}: model.repo is acme/tiny, as tiny-1b of the catalogue says" in text
    assert "deployer/catalog/tiny-1b.yaml:4" in text
    made.done(first)
    again = make_plan(replace(made.world(locked=known), positions=world.positions))
    assert not again.changes
    assert not [notice for notice in again.notices if notice.code == "catalog"]
