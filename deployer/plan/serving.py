"""What a replica needs on its host: programs, environments, models. Wanted only while something
needs them: the environment of a converter is wanted only where the converted model is not there yet. Called by desired.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deployer.engines import front
from deployer.engines.base import Adapter, Engine, RunsPrograms
from deployer.plan import conversions, environments, modelfiles
from deployer.plan.artifacts import Artifacts, adapter_need, model_need
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.locked import LockedModel
from deployer.state.observed import Reached


class Serving(NamedTuple):
    """What a replica stands on: paths on the host, the artifacts' addresses, and the model's locked facts."""

    environment: str
    model: str
    serve: str | None
    needs: tuple[str, ...]
    identity: tuple[str, ...]  # environment and model by name: part of what a running process is; then the handler's
    locked: LockedModel | None
    adapters: tuple[Adapter, ...] = ()
    handler: Mapping[str, str] = {}  # placeholders of engines.front and what they stand for


def prepare(world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, out: Artifacts) -> Serving | None:
    """Adds what one deployment needs on one host to `out`; None when it cannot be had (a refusal says why)."""
    serving = _served(world, spec, host, reached, out)
    need = front.environment_of(spec)
    if serving is None or need is None:
        return serving
    environment = environments.environment(world, spec, host, reached, need, out, serves=True)
    if environment is None:
        return None
    tool = environments.tool(host, "handler", world.tools["handler"], "handler.pyz", out)
    scripts = modelfiles.scripts(world, spec, host, out)
    needs = (*serving.needs, environment.address, tool.address, *((scripts.address,) if scripts else ()))
    handler = {
        "handler": f"{tool.payload['path']}/handler.pyz",
        "handler_env": environment.payload["path"],
        "handler_scripts": scripts.payload["path"] if scripts else "",
    }
    identity = (*serving.identity, environment.name, *((scripts.name,) if scripts else ()))
    return serving._replace(needs=tuple(dict.fromkeys(needs)), identity=identity, handler=handler)


def _served(world: World, spec: DeploymentSpec, host: HostSpec, reached: Reached, out: Artifacts) -> Serving | None:
    """What the engine stands on."""
    engine = world.engines[spec.engine.name]
    wanted = engine.environments(spec)
    needs: list[str] = []
    environment, runs = "", "" if wanted else ", ".join(_programs(engine, spec))
    if wanted:
        serving = environments.environment(world, spec, host, reached, wanted[0], out, serves=True)
        if serving is None:
            return None
        environment, runs, needs = serving.payload["path"], serving.name, [serving.address]
    needs += [environments.package(host, name, out).address for name in engine.packages(spec)]
    serve_path = None
    if engine.serve:
        serve = environments.tool(host, "serve", world.tools["serve"], "serve.pyz", out)
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
    model = conversions.model(world, spec, host, reached, locked, conversion, out)
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
        at = (f"deployment:{spec.name}", "adapters", number)
        made = modelfiles.fetched(world, spec, host, reached, locked, out, at, adapter.token or spec.model.token)
        if made is None:
            return None
        addresses.append(made.address)
        rank = locked.facts.adapter.rank if locked.facts.adapter else None
        found.append(Adapter(adapter.name, made.payload["path"], (locked.commit or locked.digest)[:7], rank))
    return tuple(found), tuple(addresses)
