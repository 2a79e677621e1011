"""Small worlds for planner tests: a fleet as Python values, hosts as probes, an engine that needs nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from deployer.agent.wire import Probe
from deployer.engines.base import Complaint, Conversion, LogPatterns, Process, Slot
from deployer.plan.aftermath import OF_DEPLOYMENT, record
from deployer.plan.model import Plan
from deployer.plan.record import HOST_RECORD
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, EndpointSpec, EngineChoice, FleetSpec, HostSpec, ModelSpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from deployer.state.locked import Locked, LockedEnvironment, LockedFile, LockedModel, LockedTarget, LockedTool
from deployer.state.needs import EnvironmentNeed
from deployer.state.observed import Observed, Reached
from deployer.state.resources import ARTIFACTS, Kind, Resource

TARGET = "3.11/x86_64/glibc-2.36"
GIB = 1024**3


class ToySettings(BaseModel):
    context: int = 1024
    gpus: int = 0
    convert: bool = False


@dataclass(frozen=True)
class Toy:
    """An engine with one setting that needs a new process."""

    name: str = "toy"
    Settings: type[BaseModel] = ToySettings
    serve: bool = True
    log: LogPatterns = LogPatterns()

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return ()

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        return (EnvironmentNeed("toy-1.0", ("toy==1.0",)), EnvironmentNeed("toy-convert-1.0", ("toy-convert==1.0",)))

    def gpus(self, deployment: DeploymentSpec) -> int:
        return int(deployment.engine.settings.gpus)

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        return ()

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        return ()

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        if not deployment.engine.settings.convert:
            return None
        return Conversion(
            "toy-convert-1.0", ("{env}/bin/convert", "{source}", "{target}"), "int8", {"quantization": "int8"}, 0.3, 1.2
        )

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        return Process(
            argv=("{env}/bin/python", "{serve}", "--model", "{model}", "--port", str(slot.port)),
            env={},
            files=(),
            runtime={"context": deployment.engine.settings.context},
            ready_path="/health",
            inference={"path": "/v1/completions", "body": {"prompt": "a", "max_tokens": 1}},
            paths=("/v1/completions",),
            start_timeout_s=60.0,
            stop_timeout_s=10.0,
            stop_signal="SIGTERM",
        )


def deployment(name: str = "chat", **changes: Any) -> DeploymentSpec:
    settings = ToySettings(**changes.pop("engine", {}))
    fields: dict[str, Any] = {"model": ModelSpec(path="models/tiny"), "endpoint": EndpointSpec(open=True), **changes}
    return DeploymentSpec(name=name, engine=EngineChoice(name="toy", settings=settings), **fields)


def host(name: str = "h1", **changes: Any) -> HostSpec:
    return HostSpec(name=name, address=f"10.0.0.{sum(name.encode()) % 250}", **changes)


def probe(name: str = "h1", *, gpus: int = 0, **changes: Any) -> Probe:
    found: Probe = {
        "machine_id": f"machine-{name}",
        "arch": "x86_64",
        "glibc": "2.36",
        "python": ["3.11.2"],
        "disks": {},
        "gpus": [
            {"index": i, "uuid": f"GPU-{name}-{i}", "name": "H100", "memory_total": 80 * GIB, "memory_used": 0, "processes": []}
            for i in range(gpus)
        ],
        "listening": [],
        "packages": {},
        "artifacts": [],
        "units": [],
        "files": {},
        "records": {},
        "history": {},
        "unfinished": [],
        "fingerprint": f"fingerprint-{name}",
    }
    found.update(changes)  # type: ignore[typeddict-item]
    return found


def locked() -> Locked:
    def environment(name: str) -> LockedEnvironment:
        text = f"{name.rsplit('-', 1)[0]}==1.0 --hash=sha256:00\n"
        target = LockedTarget(TARGET, f"locks/{name}.txt", f"{sum(name.encode()):064x}", 1, text)
        return LockedEnvironment(name, (f"{name}==1.0",), targets={TARGET: target})

    files = (
        LockedFile("config.json", 10, "sha256:" + "a" * 64),
        LockedFile("model.safetensors", 7 * 1024**2, "sha256:" + "b" * 64),
    )
    tiny = LockedModel("path:models/tiny", "path", "models/tiny", None, None, "d" * 64, files)
    names = ("toy-1.0", "toy-convert-1.0", "hub-2.4.0", "handler-1")
    tools = {"uv": LockedTool("uv", "0.13.8", "e" * 64, 1000, "x86_64")}
    return Locked({tiny.key: tiny}, {n: environment(n) for n in names}, tools)


def locked_with(need: EnvironmentNeed, models: Iterable[LockedModel]) -> Locked:
    """These models, and an environment of one real engine."""
    base = locked()
    target = LockedTarget(TARGET, f"locks/{need.name}.txt", "a" * 64, 1, f"{need.requirements[0]} --hash=sha256:00\n")
    environment = LockedEnvironment(need.name, need.requirements, targets={TARGET: target})
    return Locked({model.key: model for model in models}, {**base.environments, need.name: environment}, base.tools)


@dataclass
class WorldMaker:
    """Keeps what a test changes; `world()` gives the frozen value, `done(plan)` the probes after the plan was applied."""

    deployments: list[DeploymentSpec] = field(default_factory=lambda: [deployment()])
    hosts: list[HostSpec] = field(default_factory=lambda: [host()])
    probes: dict[str, Probe] = field(default_factory=lambda: {"h1": probe()})
    unreached: Observed = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def world(self, **changes: Any) -> World:
        fleet = FleetSpec(
            id="7f3a9c21",
            name="acme",
            hosts={h.name: h for h in self.hosts},
            deployments={d.name: d for d in self.deployments},
            **self.extra,
        )
        places = {
            (f"deployment:{d.name}", path): Source(f"deployments/{d.name}.yaml", line, 1)
            for d in self.deployments
            for line, path in enumerate(
                [(), ("name",), ("description",), ("model",), ("engine",), ("engine", "toy", "context")], 1
            )
        }
        observed = {name: Reached(name, p) for name, p in self.probes.items()} | dict(self.unreached)
        tools = {n: LockedTool(n, "0.1.0", c * 64, 500, "any") for n, c in (("serve", "f"), ("handler", "e"))}
        base = World(fleet, Positions(places), locked(), observed, {"toy": Toy()}, "2026-11-20T12:00:00Z", tools=tools)
        return replace(base, **changes)

    def done(self, plan: Plan) -> None:
        """Changes the probes to what they would say once the plan was applied."""
        for name, found in self.probes.items():
            apply_to(found, plan, name)


def as_saved(plan: Plan) -> Plan:
    """What comes out of a file: resources have no places in the files there, since all that is shown of these is looked up."""

    def bare(resource: Resource | None) -> Resource | None:
        return resource and resource._replace(at=None, attributes=tuple(a._replace(at=None) for a in resource.attributes))

    changes = tuple(change._replace(before=bare(change.before), after=bare(change.after)) for change in plan.changes)
    standing = {host: tuple(bare(r) or r for r in resources) for host, resources in plan.standing.items()}
    return replace(plan, changes=changes, standing=standing)


def apply_to(found: Probe, plan: Plan, name: str) -> None:
    mine = [c for c in plan.changes if c.host == name]
    for change in mine:
        for made in [change.after] if change.after else []:
            if made.kind in ARTIFACTS:
                found["artifacts"].append(
                    {"path": made.payload["path"], "kind": str(made.kind), "name": made.name, "complete": True}
                )
            if made.kind is Kind.PACKAGE:
                found["packages"][made.name] = "2.6"
                found["brought"] = sorted({*found.get("brought", []), made.name})
            found["files"].update({f["path"]: f["sha256"] for f in made.payload.get("files", []) if "sha256" in f})
    for key in {c.deployment for c in mine if c.deployment and c.kind in OF_DEPLOYMENT} | _host_key(mine):
        noted = record(plan, name, key)
        if noted is None:
            found["records"].pop(key, None)
            found["history"].pop(key, None)
        else:
            found["records"][key] = noted  # type: ignore[typeddict-item]
            found["history"].setdefault(key, []).append(noted)
    found["units"] = [
        {"name": r["payload"]["unit"], "active": "active" if _running(r) else "inactive", "enabled": _running(r), "dropins": []}
        for noted in found["records"].values()
        for r in noted["resources"]
        if r["kind"] in ("replica", "gateway")
    ]
    found["roster"] = dict(plan.roster)


def _host_key(changes: Sequence[Any]) -> set[str]:
    return {HOST_RECORD} if any(c.kind is Kind.GATEWAY for c in changes) else set()


def _running(resource: Mapping[str, Any]) -> bool:
    return all(a["value"] == "running" for a in resource["attributes"] if a["name"] == "state")
