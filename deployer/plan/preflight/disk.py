"""What a plan brings must fit on the file systems that it lands on, when most of it lies there. Called by preflight.

Nothing is removed before everything is brought, and a model that is converted lies there beside what is made of it: so the sum is
the peak. What an environment takes is known once one like it was built on any host; before that it counts as nothing.
"""

from collections.abc import Iterator, Mapping, Sequence

from deployer.agent import wire
from deployer.plan.artifacts import engines_root, models_root
from deployer.plan.model import Change, Finding
from deployer.plan.preflight.finding import REFUSE, WARN
from deployer.plan.words import size
from deployer.plan.world import World
from deployer.spec.models import HostSpec
from deployer.state.observed import Reached
from deployer.state.resources import ARTIFACTS, Kind

#: Room that a host keeps besides what a plan brings.
SPARE_BYTES = 512 * 1024 * 1024
_WHY = "an apply that runs out of disk half-way fails, and so does whatever else writes there"
_DO = "free some room (deployer prune removes what nobody uses), or set paths in the host's file"


def findings(world: World, changes: Sequence[Change]) -> Iterator[Finding]:
    bringing: dict[str, list[Change]] = {}
    for change in changes:
        if change.kind in ARTIFACTS and change.after is not None and "create" in change.actions:
            bringing.setdefault(change.host, []).append(change)
    built = _built(world) if any(c.kind is Kind.ENVIRONMENT for mine in bringing.values() for c in mine) else {}
    for name, mine in sorted(bringing.items()):
        reached, host = world.observed.get(name), world.fleet.hosts.get(name)
        if host is not None and isinstance(reached, Reached):
            yield from _host(world, host, reached, mine, built)


def _host(
    world: World, host: HostSpec, reached: Reached, mine: Sequence[Change], built: Mapping[str, tuple[int, str]]
) -> Iterator[Finding]:
    disks, devices = reached.probe.get("disks", {}), reached.probe.get("devices", {})
    wanted: dict[object, list[tuple[int, str, str]]] = {}  # file system → (bytes, what, root)
    for change in mine:
        root = engines_root(host) if change.kind in (Kind.TOOL, Kind.ENVIRONMENT) else models_root(host)
        for where, much, what in _bytes(change, root, built):
            if where in disks and much and not (where != root and _same(devices, where, root)):
                wanted.setdefault(devices.get(where, where), []).append((much, what, where))
    for parts in wanted.values():
        total, root = sum(p[0] for p in parts), parts[0][2]
        if total + SPARE_BYTES <= disks[root]["free"]:
            continue
        roots = " and ".join(dict.fromkeys(p[2] for p in parts))
        biggest = ", ".join(f"{what} {size(much)}" for much, what, _ in sorted(parts, key=lambda p: (-p[0], p[1]))[:4])
        what = f"not enough disk on {host.name} for {roots}"
        why = f"{size(total)} wanted and {size(SPARE_BYTES)} spare, {size(disks[root]['free'])} free: {biggest}; {_WHY}"
        yield Finding(
            "disk", REFUSE, what, why, _DO, host.name, mine[0].deployment, world.positions.of(f"host:{host.name}", "paths")
        )


def _bytes(change: Change, root: str, built: Mapping[str, tuple[int, str]]) -> Iterator[tuple[str, int, str]]:
    """(path of the file system, bytes, what). What is pushed arrives beside the state first, and is linked where it can be."""
    resource = change.after
    assert resource is not None
    if change.kind is Kind.ENVIRONMENT:
        like = built.get(change.name)
        yield root, like[0] if like else 0, f"{change.name} (as on {like[1]})" if like else change.name
        yield root, sum(w["size"] for w in resource.payload.get("wheels", ())), f"wheels of {change.name}"
    else:
        converted = " (converted, beside its source)" if resource.payload.get("method") == "convert" else ""
        yield root, change.impact.disk_bytes, change.name + converted
    pushed = resource.payload.get("method") == "push" or change.kind in (Kind.TOOL, Kind.SCRIPTS)
    if pushed:
        yield wire.ROOT_STATE, change.impact.download_bytes, f"{change.name} on its way"


def _same(devices: Mapping[str, int], one: str, other: str) -> bool:
    """Whether two paths are on one file system; what is not known is taken for the same, so that nothing counts twice."""
    return one not in devices or other not in devices or devices[one] == devices[other]


def _built(world: World) -> dict[str, tuple[int, str]]:
    """What environments take on the disks of hosts that have them, and on which."""
    found: dict[str, tuple[int, str]] = {}
    for name, reached in sorted(world.observed.items()):
        for artifact in reached.probe.get("artifacts", ()) if isinstance(reached, Reached) else ():
            if artifact.get("complete") and artifact.get("kind") == "environment":
                known = found.get(artifact["name"])
                if known is None or artifact.get("bytes", 0) > known[0]:
                    found[artifact["name"]] = artifact.get("bytes", 0), name
    return found


def low(reached: Reached) -> Iterator[tuple[str, str, str, str, str]]:
    """A disk of the host that is full, whatever a plan brings. For preflight.machine."""
    for path, there in sorted(reached.probe.get("disks", {}).items()):
        if there["free"] < SPARE_BYTES:
            what = f"{path} of {reached.name} has {size(there['free'])} left"
            yield "disk", WARN, what, "journals, records and new files are lost when it is full", _DO
