"""What every host with an endpoint has once: the package and the fleet's gateway, with the certificate for its clients and those
of the hosts that its gateway meets.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from deployer.agent.wire import certificate_digest
from deployer.plan.replica import file_json
from deployer.plan.world import World
from deployer.render import gateway, names
from deployer.spec.models import FleetSpec
from deployer.state.observed import Reached
from deployer.state.resources import GATEWAY, Attribute, Kind, Resource

MODE = "0600"  # HAProxy's master reads them as root, its workers never do
NEW = "new"  # in a list of peers: its certificate is not known yet
JOINS = "joins"  # the same, of a host that gets its gateway by this plan and so has a certificate then


def named_gateways(world: World) -> tuple[str, ...]:
    """Hosts that the fleet names as gateways, or that name themselves."""
    fleet = world.fleet
    named = {n for n in fleet.gateway.hosts if n in fleet.hosts} | {n for n, h in fleet.hosts.items() if h.gateway is True}
    return tuple(sorted(named))


def peer_port(fleet: FleetSpec) -> int:
    """Where gateways of other hosts come in."""
    return fleet.gateway.peer_port or fleet.gateway.port + 1


def peers(world: World, host: str, named: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts whose gateways this one meets: a named gateway goes to every host, every host lets the named ones in."""
    others = world.fleet.hosts if host in named else named
    return tuple(sorted(set(others) - {host}))


def host_resources(world: World, host: str, named: tuple[str, ...]) -> list[Resource]:
    """What every host with an endpoint has once: the package and the fleet's gateway. `named`: see `named_gateways`."""
    return [Resource(host, Kind.PACKAGE, "haproxy", payload={"name": "haproxy"}), _gateway(world, host, named)]


def _gateway(world: World, host: str, named: tuple[str, ...]) -> Resource:
    fleet, met = world.fleet, peers(world, host, named)
    tls = fleet.gateway.tls is not None
    address = "*" if fleet.gateway.insecure or tls else "127.0.0.1"
    front = f"*:{peer_port(fleet)}" if met else None
    config = gateway.GatewayConfig(fleet.name, fleet.id, (f"{address}:{fleet.gateway.port}",), tls, front, *_scraped(world))
    unit = names.gateway_unit_name(fleet.name)
    files = [*map(dict, _files(config)), *_certificate(world)]
    attributes = (
        Attribute("port", fleet.gateway.port, at=("deployer", "gateway", "port")),
        Attribute("reachable", _reach(world), at=("deployer", "gateway", "tls" if tls else "insecure")),
        *_certificate_attributes(world, host),
        *_peer_attributes(world, host, met),
        *_metrics_attributes(world),
        Attribute("files", ", ".join(f["sha256"][:8] for f in files if "sha256" in f)),
    )
    payload: dict[str, Any] = {"unit": unit, "config_dir": names.gateway_directory(fleet.name), "port": fleet.gateway.port}
    payload["files"] = files
    if fleet.gateway.tls is not None:
        payload["keys"] = [{"name": "certificate", "secret": fleet.gateway.tls.key.id}]
    if fleet.gateway.metrics is not None:
        payload["metrics_port"] = fleet.gateway.metrics.port
    if met:
        payload["peer_port"] = peer_port(fleet)
        payload["peers"] = {name: _certificate_of(world, name) for name in met}
    return Resource(
        host, Kind.GATEWAY, "gateway", None, attributes, payload, (f"{Kind.PACKAGE}:haproxy",), ("deployer", "gateway")
    )


def _scraped(world: World) -> tuple[str | None, tuple[str, ...]]:
    """Where figures are read, and who else than the host may read them."""
    scrape = world.fleet.gateway.metrics
    if scrape is None:
        return None, ()
    return f"{'*' if scrape.allow else '127.0.0.1'}:{scrape.port}", scrape.allow


def _metrics_attributes(world: World) -> list[Attribute]:
    scrape = world.fleet.gateway.metrics
    if scrape is None:
        return []
    readers = ", ".join(("this host", *scrape.allow))
    return [Attribute("metrics", f"port {scrape.port}, for {readers}", at=("deployer", "gateway", "metrics"))]


def _certificate_of(world: World, host: str) -> str | None:
    """The public certificate with which a host's gateway meets others; None: it has none yet, or was not asked."""
    reached = world.observed.get(host)
    found = reached.probe.get("peer", {}).get("certificate") if isinstance(reached, Reached) else None
    return str(found) if found else None


