"""A replica that finds no place: the reason host by host, in one table, and the nearest that would do. Called by place. Pure.

What is said to help was tried on the same claims: "has room" means that it has. A plan of thousands of refusals says the reasons
of all, and looks for what would help for the first.
"""

from collections.abc import Iterable, Sequence

from deployer.plan import nearest
from deployer.plan.apart import Neighbours
from deployer.plan.model import Refusal
from deployer.plan.room import Claims, free, free_port, usable
from deployer.plan.seeker import Seeker
from deployer.plan.wishes import GpuKind, Wish, Wishes, hosts_of
from deployer.plan.words import count
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.observed import Reached, Unreached

#: Lines of a table; names in a line; refusals for which what would help is looked for.
LINES, NAMES, HELPED = 12, 4, 20


class Nowhere:
    """Of one placement. Reasons are kept while nothing is placed: a full fleet is full for all who want the same."""

    def __init__(self, world: World, wishes: Wishes, claims: Claims, beside: Neighbours, seeker: Seeker) -> None:
        self._world, self._wishes, self._claims, self._beside, self._seeker = world, wishes, claims, beside, seeker
        self._known: dict[tuple[object, ...], tuple[tuple[str, ...], list[str]]] = {}
        self._said = 0

    def refusal(self, spec: DeploymentSpec, number: int) -> Refusal:
        wish = self._wishes.of(spec)
        alone = not (spec.placement.apart or self._beside.has_others(spec.name))
        key = wish, None if alone else spec.name, self._claims.slots.total()
        if key not in self._known:
            self._known[key] = table(self._reasons(spec, wish)), self._only_drivers(wish)
        reasons, silent = self._known[key]
        ways: Sequence[str] = ()
        if self._said < HELPED:
            self._said += 1
            ways = nearest.ways(self._world, self._wishes, self._claims, self._beside, self._seeker, spec, number)
        hint = " · or ".join(ways) or _way_out(self._world, reasons)
        if silent and ways:
            hint += " · or mend the driver: nvidia-smi there, often a reboot after an update of it"
        return Refusal(
            "driver" if silent else "placement",
            f"{spec.name}/{number} has no host to stand on",
            reasons or ("no host of the fleet is allowed by its placement",),
            hint,
            host=silent[0] if len(silent) == 1 else None,
            deployment=spec.name,
            source=self._world.positions.of(f"deployment:{spec.name}", "placement"),
        )

    def _only_drivers(self, wish: Wish) -> list[str]:
        """All hosts that it may stand on, when what keeps it from each is that its GPUs cannot be asked."""
        allowed = [host.name for host in hosts_of(self._world, wish)] if wish.gpus else []
        return allowed if all(gpu_error(self._world.observed.get(name)) for name in allowed) else []

    def _reasons(self, spec: DeploymentSpec, wish: Wish) -> Iterable[tuple[str, str]]:
        for name, host in sorted(self._world.fleet.hosts.items()):
            why = self._why(spec, wish, host)
            if why:
                yield name, why

    def _why(self, spec: DeploymentSpec, wish: Wish, host: HostSpec) -> str | None:
        """None: it is not worth a line, since the file names other hosts."""
        reached = self._world.observed.get(host.name)
        if wish.hosts and host.name not in wish.hosts:
            return None
        missing = ", ".join(f"{key}: {value}" for key, value in wish.labels if host.labels.get(key) != value)
        if missing:
            return f"has no label {missing}"
        if host.state != "active":
            return f"is {host.state}"
        if reached is None:
            return "was not asked"
        if not isinstance(reached, Reached):
            return f"unreachable: {reached.message}"
        beside = self._beside.why_not(spec, host)
        if beside is not None:
            return beside
        if len(self._seeker.free(wish, host, reached)) < wish.gpus:
            return self._lack_of_gpus(spec, wish, host, reached)
        if free_port(host, reached, self._claims) is None:
            return f"no free port in {host.ports[0]}-{host.ports[1]}"
        return None

    def _lack_of_gpus(self, spec: DeploymentSpec, wish: Wish, host: HostSpec, reached: Reached) -> str:
        there, error = usable(host, reached), gpu_error(reached)
        if error is not None and len(there) < wish.gpus:
            return f"its GPUs cannot be asked: {error}"
        unfit = sorted({GpuKind.of(gpu) for gpu in there} - wish.kinds)
        room = "free" if wish.share is None else f"with {wish.share}% free"
        if not there or not unfit:
            return f"{len(free(host, reached, self._claims, wish.share))} of {len(there)} GPUs {room}, {wish.gpus} wanted"
        others = sum(GpuKind.of(gpu) in wish.kinds for gpu in there)
        left = f"{len(self._seeker.free(wish, host, reached))} of {count(others, 'fitting GPU')} {room}, {wish.gpus} wanted; "
        said = [f"{kind}: {self._wishes.why_not(spec, kind)}" for kind in unfit]
        return (left if others else "") + "; ".join(said[:3])


def table(reasons: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A line for each reason, with the hosts that have it."""
    groups: dict[str, list[str]] = {}
    for name, why in reasons:
        groups.setdefault(why, []).append(name)
    rows = [(f"{_names(names)}:", why, len(names)) for why, names in groups.items()]
    rest: list[tuple[str, str, int]] = []
    if len(rows) > LINES:
        largest = sorted(rows, key=lambda row: -row[2])
        rest = largest[LINES - 1 :]
        rows = [row for row in rows if row not in rest]
    width = max((len(names) for names, _, _ in rows), default=0)
    lines = [f"{names:<{width}} {why}" for names, why, _ in rows]
    if rest:
        lines.append(f"and {count(sum(row[2] for row in rest), 'host')} more, for {len(rest)} other reasons")
    return tuple(lines)


def _names(names: Sequence[str]) -> str:
    if len(names) <= NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: NAMES - 1])} and {len(names) - NAMES + 1} more"


def gpu_error(found: Reached | Unreached | None) -> str | None:
    return found.probe.get("gpu_error") if isinstance(found, Reached) else None


#: What a reason holds → what would help. The first that fits is said, where nothing was found that surely would.
_WAYS_OUT = (
    ("unreachable", "bring the host back (what it needs is said above), or give the deployment another host"),
    ("no free port", "widen ports: in the host's file, or end what listens there"),
    ("GPUs cannot be asked", "look what nvidia-smi says there, often a reboot after a driver update; or give it another host"),
    ("% free", "a smaller gpu_share here or beside it, another host, or fewer replicas"),
    ("GPUs free", "free a GPU, or give it another host or fewer replicas"),
    ("has no label", "correct placement.labels here, or labels: in a host's file"),
    ("stands apart", "add a host, or take the rule out"),
    ("of it already", "add a host, or fewer replicas"),
    ("is drained", "lift that (deployer hosts uncordon HOST), make room elsewhere, or stop it first: deployer stop NAME"),
    ("is cordoned", "lift that (deployer hosts uncordon HOST, or state: active in its file), or give it another host"),
)


def _way_out(world: World, reasons: Sequence[str]) -> str:
    if not world.fleet.hosts:
        return "add a file to hosts/, or try it on throwaway hosts: deployer lab up 2"
    found = (say for word, say in _WAYS_OUT if any(word in reason for reason in reasons))
    return next(found, "give it another host, or fewer replicas")
