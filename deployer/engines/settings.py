"""Fields and checks that several engines share. Called by the engines."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import StringConstraints

from deployer.engines.base import Complaint
from deployer.spec.models import DeploymentSpec
from deployer.state.canonical import digest
from deployer.state.needs import EnvironmentNeed

Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9A-Za-z]+)*([+][0-9A-Za-z.]+)?$")]
#: As uv reads it in a requirements file; an option or a second line would be something else.
Requirement = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][^\r\n]*$")]

#: The CPU build where an index or a folder of wheels has it; vLLM for CPUs and CTranslate2's converter need the same.
TORCH_CPU = "torch==2.13.0"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(?i)(^|_)(api_?key|token|secret|password|passwd|credentials?)(_|$)")


def environment(
    base: str,
    requirements: Sequence[str],
    *,
    more: Sequence[str] = (),
    exclude: Sequence[str] = (),
    always_exclude: Sequence[str] = (),
    index_url: str | None = None,
    hashes: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> EnvironmentNeed:
    """An environment by its usual name; what the user adds or leaves out makes it another one, with another name."""
    custom = [sorted(more), sorted(exclude), index_url, *([sorted(hashes)] if hashes else [])]
    name = f"{base}-{digest(custom, 8)}" if more or exclude or index_url else base
    return EnvironmentNeed(name, (*requirements, *more), (*always_exclude, *exclude), index_url, ">=3.10", hashes)


def environment_complaints(engine: str, env: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[Complaint]:
    """`env:` of an engine. `ours` are variables that deployer sets or forbids, and why."""
    for name, value in env.items():
        path = ("engine", engine, "env", name)
        if not _NAME.fullmatch(name):
            yield Complaint(path, f"{name!r} is not a name for an environment variable")
        elif name in ours:
            yield Complaint(path, f"env may not hold {name}", ours[name])
        elif _SECRET.search(name):
            yield Complaint(path, f"{name} looks like a secret, and the environment of a process is no place for one")
        elif any((ord(c) < 0x20 and c not in "\n\t") or ord(c) == 0x7F for c in value):
            yield Complaint(path, f"{name} holds a control character, which systemd drops")


def wanted_gpus(deployment: DeploymentSpec, device: str) -> int:
    """Of a replica, for an engine that runs on both."""
    given = deployment.placement.gpus
    return given if given is not None else int(device == "cuda")


def device_complaints(device: str, gpus: int) -> Iterator[Complaint]:
    """`device:` of an engine that runs on both, against the GPUs that a replica gets."""
    if device == "cpu" and gpus:
        yield Complaint(("placement", "gpus"), f"device: cpu uses no GPU, not {gpus}", "device: auto takes the GPUs it is given")
    if device == "cuda" and not gpus:
        yield Complaint(("placement", "gpus"), "device: cuda wants a GPU", "placement: {gpus: 1}")
