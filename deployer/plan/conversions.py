"""A model as an engine wants it: as it is published, or converted from that. Called by serving and desired. Pure.

A conversion is done once for the whole fleet: by one of the hosts that want it, from which the others copy it; by nobody when a
host that answered has it already (decisions/0036). So what a host that lacks one does is said by `share`, once the wishes of all
hosts are known.
"""

from collections.abc import Mapping
from typing import Any

from deployer.engines.base import Conversion
from deployer.plan.artifacts import Artifacts, Lacking, complete, engines_root, models_root
from deployer.plan.environments import HUB, environment
from deployer.plan.model import Refusal
from deployer.plan.modelfiles import folder, name_of, published
from deployer.plan.preflight.disk import SPARE_BYTES
from deployer.plan.target import fitting_target
from deployer.plan.words import size
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.canonical import digest
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed
from deployer.state.observed import Reached
from deployer.state.resources import Attribute, Kind, Resource


def model(
    world: World,
    spec: DeploymentSpec,
    host: HostSpec,
    reached: Reached,
    locked: LockedModel,
    conversion: Conversion | None,
    out: Artifacts,
) -> Resource | None:
    """What the engine serves. Of one that is to be converted and is not there yet, only name and place hold: see `share`."""
    if conversion is None:
        return published(world, spec, host, reached, locked, out)
    lacking = Lacking(spec, locked, conversion)
    made = _converted(world, host, lacking)
    if made.payload["path"] in complete(reached):
        return out.resources.setdefault(made.address, made)
    out.lacking.setdefault(made.name, lacking)
    return made


def share(world: World, by_host: Mapping[str, Artifacts], makers: Mapping[str, str]) -> dict[str, str]:
    """Puts each lacking model into `by_host`, as one that is converted or as one that is copied. `makers` (model → host that
    converts it): as decided before. Returns what holds now.
    """
    wishes: dict[str, list[str]] = {}
    for host in sorted(by_host):
        for name in by_host[host].lacking:
            if f"{Kind.MODEL}:{name}" in by_host[host].due:  # what is stopped has nothing made for it, and so gives nothing
                wishes.setdefault(name, []).append(host)
    having = _having(world, wishes) if wishes else {}
    decided = dict(makers)
    for name, hosts in sorted(wishes.items()):
        if name not in having and name not in decided:
            maker = _maker(world, hosts, {host: by_host[host] for host in hosts}, name)
            if maker is None:
                continue
            decided[name] = maker
        for host in hosts:
            lacking, out = by_host[host].lacking[name], by_host[host]
            if name in having:
                _put(out, _copied(world, host, lacking, *having[name]))
            elif host == decided[name]:
                _put(out, _made_here(world, host, lacking, out))
            else:
                giver = world.fleet.hosts[decided[name]]
                _put(out, _copied(world, host, lacking, giver.name, f"{models_root(giver)}/{name}", None))
    return decided


def memory_needed(locked: LockedModel, conversion: Conversion | None) -> int:
    """Of the converter at its peak, in bytes; 0 for what is served as it is published."""
    return 0 if conversion is None else int(locked.bytes * conversion.memory_factor) + conversion.memory_base


def _put(out: Artifacts, resource: Resource | None) -> None:
    if resource is not None:
        out.resources.setdefault(resource.address, resource)


def _converted(world: World, host: HostSpec, lacking: Lacking, **payload: Any) -> Resource:
    """As it will be, whoever makes it."""
    locked, conversion = lacking.locked, lacking.conversion
    inputs = {"source": locked.digest, **conversion.inputs}
    name = f"{folder(locked)}/{digest(inputs, 12)}"
    base: dict[str, Any] = {"path": f"{models_root(host)}/{name}", "name": name, "digest": digest(inputs), "method": "convert"}
    base["argv"] = list(conversion.argv)
    if conversion.nested:
        base["nested"] = list(conversion.nested)
    return Resource(
        host.name,
        Kind.MODEL,
        name,
        attributes=(Attribute("model", locked.name), Attribute("conversion", conversion.name)),
        payload={**base, **payload},
        at=(f"deployment:{lacking.spec.name}", "engine", lacking.spec.engine.name),
        disk_bytes=int(locked.bytes * conversion.disk_factor),
    )


def _made_here(world: World, name: str, lacking: Lacking, out: Artifacts) -> Resource | None:
    host, reached = world.fleet.hosts[name], world.observed[name]
    assert isinstance(reached, Reached)
    fetched = published(world, lacking.spec, host, reached, lacking.locked, out)
    converter = environment(world, lacking.spec, host, reached, _converter(world, lacking), out)
    if fetched is None or converter is None:
        return None
    made = _converted(
        world,
        host,
        lacking,
        source=fetched.payload["path"],
        env=converter.payload["path"],
        memory_bytes=memory_needed(lacking.locked, lacking.conversion),
        result_bytes=int(lacking.locked.bytes * lacking.conversion.disk_factor),
    )
    return made._replace(needs=(fetched.address, converter.address))


