"""A hand-made unit that one of our deployments takes over from: it stops, and is disabled, once ours answers. Pure. Called by
diffs, for what `adopt --take-over` asks.
"""

from collections.abc import Iterable

from deployer.plan.diff import change_id
from deployer.plan.model import Change
from deployer.plan.world import World
from deployer.state.resources import Kind, Resource


def changes(world: World, host: str) -> Iterable[Change]:
    for asked in world.options.adopt:
        if asked.host == host:
            theirs = Resource(host, Kind.FOREIGN, asked.unit, payload={"unit": asked.unit, "deployment": asked.deployment})
            identity = change_id(host, theirs.address, ("adopt",))
            reason = f"{asked.deployment} takes over from it"
            yield Change(identity, host, Kind.FOREIGN, asked.unit, None, ("adopt",), reason, before=theirs)
