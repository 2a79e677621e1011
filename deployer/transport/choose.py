"""Which way leads to a host: SSH, or this machine itself. Called by `app`, which passes the result on to execute."""

from pathlib import Path

from deployer.spec.models import FleetSpec, HostSpec
from deployer.transport.base import Connection
from deployer.transport.bootstrap import Archive, Passwords


class FleetTransport:
    """Implements transport.base.Transport for hosts of every kind of connection."""

    def __init__(self, fleet_root: Path, fleet: FleetSpec, passwords: Passwords, *, archive: Archive | None = None) -> None:
        from deployer.transport.local import LocalTransport
        from deployer.transport.ssh import SshTransport

        self._ssh = SshTransport(fleet_root, fleet.hosts, passwords, archive=archive)
        self._local = LocalTransport(passwords, archive=archive)

    def connect(self, host: HostSpec, *, timeout_s: float) -> Connection:
        if host.connection == "local":
            return self._local.connect(host, timeout_s=timeout_s)
        return self._ssh.connect(host, timeout_s=timeout_s)


def open_transport(fleet_root: Path, fleet: FleetSpec, passwords: Passwords) -> FleetTransport:
    """The fleet's transport. `passwords(host name)` is asked when sudo asks; None: there is none. Opens nothing yet."""
    return FleetTransport(fleet_root, fleet, passwords)
