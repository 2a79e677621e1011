"""Folders of files on a host as they are published: models, adapters, a deployment's own scripts. Called by serving and
conversions. Pure.
"""

from typing import Any

from deployer.plan.artifacts import Artifacts, complete, models_root
from deployer.plan.environments import HUB, environment
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec, SecretRef
from deployer.spec.positions import Where
from deployer.state.canonical import digest
from deployer.state.locked import LockedModel
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource


def scripts(world: World, spec: DeploymentSpec, host: HostSpec, out: Artifacts) -> Resource | None:
    """The deployment's own scripts, pushed from the fleet's folder: what they hold names the directory."""
    found = spec.handler.found.files if spec.handler is not None else ()
    if not found:
        return None
    whole = digest(sorted([f.path, f.digest] for f in found))
    name = f"scripts--{spec.name}/{whole[:12]}"
    total = sum(f.size for f in found)
    files = [{"path": f.path, "size": f.size, "digest": f.digest, "source": f.source} for f in found]
    resource = Resource(
        host.name,
        Kind.SCRIPTS,
        name,
        attributes=(Attribute("files", len(found)), Attribute("digest", whole[:12])),
        payload={"path": f"{models_root(host)}/{name}", "name": name, "digest": whole, "files": files},
        at=(f"deployment:{spec.name}", "handler"),
        download_bytes=total,
        disk_bytes=total,
    )
    return out.resources.setdefault(resource.address, resource)


def folder(locked: LockedModel) -> str:
    if locked.source == "hub":
        return locked.name.replace("/", "--")
    return "local--" + locked.name.rstrip("/").rsplit("/", 1)[-1]


def name_of(locked: LockedModel) -> str:
    """What a model is called on a host as it is published."""
    return f"{folder(locked)}/{locked.digest[:12]}"


def published(
    world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, locked: LockedModel, out: Artifacts
) -> Resource | None:
    return fetched(world, spec, host, reached, locked, out, (f"deployment:{spec.name}", "model"), spec.model.token)


def fetched(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    locked: LockedModel,
    out: Artifacts,
    at: Where,
    secret: SecretRef | None,
) -> Resource | None:
    """A model (or an adapter) as it is published: downloaded by the host, or pushed from the fleet's folder."""
    name = name_of(locked)
    if there := out.resources.get(f"{Kind.MODEL}:{name}"):
        return there
    path = f"{models_root(host)}/{name}"
    files = [{"path": f.path, "size": f.size, "digest": f.digest} for f in locked.files]
    payload: dict[str, Any] = {"path": path, "name": name, "digest": locked.digest, "files": files}
    needs: tuple[str, ...] = ()
    if locked.source == "hub":
        if path not in complete(reached):
            hub = environment(world, spec, host, reached, HUB, out)
            if hub is None:
                return None
            needs = (hub.address,)
            payload["env"] = hub.payload["path"]
        token = secret.id if secret else None
        payload |= {"method": "download", "repo": locked.name, "commit": locked.commit, "endpoint": host.hub_url, "token": token}
        payload |= {"proxy": host.proxy, "ca": host.ca}
    else:
        payload |= {"method": "push", "origin": locked.name}
    revision = locked.commit[:7] if locked.commit else locked.digest[:7]
    resource = Resource(
        host.name,
        Kind.MODEL,
        name,
        attributes=(Attribute("model", locked.name), Attribute("revision", revision)),
        payload=payload,
        needs=needs,
        at=at,
        download_bytes=locked.bytes,
        disk_bytes=locked.bytes,
    )
    return out.resources.setdefault(resource.address, resource)
