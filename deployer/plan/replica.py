"""One running copy as a resource: its unit and files as text, and what a person sees of it in a diff."""

from typing import Any

from deployer.engines import front, logs
from deployer.engines.base import Process, Slot
from deployer.engines.launch import launch, runtime_digest
from deployer.engines.memory import memory_settings
from deployer.plan import numbers
from deployer.plan.roster import Place
from deployer.plan.serving import Serving
from deployer.plan.world import World
from deployer.render import names
from deployer.spec.models import DeploymentSpec
from deployer.state.canonical import digest, text_digest
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource


def replica(
    world: World, spec: DeploymentSpec, place: Place, reached: Reached, serving: Serving, runs: bool, ran: numbers.Ran
) -> Resource:
    """`runs`: false leaves everything in place but stopped."""
    engine = world.engines[spec.engine.name]
    slot = Slot(place.host, place.number, place.port, place.gpus, reached.probe.get("arch", ""), serving.adapters)
    process = front.behind(engine.process(spec, serving.locked, front.inner(spec, slot)), spec, slot)
    paths = {"env": serving.environment, "model": serving.model, "serve": serving.serve or "", **serving.handler}
    first = None
    if serving.handler:
        runtime = runtime_digest(process, spec, slot, fleet_id=world.fleet.id, identity=serving.identity)
        first = ran.first_with(spec.name, runtime)
        paths["handler_revision"] = str(first)
    # the description is only noted: were it in the unit, changing it would write a file for nothing
    plain = spec.model_copy(update={"description": None}) if spec.description else spec
    made = launch(process, plain, slot, fleet=world.fleet.name, fleet_id=world.fleet.id, identity=serving.identity, paths=paths)
    files = [file_json(path, content, "0600") for path, content in made.files]
    files += [{"path": path, "mode": "0600", "owner": "root:root", "secret": secret} for path, secret in made.secrets]
    files.append(file_json(made.path, made.text, "0644"))
    return Resource(
        host=place.host,
        kind=Kind.REPLICA,
        name=f"{spec.name}/{place.number}",
        deployment=spec.name,
        attributes=_attributes(world, spec, place, process, serving, runs, _texts(files)),
        payload={
            "slot": place.number,
            "unit": made.unit,
            "runtime_digest": made.runtime_digest,
            "port": place.port,
            "gpus": list(place.gpus),
            "files": files,
            "stop_timeout_s": process.stop_timeout_s,
            "steady_s": spec.rollout.min_healthy,
            "drain_s": spec.rollout.drain_deadline,
            "gateway": names.gateway_unit_name(world.fleet.name),
            "ready": _ready(spec, place, process),
            "paths": list(process.paths),
            "inference": dict(process.inference),
            "ready_path": process.ready_path,
            **_gpu_share(spec, place),
            **({"share": place.share} if place.share is not None else {}),
            **_check(process, serving),
            **({"revision": first} if first is not None else {}),
            **(
                {"keys": [{"name": name, "secret": secret} for name, secret in process.secrets.items()]}
                if process.secrets
                else {}
            ),
            **({"requests": process.runtime["logging.sink"]} if "logging.sink" in process.runtime else {}),
            **({"adapters": [{"name": a.name, "path": a.path} for a in serving.adapters]} if serving.adapters else {}),
        },
        needs=serving.needs,
        at=(f"deployment:{spec.name}", "engine"),
    )


def _gpu_share(spec: DeploymentSpec, place: Place) -> dict[str, float]:
    """What of each GPU must be free when it starts, for an engine that takes its share at once; of a shared GPU, what is kept
    for it.
    """
    if place.share is not None:
        return {"gpu_share": place.share / 100}
    settings = memory_settings(spec) if place.gpus else None
    return {"gpu_share": settings.utilization} if settings is not None and settings.paged and settings.cache_bytes is None else {}


def _check(process: Process, serving: Serving) -> dict[str, Any]:
    """What `engine.check` is told. The key is the same for all replicas, and as long as nothing of it changes."""
    if process.check is None or not serving.environment:
        return {}
    said = process.check
    told: dict[str, Any] = {
        "checker": said.checker,
        "env": serving.environment,
        "text": said.text.replace("{model}", serving.model),
        "environ": dict(said.env),
    }
    return {"options": {**told, "key": digest(told, 24)}}


def file_json(path: str, content: str, mode: str, owner: str = "root:root") -> dict[str, str]:
    return {"path": path, "mode": mode, "owner": owner, "content": content, "sha256": text_digest(content)}


def _texts(files: list[dict[str, str]]) -> str:
    """Our own wording of what is run: written when it changes, felt at the next start."""
    return digest([[f["path"], f.get("sha256") or f["secret"]] for f in files], 12)


def _ready(spec: DeploymentSpec, place: Place, process: Process) -> dict[str, Any]:
    """What `unit.ready` is told, and what its log is to be read by; the deadline is the rollout's."""
    return {
        "port": place.port,
        "ready_path": process.ready_path,
        "inference": dict(process.inference),
        "deadline_s": spec.rollout.healthy_deadline,
        "progress_s": spec.rollout.progress_deadline,
        "log": logs.named(spec),
        "deployment": spec.name,
    }


def _attributes(
    world: World, spec: DeploymentSpec, place: Place, process: Process, serving: Serving, runs: bool, texts: str
) -> tuple[Attribute, ...]:
    document, engine = f"deployment:{spec.name}", spec.engine.name
    found = [
        Attribute("state", "running" if runs else "stopped", True, False, (document, "state")),
        Attribute("engine", engine, True, False, (document, "engine")),
        Attribute("environment", serving.identity[0], True, False, (document, "engine", engine, "version")),
        Attribute("model", serving.identity[1], True, False, (document, "model")),
        Attribute("port", place.port, True, False, (document, "placement")),
        Attribute("gpus", ", ".join(place.gpus) or None, True, False, (document, "placement", "gpus")),
        Attribute("memory", spec.resources.memory, True, False, (document, "resources", "memory")),
        Attribute("cpu", spec.resources.cpu, True, False, (document, "resources", "cpu")),
    ]
    if place.share is not None:
        found.append(Attribute("gpu_share", f"{place.share}%", at=(document, "placement", "gpu_share")))
    for name, made in zip(("handler.environment", "handler.scripts"), serving.identity[2:], strict=False):
        found.append(Attribute(name, made, True, False, (document, "handler")))
    for name, shown in process.runtime.items():
        path = process.sources.get(name, ("engine", engine, name))
        found.append(Attribute(name, shown, True, False, (document, *path)))
    if serving.adapters:
        told = ", ".join(f"{a.name} {a.revision}" for a in serving.adapters)
        found.append(Attribute("adapters", told, at=(document, "adapters")))
    for name, secret in process.secrets.items():
        value = world.secrets.get((place.host, secret))
        found.append(Attribute(f"key {name}", value, secret=True, at=(document, "logging", "kafka")))
    found.append(Attribute("files", texts, at=(document, "engine")))
    return tuple(_distinct(found))


def _distinct(attributes: list[Attribute]) -> list[Attribute]:
    """The first of each name: an engine may show what is already shown here."""
    if len({attribute.name for attribute in attributes}) == len(attributes):
        return attributes
    found: dict[str, Attribute] = {}
    for attribute in attributes:
        found.setdefault(attribute.name, attribute)
    return list(found.values())
