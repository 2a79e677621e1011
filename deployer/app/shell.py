"""The command that opens a shell on a host: the user's own ssh, told what the host's file says. Used by the terminal UI."""

import os
import shlex
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.transport.ssh.route import Hop, hop_of

#: Keys that the files of hosts pin, for ssh to read. Below the fleet; written anew each time.
KNOWN_HOSTS = ".deployer/known_hosts"


def shell_command(fleet: Fleet, name: str) -> list[str]:
    """Raises UsageError for a host that no file names, Unreachable when its jump hosts lead in a circle."""
    fleet.known(hosts=[name])
    host = fleet.spec.hosts[name]
    if host.connection == "local":
        return [os.environ.get("SHELL") or "/bin/sh", "-i"]
    hop = hop_of(host, fleet.spec.hosts, fleet.root)
    known = _write_known(fleet.root, hop)
    return [*_ssh(hop, known), _login(hop)]


def _ssh(hop: Hop, known: Path | None) -> list[str]:
    words = ["ssh"]
    if hop.port is not None:
        words += ["-p", str(hop.port)]
    if hop.identity is not None:
        words += ["-i", str(hop.identity)]
    if hop.pinned is not None and known is not None:
        words += ["-o", f'UserKnownHostsFile="{str(known).replace("%", "%%")}"', "-o", "StrictHostKeyChecking=yes"]
    if hop.jump is not None:
        way = shlex.join(_ssh(hop.jump, known)).replace("%", "%%")  # ssh takes a single % for its own
        way += f" -W [%h]:%p {shlex.quote(_login(hop.jump))}"
        words += ["-o", f"ProxyCommand={way}"]
    return words


def _login(hop: Hop) -> str:
    return f"{hop.user}@{hop.address}" if hop.user else hop.address


def _write_known(root: Path, hop: Hop) -> Path | None:
    """The pinned keys of all hops on the way; None when none is pinned."""
    lines = []
    one: Hop | None = hop
    while one is not None:
        if one.pinned is not None:
            place = one.address if one.port in (None, 22) else f"[{one.address}]:{one.port}"
            lines.append(f"{place} {one.pinned}\n")
        one = one.jump
    if not lines:
        return None
    file = root / KNOWN_HOSTS
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(lines))
    return file
