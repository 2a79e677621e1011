"""A model as an engine wants it: as it is published, or converted from that on the host. Called by serving. Pure."""

from typing import Any

from deployer.engines.base import Conversion
from deployer.plan.artifacts import Artifacts, complete, models_root
from deployer.plan.environments import environment
from deployer.plan.modelfiles import folder, published
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.canonical import digest
from deployer.state.locked import LockedModel
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource


def model(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    locked: LockedModel,
    conversion: Conversion | None,
    out: Artifacts,
) -> Resource | None:
    if conversion is None:
        return published(world, spec, host, reached, locked, out)
    inputs = {"source": locked.digest, **conversion.inputs}
    converted = f"{folder(locked)}/{digest(inputs, 12)}"
    path = f"{models_root(host)}/{converted}"
    there = path in complete(reached)
    needs: tuple[str, ...] = ()
    payload: dict[str, Any] = {"path": path, "name": converted, "digest": digest(inputs), "method": "convert"}
    payload["argv"] = list(conversion.argv)
    if conversion.nested:
        payload["nested"] = list(conversion.nested)
    if not there:
        fetched = published(world, spec, host, reached, locked, out)
        wanted = {e.name: e for e in world.engines[spec.engine.name].environments(spec)}
        converter = environment(world, spec, host, reached, wanted[conversion.environment], out)
        if fetched is None or converter is None:
            return None
        needs = (fetched.address, converter.address)
        payload |= {"source": fetched.payload["path"], "env": converter.payload["path"]}
    resource = Resource(
        host.name,
        Kind.MODEL,
        converted,
        attributes=(Attribute("model", locked.name), Attribute("conversion", conversion.name)),
        payload=payload,
        needs=needs,
        source=world.positions.of(f"deployment:{spec.name}", "engine", spec.engine.name),
        disk_bytes=int(locked.bytes * conversion.disk_factor),
    )
    return out.resources.setdefault(resource.address, resource)
