"""A deployment's address as resources: the package, the fleet's gateway on a host, and the deployment's route on it.

A host that carries the endpoint answers at `/<deployment>/v1`. Where other hosts have replicas too, every one of them
answers for its own at a path that only fronts use.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.engines.base import Slot
from deployer.plan.artifacts import locked_model
from deployer.plan.canaries import CANARY, is_canary
from deployer.plan.gatewayhost import MODE, peer_port
from deployer.plan.replica import file_json
from deployer.plan.roster import Place
from deployer.plan.words import duration, size
from deployer.plan.world import World
from deployer.render import gateway, names
from deployer.spec.models import ApiKey, DeploymentSpec, EndpointSpec
from deployer.state.canonical import digest
from deployer.state.resources import GATEWAY, Attribute, Kind, Resource


def carriers(named: tuple[str, ...], hosts: Sequence[str]) -> tuple[str, ...]:
    """Hosts that carry the endpoint of a deployment with replicas on `hosts`: the ones that are named as gateways, else
    the one host that has the replicas; none when they stand on several and nobody is named.
    """
    distinct = sorted(set(hosts))
    return named or (tuple(distinct) if len(distinct) == 1 else ())


def resource(
    world: World,
    spec: DeploymentSpec,
    host: str,
    places: Sequence[Place],
    replicas: Sequence[Resource],
    gateways: Sequence[str],
    runs: bool,
    *,
    leaving: bool = False,
) -> Resource:
    """What one host needs to answer for one deployment. `leaving`: other gateways are told to send nothing more here."""
    fleet, carries = world.fleet, host in gateways
    elsewhere = {p.host for p in places} - {host}
    others_come = bool(replicas) and any(g != host for g in gateways)
    tried = next((r for r in replicas if is_canary(r) and len(replicas) > 1), None)
    first = replicas[0].payload if replicas else _facts(world, spec, places)
    route = gateway.Route(
        fleet_id=fleet.id,
        deployment=spec.name,
        engines=tuple(_engine(spec, r) for r in replicas if r is not tried),
        paths=tuple(first["paths"]),
        keys_path=names.keys_path(fleet.name, spec.name) if spec.endpoint.keys and carries else None,
        open=spec.endpoint.open,
        stopped=not runs,
        fronts=_fronts(world, spec, host, places) if carries and elsewhere else (),
        public=carries,
        peers=others_come or (carries and bool(elsewhere) and bool(replicas)),
        timeout_s=spec.endpoint.timeout,
        ready_path=first["ready_path"],
        log=spec.logging.requests != "off",
        limits=_limits(spec),
        affinity=spec.endpoint.affinity,
        leaving=leaving,
        model_names=other_names(spec),
        metrics=fleet.gateway.metrics is not None,
        entries_path=names.entries_path(fleet.name),
        canary=_engine(spec, tried) if tried is not None else None,
        share=int(spec.rollout.canary.share.removesuffix("%")) if tried is not None else 0,
    )
    unit = names.gateway_unit_name(fleet.name)
    files = _files(fleet.name, route)
    payload: dict[str, Any] = {
        "unit": unit,
        "config_dir": names.gateway_directory(fleet.name),
        "keys_path": names.keys_path(fleet.name, spec.name),
        "keys": [_key(k) for k in spec.endpoint.keys] if carries else [],
        "files": files,
        "check": _check(world, spec, first["inference"]) if carries and runs else None,
        "carries": carries,
        "models": sorted({spec.name, *other_names(spec)}) if carries else [],
    }
    needs = (GATEWAY, *(r.address for r in replicas))
    attributes = _attributes(world, spec, host, route, digest([f["sha256"] for f in files], 12))
    at = (f"deployment:{spec.name}", "endpoint")
    return Resource(host, Kind.ENDPOINT, spec.name, spec.name, attributes, payload, needs, at)


def other_names(spec: DeploymentSpec) -> tuple[str, ...]:
    """What clients may send as the model besides the deployment's name."""
    return (*spec.endpoint.model_names, *(adapter.name for adapter in spec.adapters))


def _shared(spec: DeploymentSpec, tried: gateway.Server | None) -> tuple[Attribute, ...]:
    if tried is None:
        return ()
    at = (f"deployment:{spec.name}", "rollout", "canary", "share")
    return (Attribute(CANARY, f"{spec.rollout.canary.share} to port {tried.port}", at=at),)


def _files(fleet: str, route: gateway.Route) -> list[dict[str, str]]:
    """The route itself, then its parts of what all deployments share."""
    parts = sorted(gateway.fragments(route).items())
    return [
        file_json(names.route_path(fleet, route.deployment), gateway.deployment_config(route), MODE),
        *[file_json(names.fragment_path(fleet, route.deployment, kind), text, MODE) for kind, text in parts],
    ]


