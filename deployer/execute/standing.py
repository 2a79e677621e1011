"""What a status says, as values. Made by status.py; shown by the CLI, the terminal UI and `status --json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UnitState:
    host: str
    unit: str
    rank: int
    port: int
    gpus: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        return {"host": self.host, "unit": self.unit, "rank": self.rank, "port": self.port, "gpus": list(self.gpus)}


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """`state`: pending, downloading, starting, deployed, failed, stopped; or unknown: its host did not answer.
    Of one that starts: `phase`, what it does ("loading shards 5 of 15"), and `expected_s`, how long earlier starts took.
    """

    slot: int
    state: str
    since: str | None
    reason: str | None
    units: tuple[UnitState, ...]
    phase: str | None = None
    expected_s: float | None = None

    def json(self) -> dict[str, Any]:
        return {
            "slot": self.slot,
            "state": self.state,
            "since": self.since,
            "reason": self.reason,
            "units": [unit.json() for unit in self.units],
            **({"phase": self.phase, "expected_s": self.expected_s} if self.phase else {}),
        }


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """`orphan`: on the hosts, in no file. `failure`: the last apply of it failed, whatever serves now. `canary`: {"slot",
    "host", "base", "share", "who", "at"}: that slot is of a new revision, the others are at revision `base`.
    """

    name: str
    state: str
    revision: int | None
    endpoint: str | None
    replicas: tuple[ReplicaState, ...]
    tags: tuple[str, ...] = ()
    reason: str | None = None
    orphan: bool = False
    hold: Mapping[str, Any] | None = None
    failure: Mapping[str, Any] | None = None
    canary: Mapping[str, Any] | None = None
    cost: Mapping[str, float] | None = None  # a month, by currency; None: it uses no GPU with a price

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "revision": self.revision,
            "endpoint": self.endpoint,
            "replicas": [replica.json() for replica in self.replicas],
            "tags": list(self.tags),
            "reason": self.reason,
            "orphan": self.orphan,
            "hold": dict(self.hold) if self.hold else None,
            "failure": dict(self.failure) if self.failure else None,
            "canary": dict(self.canary) if self.canary else None,
            "cost": dict(self.cost) if self.cost else None,
        }


@dataclass(frozen=True, slots=True)
class HostState:
    """`gpus` as the contract says them; `disk`: path → {"total", "free"} in bytes; `agent`: the wire's version. `state`:
    active, cordoned, drained or retired, by its file or by `hold`, {"kind", "who", "at", "why", "until"}.
    """

    name: str
    reachable: bool
    gpus: tuple[Mapping[str, Any], ...] = ()
    disk: Mapping[str, Mapping[str, int]] | None = None
    agent: int | None = None
    error: str | None = None
    hint: str | None = None  # what to do about the error
    lock: Mapping[str, Any] | None = None
    unfinished: tuple[Mapping[str, Any], ...] = ()
    state: str = "active"
    hold: Mapping[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "reachable": self.reachable,
            "gpus": [dict(gpu) for gpu in self.gpus],
            "disk": {path: dict(sizes) for path, sizes in (self.disk or {}).items()},
            "agent": self.agent,
            "error": self.error,
            "hint": self.hint,
            "lock": dict(self.lock) if self.lock else None,
            "unfinished": [dict(run) for run in self.unfinished],
            "state": self.state,
            "hold": dict(self.hold) if self.hold else None,
        }


@dataclass(frozen=True, slots=True)
class Idle:
    """GPUs that no slot has, by host, and what they cost a month by currency."""

    hosts: Mapping[str, int]
    cost: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Status:
    """`idle`: None when no host's file says a price."""

    fleet: str
    at: str
    deployments: tuple[DeploymentState, ...]
    hosts: tuple[HostState, ...]
    idle: Idle | None = None

    def json(self) -> dict[str, Any]:
        return {
            "fleet": self.fleet,
            "at": self.at,
            "deployments": [deployment.json() for deployment in self.deployments],
            "hosts": [host.json() for host in self.hosts],
            "idle": {"hosts": dict(self.idle.hosts), "cost": dict(self.idle.cost)} if self.idle else None,
        }
