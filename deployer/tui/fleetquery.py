"""Which hosts and deployments are shown, in which order, and what they are together. Pure. Used by the fleet's place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deployer.app.looking import Figures, FleetNow, HostNow
from deployer.app.values import DeploymentState

#: What `o` goes through.
ORDERS = ("name", "state", "utilisation", "memory")

#: What needs a person first.
_DEPLOYMENT_STATES = (
    "failed", "degraded", "unknown", "starting", "optimizing", "downloading", "pending", "asking", "stopped", "deployed",
)  # fmt: skip
_HOST_STATES = ("unreachable", "lost", "connecting", "up")


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed after `/`: words that must all fit, `host:x` and `state:x` among them."""

    words: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Query":
        found: dict[str, list[str]] = {"host": [], "state": [], "": []}
        for word in text.lower().split():
            kind, colon, value = word.partition(":")
            if colon and kind in ("host", "state"):
                found[kind].append(value)
            else:
                found[""].append(word)
        return cls(tuple(found[""]), tuple(found["host"]), tuple(found["state"]))

    def fits(self, text: Iterable[str], hosts: Iterable[str], state: str) -> bool:
        everything, names = "\n".join(text).lower(), "\n".join(hosts).lower()
        return (
            all(word in everything for word in self.words)
            and all(host in names for host in self.hosts)
            and all(state.startswith(one) for one in self.states)
        )


def fits_deployment(one: DeploymentState, query: Query) -> bool:
    hosts = [unit.host for replica in one.replicas for unit in replica.units]
    return query.fits((one.name, *one.tags, one.reason or "", *hosts), hosts, one.state)


def fits_host(host: HostNow, labels: Mapping[str, str], query: Query) -> bool:
    said = [host.name, host.error or "", *(f"{name}={value}" for name, value in labels.items())]
    for gpu in host.gpus:
        said += [gpu.sample.name, gpu.replica or ""]
    return query.fits(said, (host.name,), host.state)


def in_order(deployments: Iterable[DeploymentState], figures: Mapping[str, Figures], order: str) -> list[DeploymentState]:
    """Busiest and fullest first, the state that needs a person first; by name where these are the same."""

    def place(one: DeploymentState) -> tuple[float, str]:
        found = figures.get(one.name, Figures())
        if order == "state":
            return _rank(_DEPLOYMENT_STATES, one.state), one.name
        if order == "utilisation":
            return -(found.requests_s or 0.0), one.name
        return (-(found.kv_cache or 0.0) if order == "memory" else 0.0), one.name

    return sorted(deployments, key=place)


def hosts_in_order(hosts: Iterable[HostNow], order: str) -> list[HostNow]:
    """As `in_order`. Loads count in steps, over the last minute, so that rows do not jump at every tick."""

    def place(host: HostNow) -> tuple[float, str]:
        if order == "state":
            return _rank(_HOST_STATES, host.state), host.name
        if order == "utilisation":
            return -(minute(host) or 0.0) // 5, host.name
        return (-100 * (memory_share(host) or 0.0) // 5 if order == "memory" else 0.0), host.name

    return sorted(hosts, key=place)


def _rank(states: tuple[str, ...], state: str) -> float:
    return states.index(state) if state in states else len(states)


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def minute(host: HostNow) -> float | None:
    """Utilisation of all its GPUs over the last minute, percent; of a host without GPUs its load."""
    if not host.gpus:
        return None if host.load is None else host.load * 100
    return mean(value for gpu in host.gpus for value in gpu.history)


def utilization(host: HostNow) -> float | None:
    """Of all its GPUs now, percent."""
    return mean(gpu.sample.utilization for gpu in host.gpus)


def memory(host: HostNow) -> tuple[int | None, int | None]:
    """Used and total bytes: of its GPUs, or of the machine when it has none."""
    if host.gpus:
        return sum(gpu.sample.memory_used for gpu in host.gpus), sum(gpu.sample.memory_total for gpu in host.gpus)
    if host.memory_total is None or host.memory_available is None:
        return None, host.memory_total
    return host.memory_total - host.memory_available, host.memory_total


def memory_share(host: HostNow) -> float | None:
    used, total = memory(host)
    return used / total if used is not None and total else None


@dataclass(frozen=True, slots=True)
class Summary:
    """`states`: how many deployments are in each. `age_s`: of the oldest word among hosts that are up."""

    gpus: int
    utilization: float | None
    memory: float | None
    states: Mapping[str, int]
    age_s: float | None


def summary(now: FleetNow) -> Summary:
    up = [host for host in now.hosts.values() if host.state == "up"]
    gpus = [gpu.sample for host in up for gpu in host.gpus]
    total = sum(gpu.memory_total for gpu in gpus)
    states: dict[str, int] = {}
    for one in now.status.deployments if now.status else ():
        states[one.state] = states.get(one.state, 0) + 1
    return Summary(
        gpus=sum(len(host.gpus) for host in now.hosts.values()),
        utilization=mean(gpu.utilization for gpu in gpus),
        memory=sum(gpu.memory_used for gpu in gpus) / total if total else None,
        states=states,
        age_s=max((host.heard_s for host in up if host.heard_s is not None), default=None),
    )
