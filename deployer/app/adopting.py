"""A unit that somebody made by hand, as a file of the fleet: what is understood is written, what is not is said. Called by
Fleet.adopt. Nothing on the host is touched.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from deployer.app import checking, vllmflags
from deployer.errors import DeployerError, Problem, Refused, SpecError, Unreachable, UsageError

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet

_TIDY = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Adopted:
    """`text`: the file as it would be; `left`: what a person must decide; `problems`: what the reader says of it. `secrets`:
    names only.
    """

    name: str
    host: str
    unit: str
    file: str
    text: str
    left: tuple[str, ...]
    secrets: tuple[str, ...]
    problems: tuple[Problem, ...]
    active: bool

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": self.host,
            "unit": self.unit,
            "file": self.file,
            "text": self.text,
            "left": list(self.left),
            "secrets": list(self.secrets),
            "problems": [problem.message for problem in self.problems],
            "active": self.active,
        }


def look(fleet: "Fleet", host: str, unit: str, name: str | None = None) -> Adopted:
    """Raises Refused for a unit that is neither vLLM nor our own server, UsageError for a name that is taken."""
    fleet.known(hosts=(host,))
    unit = service(unit)
    said = _ask(fleet, host, unit)
    name = name or _name(unit)
    if name in fleet.spec.deployments:
        raise UsageError(f"there is a deployment {name} already", hint=f"deployer adopt {host} {unit} --name ANOTHER")
    argv = [str(word) for word in said.get("argv", ())]
    body, left = _understood(said, argv, unit, host)
    secrets = tuple(str(one) for one in said.get("secrets", ()))
    left += _also(said, secrets)
    data = {"name": name, "description": f"was {unit} on {host}", **body, "placement": {"hosts": [host]}}
    text = _text(data, unit, host, left)
    file = f"deployments/{name}.yaml"
    return Adopted(name, host, unit, file, text, tuple(left), secrets, _problems(fleet, file, text), bool(said.get("active")))


def service(unit: str) -> str:
    return unit if unit.endswith(".service") else f"{unit}.service"


def write(fleet: "Fleet", found: Adopted) -> None:
    """A new file; nothing is overwritten."""
    path = fleet.root / found.file
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(found.text)
    except FileExistsError:
        raise UsageError("there is such a file already", where=found.file, hint="--name chooses another") from None
    except OSError as error:
        raise DeployerError(f"it cannot be written: {error.strerror}", where=found.file) from None


def _ask(fleet: "Fleet", host: str, unit: str) -> Mapping[str, Any]:
    channel = fleet.pool.connection(host).open("unit", {"fleet": {"id": fleet.spec.id, "name": fleet.spec.name}, "unit": unit})
    try:
        found = [line for line in channel.lines() if line.get("type") == "unit"]
    finally:
        channel.close()
    if not found:
        raise Unreachable("the agent ended without an answer", where=host)
    return found[-1]


def _name(unit: str) -> str:
    return _TIDY.sub("-", unit.removesuffix(".service").lower()).strip("-")[:40].strip("-") or "adopted"


def _understood(said: Mapping[str, Any], argv: Sequence[str], unit: str, host: str) -> tuple[dict[str, Any], list[str]]:
    if vllmflags.is_vllm(argv):
        return _vllm(said, argv)
    if isinstance(said.get("config"), Mapping):
        return _ctranslate2(said["config"])
    started = " ".join(argv) or "nothing"
    what = f"{unit} runs neither vLLM nor deployer's CTranslate2 server"
    raise Refused(what, where=host, hint=f"it starts: {started[:200]}")


def _vllm(said: Mapping[str, Any], argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    found = vllmflags.read(argv)
    left = list(found.left)
    if found.model is None or vllmflags.HIDDEN in found.model:
        left.append("the model: it is named neither in the command nor by --model")
    model: dict[str, Any] = {"host_path" if (found.model or "").startswith("/") else "repo": found.model or "ORG/NAME"}
    if found.revision:
        model["revision"] = found.revision
    gpus = [one for one in str(said.get("values", {}).get("CUDA_VISIBLE_DEVICES", "")).split(",") if one.strip()]
    wanted = int(found.engine.get("tensor_parallel", 1)) * int(found.engine.get("pipeline_parallel", 1))
    if gpus:
        chosen = f"deployer chooses {wanted} of the host's GPUs (gpus: in its file says which it may)"
        left.append(f"CUDA_VISIBLE_DEVICES={','.join(gpus)}: {chosen}")
    body: dict[str, Any] = {"model": model, "engine": {"vllm": found.engine}}
    if found.batch:
        body["batch"] = found.batch
    if found.names:
        body["endpoint"] = {"model_names": found.names}
    return body, left


def _ctranslate2(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    engine = {key: config[key] for key in ("compute_type", "max_model_len", "inter_threads", "intra_threads") if config.get(key)}
    engine = {key: value for key, value in engine.items() if (key, value) != ("compute_type", "default")}
    body: dict[str, Any] = {"model": {"host_path": str(config.get("model_dir", "/PATH"))}, "engine": {"ctranslate2": engine}}
    if config.get("sampling"):
        body["sampling"] = dict(config["sampling"])
    if config.get("max_batch_size"):
        body["batch"] = {"max_size": config["max_batch_size"]}
    if config.get("model_names"):
        body["endpoint"] = {"model_names": list(config["model_names"])}
    taken = {"model_dir", "sampling", "max_batch_size", "model_names", *engine}
    left = [
        f"{key}: {value} in its configuration"
        for key, value in sorted(config.items())
        if key not in taken and value not in (None, "")
    ]
    return body, left


def _also(said: Mapping[str, Any], secrets: Sequence[str]) -> list[str]:
    """What stands around the command."""
    left = [f"{name}: looks like a secret, its value was not read" for name in secrets if not name.startswith("-")]
    plain = set(said.get("variables", ())) - set(secrets) - set(said.get("values", {}))
    left += [f"the variable {name}: say it in engine.vllm.env, if it is still needed" for name in sorted(plain)]
    if said.get("user"):
        left.append(f"User={said['user']}: deployer's units have a user of their own, which must be able to read the model")
    known = {
        "Type",
        "Restart",
        "RestartSec",
        "KillSignal",
        "KillMode",
        "TimeoutStartSec",
        "TimeoutStopSec",
        "WorkingDirectory",
        "Group",
    }
    left += [f"{name}= in [Service]" for name in said.get("other", ()) if name not in known]
    left.append("keys: without endpoint.keys or endpoint: {open: true} it answers on its own host alone")
    return left


def _text(data: Mapping[str, Any], unit: str, host: str, left: Sequence[str]) -> str:
    head = [
        f"# Read from {unit} on {host} by `deployer adopt`. Not taken over:",
        *(f"#   {' '.join(one.split())}" for one in left),
    ]
    body = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return "\n".join(head) + "\n" + body


def _problems(fleet: "Fleet", file: str, text: str) -> tuple[Problem, ...]:
    try:
        checking.load(fleet.root, {file: text})
    except SpecError as error:
        return tuple(error.problems)
    return ()
