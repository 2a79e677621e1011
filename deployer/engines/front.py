"""What stands before an engine on the replica's port: our handler, when a deployment has scripts of its own or logs its
requests. Called by plan.

The engine's own start becomes the handler's child. It listens on the same port of another loopback address, so that nothing
else of a replica changes: one unit, one port, one revision.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from deployer.engines import requestlog
from deployer.engines.base import Complaint, ConfigFile, FailurePattern, LogPatterns, Phase, Process, Slot
from deployer.engines.launch import placeholder_complaints
from deployer.engines.settings import environment, environment_complaints
from deployer.spec.models import DeploymentSpec
from deployer.state.needs import EnvironmentNeed
from deployer.state.resources import Scalar

#: Where an engine listens that is the handler's child. All of 127.0.0.0/8 is this machine; no other claim of a port is needed.
ENGINE_ADDRESS = "127.0.0.2"
BASE = "handler-1"
REQUIREMENTS = ("aiohttp>=3.14,<4",)
KAFKA = "confluent-kafka>=2.11,<3"
FILE = "handler.json"
ARGV = ("{handler_env}/bin/python", "-I", "{handler}", "--config", f"{{credentials}}/{FILE}")
DRAIN_S = 30.0

_OURS = {
    **dict.fromkeys(("MODEL_FILES_PATH", "ARTIFACT_FILES_PATH", "DEPLOYMENT_NAME", "REVISION"), "deployer sets it"),
    "PYTHONPATH": "the scripts' own folder is on the path",
}
PHASES = (Phase(r"handler: loading the (?:predictor|transformer)", "loading the scripts"),)
FAILURES = (
    FailurePattern(
        r"handler: error: (?P<role>predictor|transformer): (?P<what>.+)",
        "the {role} script failed: {what}",
        "handler.{role}: mend that line; deployer logs --failure has the traceback",
    ),
    FailurePattern(r"handler: error: (?P<what>.+)", "{what}"),
)


def log(engine: LogPatterns) -> LogPatterns:
    """Of the handler and the engine behind it: both write to one log."""
    failures = (*FAILURES[:1], *engine.failures, *FAILURES[1:])
    return engine._replace(phases=(*PHASES, *engine.phases), failures=failures)


def wanted(deployment: DeploymentSpec) -> bool:
    """Whether a handler stands before the engine, or in its place."""
    return deployment.handler is not None or deployment.logging.requests != "off"


def environment_of(deployment: DeploymentSpec) -> EnvironmentNeed | None:
    """Of the handler and the scripts; never the engine's own: their packages need not agree."""
    if not wanted(deployment):
        return None
    pins = deployment.handler.found.pins if deployment.handler is not None else ()
    hashes = tuple((pin.requirement.partition("==")[0].partition("[")[0].strip(), pin.hashes) for pin in pins)
    kafka = _logs_to(deployment, "kafka")
    base, packages = (f"{BASE}-kafka", (*REQUIREMENTS, KAFKA)) if kafka else (BASE, REQUIREMENTS)
    return environment(base, packages, more=tuple(pin.requirement for pin in pins), hashes=hashes)


def complaints(deployment: DeploymentSpec) -> Iterator[Complaint]:
    """What is wrong with `handler` and `logging` for the engine that is chosen."""
    yield from requestlog.complaints(deployment.logging)
    handler = deployment.handler
    if handler is None:
        return
    predicts = deployment.engine.name == "predictor"
    if handler.predictor is not None and not predicts:
        hint = "engine: {predictor: {}}, or only a transformer"
        said = f"a predictor stands in the engine's place, and {deployment.engine.name} is chosen"
        yield Complaint(("handler", "predictor"), said, hint)
    for found in environment_complaints("", handler.env, _OURS):
        yield replace(found, path=("handler", *found.path[2:]))
    yield from placeholder_complaints(("handler", "env"), handler.env)


def inner(deployment: DeploymentSpec, slot: Slot) -> Slot:
    """Where the engine itself stands."""
    return slot._replace(address=ENGINE_ADDRESS) if wanted(deployment) else slot


def behind(process: Process, deployment: DeploymentSpec, slot: Slot) -> Process:
    """The handler as the unit's process, with the engine's own as its child; the engine's as it is when there is none."""
    if not wanted(deployment):
        return process
    runtime, sources = _runtime(deployment)
    config = json.dumps(_config(process, deployment, slot), indent=2, ensure_ascii=False) + "\n"
    return process._replace(
        argv=ARGV,
        files=(*process.files, ConfigFile(FILE, config)),
        runtime={**process.runtime, **runtime},
        sources={**process.sources, **sources},
        secrets=_secrets(deployment),
        logs=_logs_to(deployment, "file"),
        talkative=_logs_to(deployment, "journald"),
        stop_signal="SIGTERM",
        stop_timeout_s=DRAIN_S + process.stop_timeout_s + 5.0,
    )


def _logs_to(deployment: DeploymentSpec, sink: str) -> bool:
    return deployment.logging.requests != "off" and deployment.logging.sink == sink


def _secrets(deployment: DeploymentSpec) -> Mapping[str, str]:
    kafka = deployment.logging.kafka if _logs_to(deployment, "kafka") else None
    return {requestlog.PASSWORD: kafka.password.id} if kafka is not None and kafka.password is not None else {}


def _config(process: Process, deployment: DeploymentSpec, slot: Slot) -> Mapping[str, Any]:
    """What deployer/handler reads: this is the contract between the two."""
    handler = deployment.handler
    found = handler.found if handler is not None else None
    return {
        "deployment": deployment.name,
        "replica": f"{deployment.name}/{slot.number}",
        "revision": "{handler_revision}",
        "host": slot.address,
        "port": slot.port,
        "upstream": _upstream(process, slot) if process.argv != ARGV else None,
        "predictor": found.predictor if found else None,
        "transformer": found.transformer if found else None,
        "scripts": "{handler_scripts}",
        "model": "{model}",
        "model_names": [deployment.name, *deployment.endpoint.model_names],
        "paths": list(process.paths),
        "env": dict(handler.env) if handler is not None else {},
        "threads": process.runtime.get("threads") or 16,
        "drain_timeout_s": DRAIN_S,
        "log": requestlog.config(deployment.logging),
    }


def _upstream(process: Process, slot: Slot) -> Mapping[str, Any]:
    return {
        "argv": list(process.argv),
        "host": ENGINE_ADDRESS,
        "port": slot.port,
        "ready_path": process.ready_path,
        "stop_signal": process.stop_signal,
        "stop_timeout_s": process.stop_timeout_s,
    }


def _runtime(deployment: DeploymentSpec) -> tuple[dict[str, Scalar], dict[str, tuple[str | int, ...]]]:
    """What the scripts hold is part of the replica's identity; here are the names that a person sees in a diff."""
    values: dict[str, Scalar] = {}
    sources: dict[str, tuple[str | int, ...]] = {}
    handler = deployment.handler
    for name in ("predictor", "transformer") if handler is not None else ():
        given = getattr(handler, name)
        if given is not None:
            values[f"handler.{name}"], sources[f"handler.{name}"] = given, ("handler", name)
    for name, value in sorted(handler.env.items()) if handler is not None else ():
        values[f"handler.env.{name}"], sources[f"handler.env.{name}"] = value, ("handler", "env", name)
    logged, places = requestlog.runtime(deployment.logging)
    return {**values, **logged}, {**sources, **places}