def _copied(world: World, name: str, lacking: Lacking, giver: str, path: str, weight: int | None) -> Resource:
    """`weight`: its bytes, where the giver has it already."""
    made = _converted(world, world.fleet.hosts[name], lacking)
    payload = {key: made.payload[key] for key in ("path", "name", "digest")}
    payload |= {"method": "copy", "from": giver, "from_path": path}
    weight = weight or made.disk_bytes
    return made._replace(payload=payload, download_bytes=weight, disk_bytes=weight)


def _converter(world: World, lacking: Lacking) -> EnvironmentNeed:
    found = {e.name: e for e in world.engines[lacking.spec.engine.name].environments(lacking.spec)}
    return found[lacking.conversion.environment]


# who


def _having(world: World, names: Mapping[str, object]) -> dict[str, tuple[str, str, int | None]]:
    """Model → the first host that answered and has it whole, where it lies there, and its bytes."""
    found: dict[str, tuple[str, str, int | None]] = {}
    for host, reached in sorted(world.observed.items()):
        if not isinstance(reached, Reached) or host not in world.fleet.hosts:
            continue
        root = models_root(world.fleet.hosts[host])
        for artifact in reached.probe.get("artifacts", []):
            name = artifact.get("name", "")
            if name in names and artifact.get("complete") and artifact["path"] == f"{root}/{name}":
                found.setdefault(name, (host, artifact["path"], artifact.get("bytes")))
    return found


def _maker(world: World, hosts: list[str], by_host: Mapping[str, Artifacts], name: str) -> str | None:
    """Which of these hosts converts it: one that can, that has already most of what it takes, the first by name. Without one,
    their refusals say why.
    """
    reasons: dict[str, tuple[str, str]] = {}
    able: list[tuple[int, str]] = []
    for host in hosts:
        rank, code, why = _judged(world, host, by_host[host].lacking[name])
        if why:
            reasons[host] = (code, why)
        else:
            able.append((rank, host))
    if able:
        return min(able)[1]
    if all(code == "target" for code, _ in reasons.values()):
        for host in hosts:
            _made_here(world, host, by_host[host].lacking[name], by_host[host])  # which refuses
        return None
    lacking, out = by_host[hosts[0]].lacking[name], by_host[hosts[0]]
    where = hosts[0] if len(hosts) == 1 else None
    what = f"{where or 'no host that wants it'} can{'not' if where else ''} convert {lacking.locked.name} as "
    what += lacking.conversion.name.removeprefix("as ")
    if where:
        what += f": {reasons[where][1]}"
    details = () if where else tuple(f"{host}: {why}" for host, (_, why) in reasons.items())
    hint = "free some there and plan again, or take a repository that is converted already (it holds model.bin)"
    source = world.positions.of(f"deployment:{lacking.spec.name}", "engine", lacking.spec.engine.name)
    out.refusals.append(Refusal("conversion", what, details, hint, where, lacking.spec.name, source))
    return None


def _judged(world: World, name: str, lacking: Lacking) -> tuple[int, str, str]:
    """(how much of what it takes is not there yet, code and words of what keeps it from converting)."""
    host, reached = world.fleet.hosts[name], world.observed[name]
    assert isinstance(reached, Reached)
    locked, there = lacking.locked, complete(reached)
    fetched = f"{models_root(host)}/{name_of(locked)}" in there
    needs = [_converter(world, lacking), *([HUB] if locked.source == "hub" and not fetched else [])]
    missing = 0 if fetched else 2
    for need in needs:
        environments = world.locked.environments.get(need.name)
        target, why = fitting_target(environments.targets if environments else {}, reached.probe)
        if target is None:
            return 0, "target", f"no locked environment {need.name} fits it: {why}"
        if need is not HUB and f"{engines_root(host)}/{need.name}-{target.digest[:12]}" not in there:
            missing += 1
    wanted, free = memory_needed(locked, lacking.conversion), reached.probe.get("memory_available")
    if free and free < wanted:
        return 0, "memory", f"the conversion takes about {size(wanted)} of memory, {size(free)} is free"
    disk = reached.probe.get("disks", {}).get(models_root(host))
    room = int(locked.bytes * ((0 if fetched else 1) + lacking.conversion.disk_factor)) + SPARE_BYTES
    if disk and disk["free"] < room:
        return 0, "disk", f"model and result take about {size(room)} in {models_root(host)}, {size(disk['free'])} is free"
    return missing, "", ""
