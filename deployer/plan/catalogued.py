"""Where the repository of a model is from that a deployment names by the catalogue's name: a line of every plan that changes
something of it. Called by make.
"""

from collections.abc import Iterable, Sequence

from deployer.plan.model import Change, Notice
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec


def notices(world: World, planned: Sequence[DeploymentSpec], changes: Sequence[Change]) -> Iterable[Notice]:
    named = [spec for spec in planned if spec.model.catalog is not None]
    changed = {change.deployment for change in changes} if named else set()
    for spec in named:
        if spec.name in changed:
            document = f"deployment:{spec.name}"
            what = f"{spec.name}: model.repo is {spec.model.repo}, as {spec.model.catalog} of the catalogue says"
            place = world.positions.of(document, "model", "repo")
            source = world.positions.of(document, "model", "catalog")
            yield Notice("catalog", what, f"{place}; nothing else is taken from there", deployment=spec.name, source=source)
