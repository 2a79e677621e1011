"""From an engine's Process to what is written on a host: unit, files, digest. Called by plan; pure.

Placeholders are filled in here and nowhere else. Engines refuse values from the YAML that hold one (`placeholder_complaints`), so
whatever is replaced is the engine's own text.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from deployer.engines.base import Complaint, Process, Slot
from deployer.render import names
from deployer.render.unit import UnitSpec, render_unit, unit_files
from deployer.spec.models import DeploymentSpec
from deployer.state.canonical import digest

#: Of a process with our handler before it: its archive, its environment, the scripts, the revision.
HANDLER = ("{handler}", "{handler_env}", "{handler_scripts}", "{handler_revision}", "{handler_logs}")
PLACEHOLDERS = ("{env}", "{model}", "{credentials}", "{cache}", "{serve}", *HANDLER)


class Launch(NamedTuple):
    """One replica as text. `files` are (path, content), to be written 0600 root before the unit starts."""

    unit: str
    path: str
    text: str
    directory: str
    files: tuple[tuple[str, str], ...]
    runtime_digest: str
    secrets: tuple[tuple[str, str], ...] = ()  # (path, the secret's id), written in the same way


def launch(
    process: Process,
    deployment: DeploymentSpec,
    slot: Slot,
    *,
    fleet: str,
    fleet_id: str,
    identity: Sequence[str],
    paths: Mapping[str, str],
) -> Launch:
    """`identity`: what environment and model are, by content; `paths`: where they lie here ("env", "model", "serve")."""
    runtime = runtime_digest(process, deployment, slot, fleet_id=fleet_id, identity=identity)
    unit = names.unit_name(fleet, deployment.name, slot.number, runtime)
    directory = names.unit_directory(fleet, deployment.name, slot.number, runtime)
    values = {
        **{f"{{{name}}}": path for name, path in paths.items()},
        "{credentials}": names.credentials_directory(unit),
        **({"{handler_logs}": f"/var/log/{names.logs_directory(fleet, deployment.name, slot.number)}"} if process.logs else {}),
        "{cache}": f"/var/cache/{names.cache_directory(fleet, deployment.name, slot.number)}",
    }
    spec = UnitSpec(
        fleet=fleet,
        fleet_id=fleet_id,
        deployment=deployment.name,
        slot=slot.number,
        runtime_digest=runtime,
        argv=tuple([filled(word, values) for word in process.argv]),
        port=slot.port,
        ready_path=process.ready_path,
        start_timeout_s=process.start_timeout_s,
        stop_timeout_s=process.stop_timeout_s,
        stop_signal=process.stop_signal,
        description=deployment.description,
        env={name: filled(value, values) for name, value in process.env.items()},
        credentials=tuple([(name, f"{directory}/{name}") for name in (*(file.name for file in process.files), *process.secrets)]),
        logs=process.logs,
        talkative=process.talkative,
        gpus=slot.gpus,
        memory=deployment.resources.memory,
        cpu=deployment.resources.cpu,
    )
    files = tuple((f"{directory}/{file.name}", filled(file.content, values)) for file in process.files)
    secrets = tuple((f"{directory}/{name}", secret) for name, secret in process.secrets.items())
    return Launch(unit, names.unit_path(unit), render_unit(spec), directory, files + unit_files(spec), runtime, secrets)


def runtime_digest(process: Process, deployment: DeploymentSpec, slot: Slot, *, fleet_id: str, identity: Sequence[str]) -> str:
    """What a running process is: settings, artifacts, devices, limits. Not our own wording of them: a newer deployer
    writes a unit differently without restarting it.
    """
    return digest(
        {
            "fleet": fleet_id,
            "deployment": deployment.name,
            "engine": deployment.engine.name,
            "runtime": dict(process.runtime),
            "identity": list(identity),
            "port": slot.port,
            "gpus": list(slot.gpus),
            "memory": deployment.resources.memory,
            "cpu": deployment.resources.cpu,
        }
    )


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders, such as "{model}", replaced."""
    if "{" not in text:
        return text
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def placeholder_complaints(path: tuple[str | int, ...], value: Any) -> Iterator[Complaint]:
    """A text of the YAML that holds one of ours would be filled in, so it cannot be passed on as it is."""
    if isinstance(value, str):
        for placeholder in PLACEHOLDERS:
            if placeholder in value:
                yield Complaint(path, f"{placeholder} is a word of deployer's own and cannot be passed on")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from placeholder_complaints((*path, str(key)), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from placeholder_complaints((*path, index), inner)
