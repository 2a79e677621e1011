"""Names and places on a host, made in one place: units, their files, caches, the gateway. Called by engines.launch,
render and plan. A name is for finding and for people; whose a unit is says its header (see render.unit).
"""

import hashlib
import re
from dataclasses import dataclass

from deployer.agent import wire

# The agent knows these too, and imports nothing of ours: they stand with the words that it shares with the controller.
ETC, UNITS, UNIT = wire.ROOT_ETC, wire.UNITS, wire.UNIT
DIGEST = 8  # hex digits of the runtime digest in a name


@dataclass(frozen=True, slots=True)
class UnitName:
    """A replica's unit name taken apart. `digest8`: the first digits of its runtime digest."""

    fleet: str
    deployment: str
    slot: int
    digest8: str


def unit_name(fleet: str, deployment: str, slot: int, digest: str) -> str:
    return f"{UNIT}{fleet}-{deployment}-{slot}-{digest[:DIGEST]}.service"


def parse_unit_name(name: str, fleet: str) -> UnitName | None:
    """None for what is no replica of that fleet by its name; the fleet must be given, since names may hold dashes."""
    found = re.fullmatch(
        rf"{UNIT}{re.escape(fleet)}-(?P<deployment>.+)-(?P<slot>\d+)-(?P<digest>[0-9a-f]{{{DIGEST}}})\.service", name
    )
    if found is None:
        return None
    return UnitName(fleet, found["deployment"], int(found["slot"]), found["digest"])


def unit_path(unit: str) -> str:
    return f"{UNITS}/{unit}"


def unit_directory(fleet: str, deployment: str, slot: int, digest: str) -> str:
    """Where the files of one unit lie (0600 root) that it gets by LoadCredential."""
    return f"{ETC}/{fleet}/{deployment}/{slot}-{digest[:DIGEST]}"


def credentials_directory(unit: str) -> str:
    """What systemd (247 and newer) makes of LoadCredential. `%d` would say the same, but only since 250."""
    return f"/run/credentials/{unit}"


def cache_directory(fleet: str, deployment: str, slot: int) -> str:
    """Below /var/cache, for CacheDirectory=; kept from one revision to the next. It is a link into /var/cache/private."""
    return f"deployer/{fleet}/{deployment}/{slot}"


def logs_directory(fleet: str, deployment: str, slot: int) -> str:
    """Below /var/log, for LogsDirectory=; a link into /var/log/private, like the cache."""
    return f"deployer/{fleet}/{deployment}/{slot}"


def user_name(fleet_id: str, deployment: str) -> str:
    """The dynamic user of a deployment: the same for all its units, so that an old and a new one can share the cache."""
    return "dpl-" + hashlib.sha256(f"{fleet_id}/{deployment}".encode()).hexdigest()[:16]


def gateway_unit_name(fleet: str) -> str:
    return f"{UNIT}{fleet}-gateway.service"


def gateway_directory(fleet: str) -> str:
    """The underscore keeps it apart from a deployment named "gateway"."""
    return f"{ETC}/{fleet}/_gateway"


def base_path(fleet: str) -> str:
    return f"{gateway_directory(fleet)}/00-base.cfg"


def certificate_path(fleet: str) -> str:
    """What clients see. HAProxy finds its key beside it, with ".key" after the name."""
    return f"{gateway_directory(fleet)}/tls.pem"


def peer_path(fleet: str) -> str:
    """The host's own certificate and key for other gateways, made by its agent."""
    return f"{wire.ROOT_STATE}/{fleet}/peer.pem"


def peers_path(fleet: str) -> str:
    """The certificates of the hosts that this gateway lets in and goes to."""
    return f"{gateway_directory(fleet)}/peers.pem"


def route_path(fleet: str, deployment: str) -> str:
    return f"{gateway_directory(fleet)}/10-{deployment}.cfg"


def models_path(fleet: str) -> str:
    """Which deployment a model's name stands for; put together on the host of the deployments' fragments."""
    return f"{gateway_directory(fleet)}/all.names"


def entries_path(fleet: str) -> str:
    """The deployments' models as JSON; put together in the same way."""
    return f"{gateway_directory(fleet)}/all.entries"


def fragment_path(fleet: str, name: str, kind: str) -> str:
    """A deployment's part of such a file; `name` may also be "_first" or "_last", which no deployment is called."""
    order = {"_first": 0, "_last": 99}.get(name, 10)
    return f"{gateway_directory(fleet)}/parts/{order:02d}-{name}.{kind}"


def keys_path(fleet: str, deployment: str) -> str:
    """One line per key, "<sha256 of the key> <name>". Not .cfg, so that HAProxy does not read it as configuration."""
    return f"{gateway_directory(fleet)}/{deployment}.keys"
