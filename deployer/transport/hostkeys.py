"""The key a host shows, for `deployer hosts trust`: a person compares the fingerprint and says yes."""

from pathlib import Path
from typing import TYPE_CHECKING

from deployer.spec.models import FleetSpec, HostSpec

if TYPE_CHECKING:
    from deployer.transport.ssh.keys import HostKey


def fetch(address: str, port: int = 22, *, timeout_s: float = 10.0) -> tuple[str, str, str]:
    """(type, base64, "SHA256:…" fingerprint) of the key shown at this address. Raises Unreachable."""
    from deployer.transport.ssh import SshTransport

    host = HostSpec(name="unnamed", address=address, port=port)
    key = SshTransport(Path(), {}, lambda _: None).host_key(host, timeout_s=timeout_s)
    return key.type, key.base64, key.fingerprint


def fetch_for(fleet_root: Path, fleet: FleetSpec, name: str, *, timeout_s: float = 10.0) -> "HostKey":
    """The key a host of the fleet shows, asked through its jump host where it has one."""
    from deployer.transport.ssh import SshTransport

    return SshTransport(fleet_root, fleet.hosts, lambda _: None).host_key(fleet.hosts[name], timeout_s=timeout_s)
