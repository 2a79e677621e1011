"""Where a host is and how to get there: its own words, completed by ~/.ssh/config. Used by `ssh.connection`.

A host's `jump` is another host of the fleet or user@address; without one, ProxyJump and ProxyCommand of the user's
configuration count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deployer.errors import Unreachable
from deployer.spec.models import HostSpec


@dataclass(frozen=True, slots=True)
class Hop:
    """One machine on the way. `where`: the name of the host it is for. None: ~/.ssh/config or the usual value."""

    where: str
    address: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    pinned: str | None = None  # "ssh-ed25519 AAAA…"
    jump: "Hop | None" = None


def hop_of(host: HostSpec, hosts: Mapping[str, HostSpec], root: Path, *, seen: tuple[str, ...] = ()) -> Hop:
    """The way to a host of the fleet. Raises Unreachable when jump hosts lead in a circle."""
    if host.name in seen:
        raise Unreachable(f"its jump hosts lead in a circle: {' → '.join((*seen, host.name))}", where=seen[0], kind="refused")
    if host.address is None:
        raise Unreachable("it has no address", where=host.name, kind="refused")
    jump = None
    if host.jump and host.jump in hosts:
        jump = hop_of(hosts[host.jump], hosts, root, seen=(*seen, host.name))
    elif host.jump:
        jump = parse_hop(host.jump, where=host.name)
    return Hop(
        where=host.name,
        address=host.address,
        user=host.user,
        port=host.port,
        identity=root / Path(host.identity_file).expanduser() if host.identity_file else None,
        pinned=host.host_key,
        jump=jump,
    )


def parse_hop(text: str, *, where: str) -> Hop:
    """[user@]address[:port], with brackets around an IPv6 address that has a port."""
    user, at, rest = text.strip().removeprefix("ssh://").rpartition("@")
    address, colon, port = rest.rpartition(":")
    if rest.startswith("[") and rest.endswith("]"):
        address, colon, port = rest, "", ""
    if not colon or not port.isdigit() or (":" in address and not address.startswith("[")):
        address, port = rest if not rest.startswith("[") else address or rest, ""
    return Hop(where=where, address=address.strip("[]"), user=user if at else None, port=int(port) if port else None)


def configured_jump(hop: Hop, settings: Mapping[str, Any]) -> Hop | None:
    """The way through ProxyJump of ~/.ssh/config: the last of the list is the nearest to the host."""
    names = [name for name in str(settings.get("proxyjump", "none")).split(",") if name.strip() and name.strip() != "none"]
    way: Hop | None = None
    for name in names:
        way = replace(parse_hop(name, where=hop.where), jump=way)
    return way