def _engine(spec: DeploymentSpec, replica: Resource) -> gateway.Server:
    return gateway.Server(f"replica-{replica.payload['slot']}", "127.0.0.1", replica.payload["port"], _at_once(spec))


def _at_once(spec: DeploymentSpec) -> int | None:
    """How many requests a replica gets at a time; what is more waits in front, for whichever replica is free first."""
    return spec.batch.max_size if spec.endpoint.queue else None


def _limits(spec: DeploymentSpec) -> gateway.Limits:
    queue = spec.endpoint.queue
    return gateway.Limits(spec.endpoint.rate_limit, spec.endpoint.max_body, (queue.size, queue.timeout) if queue else None)


def _fronts(world: World, spec: DeploymentSpec, host: str, places: Sequence[Place]) -> tuple[gateway.Server, ...]:
    """The gateways of all hosts with a replica, this one's own on loopback."""
    fleet, each = world.fleet, _at_once(spec)
    own, others = names.peer_path(fleet.name), names.peers_path(fleet.name)

    def front(name: str, replicas: int) -> gateway.Server:
        address = "127.0.0.1" if name == host else fleet.hosts[name].address or "127.0.0.1"
        return gateway.Server(name, address, peer_port(fleet), each * replicas if each else None, own, others)

    replicas = Counter(p.host for p in places)
    return tuple(front(name, replicas[name]) for name in serving(world, places))


def serving(world: World, places: Sequence[Place]) -> list[str]:
    """Hosts that a gateway sends to. A drained host whose replicas cannot move, since it does not answer us, is left out
    as long as there is another one.
    """
    hosts = {p.host for p in places}
    drained = {name for name in hosts if name in world.fleet.hosts and world.fleet.hosts[name].state == "drained"}
    return sorted(hosts - drained or hosts)


def _facts(world: World, spec: DeploymentSpec, places: Sequence[Place]) -> dict[str, Any]:
    """What a host without a replica must know of one: the paths a client may reach."""
    engine = world.engines[spec.engine.name]
    first = places[0]
    locked = locked_model(world.locked, spec)
    process = engine.process(spec, locked, Slot(first.host, first.number, first.port, first.gpus, ""))
    return {"paths": list(process.paths), "ready_path": process.ready_path, "inference": dict(process.inference)}


def _key(key: ApiKey) -> dict[str, str]:
    if key.sha256 is not None:
        return {"name": key.name, "sha256": key.sha256}
    assert key.secret is not None
    return {"name": key.name, "secret": key.secret.id}


def _check(world: World, spec: DeploymentSpec, inference: Mapping[str, Any]) -> dict[str, Any]:
    """The request that proves the endpoint: through the gateway, with the host's own probe key."""
    scheme = "https" if world.fleet.gateway.tls is not None else "http"
    url = f"{scheme}://127.0.0.1:{world.fleet.gateway.port}/{spec.name}{inference['path']}"
    return {"url": url, "body": inference["body"], "deadline_s": 60.0}


def _attributes(world: World, spec: DeploymentSpec, host: str, route: gateway.Route, text: str) -> tuple[Attribute, ...]:
    document, endpoint = f"deployment:{spec.name}", spec.endpoint
    whole = (document, "endpoint")
    found = [
        Attribute("path", f"/{spec.name}/v1", at=whole),
        Attribute("answers", "503, stopped" if route.stopped else "requests", at=(document, "state")),
        Attribute("servers", len(route.fronts or route.engines), at=(document, "replicas")),
        Attribute("replicas on port", ", ".join(str(s.port) for s in route.engines) or None, at=whole),
        Attribute("open", endpoint.open, at=(document, "endpoint", "open")),
        Attribute("timeout", endpoint.timeout, at=(document, "endpoint", "timeout")),
    ]
    found += [
        Attribute(name.replace("_", " "), value, at=(document, "endpoint", name))
        for name, value in _limit_words(endpoint).items()
    ]
    for i, key in enumerate(endpoint.keys):
        at = (document, "endpoint", "keys", i)
        if key.secret is not None:
            value = world.secrets.get((host, key.secret.id))
            found.append(Attribute(f"key {key.name}", value, secret=True, at=at))
        else:
            found.append(Attribute(f"key {key.name}", (key.sha256 or "")[:12], at=at))
    found.append(Attribute("files", text[:12], at=whole))
    return (*found, *_shared(spec, route.canary))


def _limit_words(endpoint: EndpointSpec) -> dict[str, str]:
    """What is limited, as a person writes it; what is not is left out."""
    rate, queue = endpoint.rate_limit, endpoint.queue
    found = {
        "rate_limit": f"{rate[0]} in {duration(rate[1])}" if rate else None,
        "max_body": size(endpoint.max_body) if endpoint.max_body else None,
        "queue": f"{queue.size}, {duration(queue.timeout)}" if queue else None,
        "affinity": endpoint.affinity,
    }
    return {name: value for name, value in found.items() if value is not None}