def _trusted(world: World, host: str) -> dict[str, str]:
    """Host → digest of its certificate, as the gateway on `host` knows it now."""
    reached = world.observed.get(host)
    return dict(reached.probe.get("peer", {}).get("known", {})) if isinstance(reached, Reached) else {}


def _peer_attributes(world: World, host: str, met: tuple[str, ...]) -> list[Attribute]:
    if not met:
        return []
    trusted = _trusted(world, host)

    def known(name: str) -> str:
        text = _certificate_of(world, name)
        return certificate_digest(text) if text else trusted.get(name, NEW)

    at = ("deployer", "gateway", "peer_port")
    said = ", ".join(f"{name} {known(name)}" for name in met)
    return [Attribute("peer port", peer_port(world.fleet), at=at), Attribute("peers", said, at=at)]


def joined(world: World, hosts: dict[str, dict[str, Resource]]) -> None:
    """`hosts`: what is wanted on each, by address. A gateway that met a host before that one had a certificate must learn it in
    the run that makes it, or it would not send there.
    """
    joining = {name for name, found in hosts.items() if GATEWAY in found}

    def known(a: Attribute) -> Attribute:
        if a.name != "peers":
            return a
        said = [word.split(" ") for word in str(a.value).split(", ")]
        return a._replace(value=", ".join(f"{n} {JOINS if d == NEW and n in joining else d}" for n, d in said))

    for name, found in hosts.items():
        if GATEWAY in found and _trusted(world, name):  # one that is new learns them all anyhow
            found[GATEWAY] = found[GATEWAY]._replace(attributes=tuple(known(a) for a in found[GATEWAY].attributes))


def as_it_is(world: World, recorded: Resource) -> Resource:
    """A gateway as it was noted, with the certificates that it really knows: they came from the hosts, not from the plan."""
    if recorded.kind is not Kind.GATEWAY:
        return recorded
    trusted = _trusted(world, recorded.host)

    def now(a: Attribute) -> Attribute:
        if a.name != "peers" or not trusted:
            return a
        listed = [word.partition(" ")[0] for word in str(a.value).split(", ")]
        return a._replace(value=", ".join(f"{name} {trusted.get(name, NEW)}" for name in listed))

    return recorded._replace(attributes=tuple(now(a) for a in recorded.attributes))


def _reach(world: World) -> str:
    if world.fleet.gateway.tls is not None:
        return "TLS, every address"
    return "plain HTTP, every address" if world.fleet.gateway.insecure else "loopback only"


@lru_cache(maxsize=4)  # a fleet has two kinds of gateways at most: the named ones and the others
def _files(config: gateway.GatewayConfig) -> tuple[Mapping[str, str], ...]:
    """What does not depend on the host."""
    return (
        file_json(names.base_path(config.fleet), gateway.base_config(config), MODE),
        file_json(names.unit_path(names.gateway_unit_name(config.fleet)), gateway.gateway_unit(config), "0644"),
        *_fragments(config.fleet),
    )


def _fragments(fleet: str) -> list[dict[str, str]]:
    """What the deployments' fragments stand between."""
    found = gateway.host_fragments()
    return [
        file_json(names.fragment_path(fleet, place, kind), text, MODE)
        for kind, texts in found.items()
        for place, text in zip(("_first", "_last"), texts, strict=True)
    ]


def _certificate(world: World) -> list[dict[str, str]]:
    """The certificate as text, its key only named."""
    tls, found = world.fleet.gateway.tls, world.certificate
    if tls is None or found is None:
        return []
    path = names.certificate_path(world.fleet.name)
    key = {"path": f"{path}.key", "mode": MODE, "owner": "root:root", "secret": tls.key.id}
    return [file_json(path, found.pem, MODE), key]


def _certificate_attributes(world: World, host: str) -> list[Attribute]:
    tls, found = world.fleet.gateway.tls, world.certificate
    if tls is None or found is None:
        return []

    known = ", ".join(found.names[:3]) or "no name"
    said = f"{known}, until {found.not_after[:10]}, {found.sha256[:12]}"
    secret = world.secrets.get((host, tls.key.id))
    return [
        Attribute("certificate", said, at=("deployer", "gateway", "tls", "certificate")),
        Attribute("key certificate", secret, secret=True, at=("deployer", "gateway", "tls", "key")),
    ]
