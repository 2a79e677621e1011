"""What a plan's id is made of: the changes as they are told, without the places in files."""

from deployer.plan.codec import change_json
from deployer.plan.make import make_plan
from deployer.plan.record import without_sources
from tests.plan.worlds import WorldMaker, deployment, host, probe


def test_changes_without_positions_are_what_is_told_less_every_source() -> None:
    maker = WorldMaker([deployment(engine={"convert": True})], [host()], {"h1": probe()})
    changes = make_plan(maker.world()).changes
    told = [change_json(change) for change in changes]
    assert '"source"' in str(told).replace("'", '"')
    assert [change_json(change, positions=False) for change in changes] == [without_sources(change) for change in told]
