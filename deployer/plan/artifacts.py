"""The immutable directories a replica needs on its host: programs, environments, models. Wanted only while something
needs them: the environment of a converter is wanted only where the converted model is not there yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.agent import wire
from deployer.engines import front
from deployer.engines.base import Adapter, Conversion, Engine, RunsPrograms
from deployer.plan.model import Refusal
from deployer.plan.target import fitting_target
from deployer.plan.world import World
from deployer.spec.models import AdapterSpec, DeploymentSpec, HostSpec, SecretRef
from deployer.spec.source import Source
from deployer.state.canonical import digest
from deployer.state.locked import LockedModel, LockedTool
from deployer.state.needs import EnvironmentNeed, ModelNeed
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource

HUB_VERSION = "2.4.0"
#: What downloads models on hosts; the same version that the controller is tested with.
HUB = EnvironmentNeed(f"hub-{HUB_VERSION}", (f"huggingface_hub=={HUB_VERSION}",))

#: An environment on disk, as a share of what its wheels weigh, is not known before it is built; said as 0 then.
UNKNOWN_SIZE = 0


@dataclass(slots=True)
class Artifacts:
    """Of one host: resources by address, texts by digest, and what could not be had."""

    resources: dict[str, Resource] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Serving:
    """What a replica stands on: paths on the host, the artifacts' addresses, and the model's locked facts."""

    environment: str
    model: str
    serve: str | None
    needs: tuple[str, ...]
    identity: tuple[str, ...]  # environment and model by name: part of what a running process is; then the handler's
    locked: LockedModel | None
    adapters: tuple[Adapter, ...] = ()
    handler: Mapping[str, str] = field(default_factory=dict)  # placeholders of engines.front and what they stand for


def model_need(spec: DeploymentSpec) -> ModelNeed:
    m = spec.model
    plain = spec.handler is not None and spec.handler.predictor is not None
    return ModelNeed(repo=m.repo, revision=m.revision, path=m.path, host_path=m.host_path, file=m.file, plain=plain)


def adapter_need(adapter: AdapterSpec) -> ModelNeed:
    return ModelNeed(repo=adapter.repo, revision=adapter.revision, path=adapter.path)


def adapter_rank(world: World, spec: DeploymentSpec) -> int:
    """The highest of its adapters; 0 when there are none, or nobody knows."""
    found = [world.locked.models.get(adapter_need(adapter).key) for adapter in spec.adapters]
    return max([m.facts.adapter.rank or 0 for m in found if m is not None and m.facts.adapter is not None], default=0)


def engines_root(host: HostSpec) -> str:
    return host.paths.get("engines") or wire.ROOT_ENGINES


def models_root(host: HostSpec) -> str:
    return host.paths.get("models") or wire.ROOT_MODELS


def complete(reached: Reached) -> dict[str, wire.Artifact]:
    """Artifacts that may be used, by path."""
    return {a["path"]: a for a in reached.probe.get("artifacts", []) if a.get("complete")}


def prepare(world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, out: Artifacts) -> Serving | None:
    """Adds what one deployment needs on one host to `out`; None when it cannot be had (a refusal says why)."""
    serving = _served(world, spec, host, reached, out)
    need = front.environment_of(spec)
    if serving is None or need is None:
        return serving
    environment = _environment(world, spec, host, reached, need, out, serves=True)
    if environment is None:
        return None
    tool = _tool(host, "handler", world.tools["handler"], "handler.pyz", out)
    scripts = _scripts(world, spec, host, out)
    needs = (*serving.needs, environment.address, tool.address, *((scripts.address,) if scripts else ()))
    handler = {
        "handler": f"{tool.payload['path']}/handler.pyz",
        "handler_env": environment.payload["path"],
        "handler_scripts": scripts.payload["path"] if scripts else "",
    }
    identity = (*serving.identity, environment.name, *((scripts.name,) if scripts else ()))
    return replace(serving, needs=tuple(dict.fromkeys(needs)), identity=identity, handler=handler)


def _scripts(world: World, spec: DeploymentSpec, host: HostSpec, out: Artifacts) -> Resource | None:
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
        source=world.positions.of(f"deployment:{spec.name}", "handler"),
        download_bytes=total,
        disk_bytes=total,
    )
    return out.resources.setdefault(resource.address, resource)


def _served(world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, out: Artifacts) -> Serving | None:
    """What the engine stands on."""
    engine = world.engines[spec.engine.name]
    environments = engine.environments(spec)
    needs: list[str] = []
    environment, runs = "", ", ".join(_programs(engine, spec))
    if environments:
        serving = _environment(world, spec, host, reached, environments[0], out, serves=True)
        if serving is None:
            return None
        environment, runs, needs = serving.payload["path"], serving.name, [serving.address]
    needs += [_package(host, name, out).address for name in engine.packages(spec)]
    serve_path = None
    if engine.serve:
        serve = _tool(host, "serve", world.tools["serve"], "serve.pyz", out)
        needs.append(serve.address)
        serve_path = f"{serve.payload['path']}/serve.pyz"
    beside = _adapters(world, spec, host, reached, out)
    if beside is None:
        return None
    adapters, addresses = beside
    needs += addresses
    need = model_need(spec)
    if need.host_path is not None:
        identity = (runs, f"host:{need.host_path}")
        return Serving(environment, need.host_path, serve_path, tuple(needs), identity, None, adapters)
    locked = world.locked.models[need.key]
    conversion = engine.conversion(spec, locked)
    model = _model(world, spec, host, reached, locked, conversion, out)
    if model is None:
        return None
    identity = (runs, model.name)
    return Serving(environment, model.payload["path"], serve_path, (*needs, model.address), identity, locked, adapters)


def _programs(engine: Engine, spec: DeploymentSpec) -> Sequence[str]:
    return engine.programs(spec) if isinstance(engine, RunsPrograms) else ()


def _adapters(
    world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, out: Artifacts
) -> tuple[tuple[Adapter, ...], tuple[str, ...]] | None:
    """Each as an artifact like a model, and the addresses of these."""
    found, addresses = [], []
    for number, adapter in enumerate(spec.adapters):
        locked = world.locked.models[adapter_need(adapter).key]
        source = world.positions.of(f"deployment:{spec.name}", "adapters", number)
        made = _fetched(world, spec, host, reached, locked, out, source, adapter.token or spec.model.token)
        if made is None:
            return None
        addresses.append(made.address)
        rank = locked.facts.adapter.rank if locked.facts.adapter else None
        found.append(Adapter(adapter.name, made.payload["path"], (locked.commit or locked.digest)[:7], rank))
    return tuple(found), tuple(addresses)


def _package(host: HostSpec, name: str, out: Artifacts) -> Resource:
    resource = Resource(host.name, Kind.PACKAGE, name, payload={"name": name})
    return out.resources.setdefault(resource.address, resource)


def _tool(host: HostSpec, name: str, tool: LockedTool, file: str, out: Artifacts) -> Resource:
    directory = f"{name}-{tool.version}-{tool.sha256[:12]}"
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


def _environment(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    need: EnvironmentNeed,
    out: Artifacts,
    *,
    serves: bool = False,
) -> Resource | None:
    source = world.positions.of(f"deployment:{spec.name}", "engine", spec.engine.name)
    locked = world.locked.environments.get(need.name)
    target, why = fitting_target(locked.targets if locked else {}, reached.probe)
    if target is None:
        hint = f"add the target to packages.targets in deployer.yaml, then: deployer lock   ({why})"
        what = f"no locked environment {need.name} fits {host.name}"
        out.refusals.append(Refusal("target", what, (why,), hint, host.name, spec.name, source))
        return None
    uv = _tool(host, "uv", world.locked.tools["uv"], "uv", out)
    name = f"{need.name}-{target.digest[:12]}"
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
        source=source,
        download_bytes=pushed,
        disk_bytes=UNKNOWN_SIZE,
    )
    return out.resources.setdefault(resource.address, resource)


def _model(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    locked: LockedModel,
    conversion: Conversion | None,
    out: Artifacts,
) -> Resource | None:
    if conversion is None:
        return _published(world, spec, host, reached, locked, out)
    inputs = {"source": locked.digest, **conversion.inputs}
    converted = f"{_folder(locked)}/{digest(inputs, 12)}"
    path = f"{models_root(host)}/{converted}"
    there = path in complete(reached)
    needs: tuple[str, ...] = ()
    payload: dict[str, Any] = {"path": path, "name": converted, "digest": digest(inputs), "method": "convert"}
    payload["argv"] = list(conversion.argv)
    if conversion.nested:
        payload["nested"] = list(conversion.nested)
    if not there:
        fetched = _published(world, spec, host, reached, locked, out)
        wanted = {e.name: e for e in world.engines[spec.engine.name].environments(spec)}
        converter = _environment(world, spec, host, reached, wanted[conversion.environment], out)
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


def _folder(locked: LockedModel) -> str:
    if locked.source == "hub":
        return locked.name.replace("/", "--")
    return "local--" + locked.name.rstrip("/").rsplit("/", 1)[-1]


def _published(
    world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, locked: LockedModel, out: Artifacts
) -> Resource | None:
    source = world.positions.of(f"deployment:{spec.name}", "model")
    return _fetched(world, spec, host, reached, locked, out, source, spec.model.token)


def _fetched(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    locked: LockedModel,
    out: Artifacts,
    source: Source | None,
    secret: SecretRef | None,
) -> Resource | None:
    """A model (or an adapter) as it is published: downloaded by the host, or pushed from the fleet's folder."""
    name = f"{_folder(locked)}/{locked.digest[:12]}"
    path = f"{models_root(host)}/{name}"
    files = [{"path": f.path, "size": f.size, "digest": f.digest} for f in locked.files]
    payload: dict[str, Any] = {"path": path, "name": name, "digest": locked.digest, "files": files}
    needs: tuple[str, ...] = ()
    if locked.source == "hub":
        if path not in complete(reached):
            hub = _environment(world, spec, host, reached, HUB, out)
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
        source=source,
        download_bytes=locked.bytes,
        disk_bytes=locked.bytes,
    )
    return out.resources.setdefault(resource.address, resource)
