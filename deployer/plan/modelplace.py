"""On which hosts a deployment's model lies already, as their probes say. Pure. Used by seeker."""

from functools import cached_property

from deployer.plan.artifacts import complete, locked_model
from deployer.plan.modelfiles import folder
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.canonical import digest
from deployer.state.observed import Reached
from deployer.state.resources import Kind

NOWHERE: frozenset[str] = frozenset()


class ModelPlaces:
    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def _hosts(self) -> dict[str, frozenset[str]]:
        """Made when the first one asks: where nothing looks for a place, nobody does."""
        found: dict[str, set[str]] = {}
        for host, reached in self._world.observed.items():
            for artifact in complete(reached).values() if isinstance(reached, Reached) else ():
                if artifact.get("kind") == Kind.MODEL and artifact.get("name"):
                    found.setdefault(artifact["name"], set()).add(host)
        return {name: frozenset(hosts) for name, hosts in found.items()}

    def hosts(self, name: str) -> frozenset[str]:
        return self._hosts.get(name, NOWHERE)

    def name(self, spec: DeploymentSpec) -> str | None:
        """What the artifact is called that its engine loads: as plan.conversions and plan.modelfiles call it."""
        locked = locked_model(self._world.locked, spec) if self._hosts else None
        if locked is None:
            return None
        conversion = self._world.engines[spec.engine.name].conversion(spec, locked)
        made = locked.digest[:12] if conversion is None else digest({"source": locked.digest, **conversion.inputs}, 12)
        return f"{folder(locked)}/{made}"
