"""Host keys: which one a host must show, and what to say when it shows another. Used by `ssh.connection` and `hostkeys`."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from deployer.errors import HostKeyError


@dataclass(frozen=True, slots=True)
class HostKey:
    """`line` is what a host's file holds under `host_key`; `fingerprint` what people compare."""

    type: str
    base64: str

    @property
    def line(self) -> str:
        return f"{self.type} {self.base64}"

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it: SHA256:…"""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def shown(key: paramiko.PKey) -> HostKey:
    return HostKey(key.get_name(), key.get_base64())


class UnknownKey(Exception):
    """The host showed a key, and nothing says which one it should be."""

    def __init__(self, key: HostKey) -> None:
        super().__init__(key.fingerprint)
        self.key = key


class Strict(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Fabric takes any key; we take none that is not known."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownKey(shown(key))


class KnownHosts:
    """The user's and the system's known_hosts files, each read once."""

    def __init__(self) -> None:
        self._read: dict[str, paramiko.HostKeys] = {}

    def keys(self, names: list[str], settings: Mapping[str, Any]) -> dict[str, paramiko.PKey]:
        """The keys known for any of `names`, by type. `settings`: what ~/.ssh/config says for the host."""
        files = _files(settings, "userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        files += _files(settings, "globalknownhostsfile", "/etc/ssh/ssh_known_hosts")
        found: dict[str, paramiko.PKey] = {}
        for file in files:
            for name in names:
                entry = self._load(file).lookup(name)
                for kind in entry or {}:
                    found.setdefault(kind, entry[kind])
        return found

    def _load(self, file: str) -> paramiko.HostKeys:
        if file not in self._read:
            keys = paramiko.HostKeys()
            path = Path(file).expanduser()
            if path.is_file():
                for line in path.read_text(errors="replace").splitlines():
                    _add_line(keys, line.strip())
            self._read[file] = keys
        return self._read[file]


def _files(settings: Mapping[str, Any], name: str, usual: str) -> list[str]:
    return str(settings.get(name, usual)).replace('"', "").split()


def _add_line(keys: paramiko.HostKeys, line: str) -> None:
    """One line of known_hosts. Lines that cannot be read, and markers (@revoked, @cert-authority), trust nothing."""
    if not line or line[0] in "#@":
        return
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
    except (paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
        return
    if entry is not None:
        keys._entries.append(entry)  # HostKeys.add cannot take a hashed name as it stands


def parse(line: str, *, where: str) -> paramiko.PKey:
    """The key of a host's `host_key:`, a type and base64. Raises HostKeyError."""
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"pinned {line}")
    except (paramiko.SSHException, paramiko.hostkeys.InvalidHostKey, ValueError):
        entry = None
    if entry is None or entry.key is None:
        raise HostKeyError("the host_key in its file is no SSH key", where=where, hint=f"deployer hosts trust {where}")
    return entry.key


def not_known(key: HostKey, name: str, where: str) -> HostKeyError:
    return HostKeyError(
        f"the host key of {name} is not known: it shows {key.type} {key.fingerprint}",
        where=where,
        hint=f"compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*.pub), then `deployer hosts trust {where}`",
    )


def another(got: HostKey, wanted: HostKey, name: str, where: str) -> HostKeyError:
    shows, knows = f"{got.type} {got.fingerprint}", f"{wanted.type} {wanted.fingerprint}"
    return HostKeyError(
        f"{name} shows another host key than the one we know: {shows}, not {knows}",
        where=where,
        hint=f"somebody may be in between, or the host was reinstalled; once you know which, `deployer hosts trust {where}`",
    )
