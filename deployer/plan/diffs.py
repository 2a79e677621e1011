"""One host: what is wanted there against what is noted there, and what is noted against what is there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deployer.agent import wire
from deployer.plan import diff, drift, retention, takeover
from deployer.plan.aftermath import OF_DEPLOYMENT, OF_HOST
from deployer.plan.artifacts import complete
from deployer.plan.canaries import is_canary
from deployer.plan.model import LOG_FILES, Change, Drift, Impact
from deployer.plan.record import HOST_RECORD
from deployer.plan.words import count
from deployer.plan.world import World
from deployer.state.observed import Reached
from deployer.state.resources import ARTIFACTS, Attribute, Kind, Resource

#: What is compared attribute by attribute; anything else is there or it is not.
COMPARED = (*OF_DEPLOYMENT, *OF_HOST)
#: In the data of a change: it removes what no file names.
PRUNED = "pruned"


@dataclass(slots=True)
class Compared:
    """`orphans`: deployments noted here that are in no file and that nobody asked to remove."""

    host: str
    changes: list[Change] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    ignored: list[Drift] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    unchanged: int = 0


def compare_host(
    world: World,
    others: Collection[str],
    destroyed: Collection[str],
    wanted: Mapping[str, Resource],
    recorded: Mapping[str, tuple[Resource, ...]],
    reached: Reached,
    beside: Collection[tuple[str, str]] = (),
) -> Compared:
    """`others` are deployments that this plan is not about; they stay as they are. `beside`: (host, address) of replicas that
    start before their old process stops.
    """
    out = Compared(reached.name)
    unsettled = _unfinished(reached, out)
    before = {r.address: r for rs in recorded.values() for r in rs if r.kind in COMPARED}
    for address, resource in sorted(wanted.items()):
        if resource.kind in COMPARED:
            _one(world, before.get(address), resource, reached, unsettled, (reached.name, address) in beside, out)
    _removed(world, others, destroyed, wanted, recorded, out)
    _made(world, wanted, reached, out)
    if world.options.prune:
        _pruned(world, wanted, recorded, reached, out, remembers=bool(set(destroyed) & set(world.fleet.deployments)))
    out.changes += takeover.changes(world, reached.name)
    if world.options.gc:
        _collected(world, others, wanted, recorded, reached, out)
    return out


def _unfinished(reached: Reached, out: Compared) -> set[str]:
    """Runs that died half-way are undone first; deployments that they, or one that goes on,
    touched are not judged for drift meanwhile."""
    touched: set[str] = set()
    for run in reached.probe.get("unfinished", []):
        touched.update(run.get("deployments", []))
        if run.get("alive"):
            continue
        name = f"run:{run['run']}"
        reason = f"started by {run.get('who') or 'somebody'} at {run.get('since') or 'an unknown time'}, stopped half-way"
        identity = diff.change_id(reached.name, name, ("undo",))
        out.changes.append(Change(identity, reached.name, None, name, None, ("undo",), reason))
    return touched


def _one(
    world: World,
    before: Resource | None,
    after: Resource,
    reached: Reached,
    unsettled: set[str],
    beside: bool,
    out: Compared,
) -> None:
    if before is None:
        out.changes.append(diff.create(after, "new", world.positions))
        return
    found = [] if after.deployment in unsettled else drift.find(before, reached.probe)
    findings, ignored = drift.sort_out(world.fleet, world.positions, before, found)
    out.ignored += ignored
    change = diff.compare(before, after, world.positions, beside=beside)
    if change is None and findings:
        change = drift.repair(diff.keep_secrets(before, after), findings)
    if _restarted(world, before, after, change, beside):
        change = diff.restart(before, after, change, world.who, world.positions, beside=beside)
    if change is None:
        out.unchanged += 1
        return
    if findings and not change.drift:
        dropins = drift.repair(before, findings).data
        change = change._replace(data={**change.data, **dropins})
    out.changes.append(change)
    out.drift += drift.report(before, findings, change.id)


def _restarted(world: World, before: Resource, after: Resource, change: Change | None, beside: bool) -> bool:
    """Somebody asked for a new process, one runs, and nothing else brings one anyhow."""
    if after.kind is not Kind.REPLICA or after.deployment not in world.options.restart:
        return False
    return before.runs and after.runs and (change is None or beside or "create" not in change.actions)


def _made(world: World, wanted: Mapping[str, Resource], reached: Reached, out: Compared) -> None:
    """Artifacts and packages that are missing, and only those that something which is made or runs really needs."""
    there = complete(reached)
    packages = reached.probe.get("packages", {})
    waiting = [n for r in wanted.values() if _standing(r) for n in r.needs]
    seen: set[str] = set()
    while waiting:
        address = waiting.pop()
        resource = wanted.get(address)
        if address in seen or resource is None or resource.kind in COMPARED:
            continue
        seen.add(address)
        present = packages.get(resource.name) if resource.kind is Kind.PACKAGE else resource.payload["path"] in there
        if present:
            out.unchanged += 1
            continue
        out.changes.append(diff.create(resource, "missing", world.positions))
        waiting.extend(resource.needs)


def _standing(resource: Resource) -> bool:
    return resource.kind in COMPARED and resource.runs


def _removed(
    world: World,
    others: Collection[str],
    destroyed: Collection[str],
    wanted: Mapping[str, Resource],
    recorded: Mapping[str, tuple[Resource, ...]],
    out: Compared,
) -> None:
    options = world.options
    for name, resources in sorted(recorded.items()):
        if name == HOST_RECORD or name in others:
            continue
        in_files = name in world.fleet.deployments
        if not options.about(name):
            continue
        if not in_files and name not in destroyed and not options.prune and name not in options.prune_approved:
            out.orphans.append(name)
            continue
        reason = _why_removed(world, out.host, name, name in destroyed)
        for resource in resources:
            if resource.kind in OF_DEPLOYMENT and resource.address not in wanted:
                gone = diff.delete(resource, "its time as a canary is over" if is_canary(resource) and in_files else reason)
                orphan = not in_files and name not in destroyed and name not in options.prune_approved
                if resource.kind is Kind.DEPLOYMENT and any(map(_logs_to_files, resources)):
                    gone = gone._replace(data={**gone.data, LOG_FILES: True})
                out.changes.append(_as_pruned(gone) if orphan else gone)


def _logs_to_files(resource: Resource) -> bool:
    return resource.kind is Kind.REPLICA and resource.payload.get("requests") == "file"


def _as_pruned(change: Change) -> Change:
    """What no file names goes only when a person has said yes to just that."""
    return change._replace(data={**change.data, PRUNED: True})


def _why_removed(world: World, host: str, name: str, destroyed: bool) -> str:
    if destroyed:
        return "destroyed by hand"
    spec = world.fleet.deployments.get(name)
    if spec is None:
        return "not in the files any more"
    state = world.fleet.hosts[host].state if host in world.fleet.hosts else "active"
    if state in ("drained", "retired"):
        return f"{host} is {state}"
    return f"not wanted here: {count(spec.replicas, 'replica')} in all now"


def _pruned(
    world: World,
    wanted: Mapping[str, Resource],
    recorded: Mapping[str, tuple[Resource, ...]],
    reached: Reached,
    out: Compared,
    *,
    remembers: bool,
) -> None:
    """Artifacts that nothing uses any more; and, when nothing of the fleet is left here, the gateway and its package.
    `remembers`: a hold lives in the roster alone, so the roster stays.
    """
    removed = {(c.deployment, c.address) for c in out.changes if c.after is None}
    staying = [
        (name, r)
        for name, rs in recorded.items()
        for r in rs
        if name != HOST_RECORD and r.kind in OF_DEPLOYMENT and (name, r.address) not in removed
    ]
    out.changes += map(_as_pruned, _unused(world, wanted, recorded, reached, {name for name, _ in staying}, {}))
    if not staying and not any(r.deployment for r in wanted.values()):
        for resource in recorded.get(HOST_RECORD, ()):
            if resource.kind in OF_HOST:
                out.changes.append(diff.delete(resource, "nothing of the fleet is left on this host"))
        _pruned_packages(reached, out)
        if remembers:
            return
        last = diff.change_id(reached.name, "agent", ("delete",))
        trees = [f"{root}/{world.fleet.name}" for root in (wire.ROOT_CACHE, wire.ROOT_LOGS, wire.ROOT_STATE, wire.ROOT_ETC)]
        leftovers = Resource(reached.name, Kind.TOOL, "agent", payload={"path": "", "agent": True, "trees": trees})
        gone = Change(
            last, reached.name, Kind.TOOL, "agent", None, ("delete",), "the last traces go", before=leftovers, impact=Impact()
        )
        out.changes.append(gone)


def _unused(
    world: World,
    wanted: Mapping[str, Resource],
    recorded: Mapping[str, tuple[Resource, ...]],
    reached: Reached,
    names: Collection[str],
    gone: Mapping[str, Collection[int]],
) -> list[Change]:
    """Artifacts that neither what stands of these deployments, nor what is wanted, nor a revision that is kept stands on."""
    remembered = retention.stood_on(reached, names, gone)
    if remembered is None:
        return []
    used = {r.payload["path"] for n, rs in recorded.items() if n in names for r in rs if r.kind in ARTIFACTS} | remembered
    used |= {r.payload["path"] for r in wanted.values() if r.kind in ARTIFACTS}
    found = []
    for artifact in reached.probe.get("artifacts", []):
        foreign = [f for f in artifact.get("fleets", []) if f != world.fleet.id]
        if artifact["path"] not in used and not foreign:
            found.append(diff.delete(_found(reached.name, artifact), "nobody uses it"))
    return found


def _collected(
    world: World,
    others: Collection[str],
    wanted: Mapping[str, Resource],
    recorded: Mapping[str, tuple[Resource, ...]],
    reached: Reached,
    out: Compared,
) -> None:
    """Revisions beyond `keep`, and the artifacts that only they stood on."""
    gone: dict[str, tuple[int, ...]] = {}
    for name in sorted(set(world.fleet.deployments) - set(others)):
        numbers = retention.surplus(world, reached, name)
        if numbers:
            gone[name] = numbers
            keep = world.fleet.deployments[name].keep or world.fleet.keep
            history = Resource(reached.name, Kind.HISTORY, name, payload={"deployment": name, "numbers": list(numbers)})
            out.changes.append(diff.delete(history, f"{count(keep, 'revision')} of it {'is' if keep == 1 else 'are'} kept"))
    out.changes += _unused(world, wanted, recorded, reached, {name for name in recorded if name != HOST_RECORD}, gone)


def _pruned_packages(reached: Reached, out: Compared) -> None:
    """What we brought, unless another fleet of this host may live on it."""
    if reached.probe.get("other_fleets"):
        return
    for name in reached.probe.get("brought", []):
        package = Resource(reached.name, Kind.PACKAGE, name, payload={"name": name})
        out.changes.append(diff.delete(package, "we brought it, and nothing of the fleet is left on this host"))


def _found(host: str, artifact: Mapping[str, object]) -> Resource:
    kind = Kind(str(artifact["kind"]))
    label = (Attribute("model", str(artifact["name"])),) if kind is Kind.MODEL else ()
    size = artifact.get("bytes")
    payload = {"path": artifact["path"], "name": artifact["name"]}
    return Resource(host, kind, str(artifact["name"]), attributes=label, payload=payload, disk_bytes=int(str(size or 0)))
