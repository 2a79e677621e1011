"""API keys of an endpoint: made, listed and revoked in the deployment's file. A key exists in the clear only in what `create`
returns; the YAML gets its SHA-256. Used by `deployer keys` and the terminal UI. Nothing works before it is applied.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.app import checking
from deployer.app.keyfile import add_key, remove_key
from deployer.errors import DeployerError, UsageError

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet


@dataclass(frozen=True, slots=True)
class NewKey:
    """`key` is shown once, by whoever asked for it. `file`: the deployment's, from the fleet's folder. `written`: False when
    its line must be added by hand, since the file is written in a special way.
    """

    deployment: str
    name: str
    sha256: str
    file: Path
    written: bool
    key: str = field(repr=False)

    @property
    def line(self) -> str:
        """Of `endpoint.keys`."""
        return f"- {{name: {self.name}, sha256: {self.sha256}}}"


def create(fleet: "Fleet", deployment: str, name: str) -> NewKey:
    """Raises UsageError for a name that cannot be one, or that there is already, and for an endpoint that is open to all."""
    fleet.known(deployments=[deployment])
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) or len(name) > 40:
        raise UsageError(f"{name!r} cannot be the name of a key", hint="a-z, 0-9 and -, at most 40")
    if name in names(fleet, deployment):
        raise UsageError(f"{deployment} has a key {name} already", hint=f"deployer keys revoke {deployment} {name}")
    if fleet.spec.deployments[deployment].endpoint.open:
        what = f"the endpoint of {deployment} is open to everybody: it has no keys"
        raise UsageError(what, where=str(file(fleet, deployment).relative_to(fleet.root)), hint="take out open: true first")
    key = f"sk-{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    path = file(fleet, deployment)
    edited = add_key(path.read_text(encoding="utf-8"), name, digest)
    written = edited is not None and _write(fleet.root, path, edited)
    return NewKey(deployment, name, digest, path.relative_to(fleet.root), written, key)


def revoke(fleet: "Fleet", deployment: str, name: str) -> Path:
    """Takes it out of the file, and returns which. Raises UsageError when there is none, DeployerError when a person must."""
    fleet.known(deployments=[deployment])
    if name not in names(fleet, deployment):
        raise UsageError(f"{deployment} has no key {name}", hint=f"deployer keys list {deployment}")
    path = file(fleet, deployment)
    edited = remove_key(path.read_text(encoding="utf-8"), name)
    shown = path.relative_to(fleet.root)
    if edited is None or not _write(fleet.root, path, edited):
        raise DeployerError(
            f"the key {name} must be taken out by hand", where=str(shown), hint="it is written there in a special way"
        )
    return shown


def names(fleet: "Fleet", deployment: str) -> list[str]:
    return [key.name for key in fleet.spec.deployments[deployment].endpoint.keys]


def file(fleet: "Fleet", deployment: str) -> Path:
    return fleet.root / fleet.loaded.origins[f"deployment:{deployment}"]


def _write(root: Path, path: Path, edited: str) -> bool:
    """False, with the file as it was, when the fleet is not valid afterwards."""
    before = path.read_text(encoding="utf-8")
    path.write_text(edited, encoding="utf-8")
    try:
        checking.load(root)
    except DeployerError:
        path.write_text(before, encoding="utf-8")
        return False
    return True
