"""What the change of a replica tells besides what it does: how long a start takes, what it computes in, what it costs, and
whether it fits. Called by make, once changes are known. Pure.
"""

from collections.abc import Sequence

from deployer.plan import computing, costs, fitting, measured
from deployer.plan.model import Change
from deployer.plan.roster import Place
from deployer.plan.starts import with_expectations
from deployer.plan.world import World
from deployer.state.resources import Kind


def with_estimates(world: World, places: Sequence[Place], changes: Sequence[Change]) -> tuple[tuple[Change, ...], fitting.Asked]:
    """The same changes, and what was asked about the memory of those that start. Those of replicas are looked at alone: of the
    others, most of a large plan, there is nothing to tell.
    """
    kind = Kind.REPLICA
    replicas = with_expectations([change for change in changes if change.kind is kind], world.observed)
    replicas = costs.with_costs(world, computing.with_types(world, places, replicas))
    asked = fitting.asked(world, places, replicas)
    told = iter(measured.with_keys(fitting.with_fits(replicas, asked), places, asked))
    return tuple([next(told) if change.kind is kind else change for change in changes]), asked
