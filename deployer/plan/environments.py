"""Programs on a host: packages of its system, tools that are pushed, Python environments. Called by serving, and by what makes
models out of files. Pure.
"""

from deployer.plan.artifacts import Artifacts, engines_root
from deployer.plan.model import Refusal
from deployer.plan.target import fitting_target
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.locked import LockedTool
from deployer.state.needs import EnvironmentNeed
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource

HUB_VERSION = "2.4.0"
#: What downloads models on hosts; the same version that the controller is tested with.
HUB = EnvironmentNeed(f"hub-{HUB_VERSION}", (f"huggingface_hub=={HUB_VERSION}",))

#: An environment on disk, as a share of what its wheels weigh, is not known before it is built; said as 0 then.
UNKNOWN_SIZE = 0


def package(host: HostSpec, name: str, out: Artifacts) -> Resource:
    address = f"{Kind.PACKAGE}:{name}"
    if there := out.resources.get(address):
        return there
    return out.resources.setdefault(address, Resource(host.name, Kind.PACKAGE, name, payload={"name": name}))


def tool(host: HostSpec, name: str, tool: LockedTool, file: str, out: Artifacts) -> Resource:
    directory = f"{name}-{tool.version}-{tool.sha256[:12]}"
    if there := out.resources.get(f"{Kind.TOOL}:{directory}"):
        return there
    path = f"{engines_root(host)}/{directory}"
    resource = Resource(
        host.name,
        Kind.TOOL,
        directory,
        attributes=(Attribute("version", tool.version), Attribute("sha256", tool.sha256)),
        payload={
            "path": path,
            "name": directory,
            "digest": tool.sha256,
            "sha256": tool.sha256,
            "size": tool.size,
            "executable": file,
            "origin": f"tool:{name}",
        },
        download_bytes=tool.size,
        disk_bytes=tool.size,
    )
    return out.resources.setdefault(resource.address, resource)


def environment(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    need: EnvironmentNeed,
    out: Artifacts,
    *,
    serves: bool = False,
) -> Resource | None:
    if there := out.environments.get(need.name):  # another deployment stands on it too
        return there
    locked = world.locked.environments.get(need.name)
    target, why = fitting_target(locked.targets if locked else {}, reached.probe)
    if target is None:
        hint = f"add the target to packages.targets in deployer.yaml, then: deployer lock   ({why})"
        what = f"no locked environment {need.name} fits {host.name}"
        source = world.positions.of(f"deployment:{spec.name}", "engine", spec.engine.name)
        out.refusals.append(Refusal("target", what, (why,), hint, host.name, spec.name, source))
        return None
    name = f"{need.name}-{target.digest[:12]}"
    uv = tool(host, "uv", world.locked.tools["uv"], "uv", out)
    out.texts[target.digest] = target.text
    pushed = sum(w.size for w in target.wheels)
    packages = world.fleet.packages
    resource = Resource(
        host.name,
        Kind.ENVIRONMENT,
        name,
        attributes=(Attribute("packages", target.packages), Attribute("digest", target.digest)),
        payload={
            "path": f"{engines_root(host)}/{name}",
            "name": name,
            "digest": target.digest,
            "requirements": target.digest,
            "python": target.target.split("/")[0],
            "uv": f"{uv.payload['path']}/uv",
            "index_url": host.index_url or packages.index_url,
            "extra_index_urls": list(packages.extra_index_urls),
            "wheels": [{"name": w.name, "sha256": w.sha256, "size": w.size} for w in target.wheels],
            "proxy": host.proxy,
            "ca": host.ca,
            "compile": serves,
        },
        needs=(uv.address,),
        at=(f"deployment:{spec.name}", "engine", spec.engine.name),
        download_bytes=pushed,
        disk_bytes=UNKNOWN_SIZE,
    )
    out.environments[need.name] = out.resources.setdefault(resource.address, resource)
    return out.environments[need.name]
