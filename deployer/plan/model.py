"""A plan as a value. It is shown, saved, reviewed, cut down, and is the executor's only input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deployer.spec.source import Source
from deployer.state.resources import Kind, Resource, Scalar

FORMAT_VERSION = "1.0"
#: In the data of a change that removes what a host knows of a deployment: files of its request log are there and go too.
LOG_FILES = "request_log_files"


@dataclass(frozen=True, slots=True)
class Delta:
    """One attribute that differs. For a secret, `before` and `after` are keyed fingerprints."""

    name: str
    before: Scalar
    after: Scalar
    restarts: bool = False
    secret: bool = False
    source: Source | None = None


class Impact(NamedTuple):
    """What a change costs. `downtime_s` None: none; bytes where the name says so. `start_s`: what the start of a replica is
    expected to take, `start_basis` from what ("as the last 5 starts there"); the downtime rests on the same. `month`: what it
    costs more each month, in `currency`; None: the host's file says no price.
    """

    downtime_s: float | None = None
    restarts: int = 0
    vram_bytes: int = 0
    disk_bytes: int = 0
    download_bytes: int = 0
    start_s: float | None = None
    start_basis: str = ""
    month: float = 0.0
    currency: str | None = None


class Change(NamedTuple):
    """One line of a plan. A tuple, as Resource is and for the same reason.

    `actions`: ("create",), ("update",), ("delete",), ("delete", "create") for a replacement that stops the old one
    first, ("create", "delete") for one that starts the new one first, ("adopt",), ("move",), ("undo",) for an
    unfinished run. `before`/`after` are the resources; None where there is none.
    """

    id: str
    host: str
    kind: Kind | None
    name: str
    deployment: str | None
    actions: tuple[str, ...]
    reason: str
    deltas: tuple[Delta, ...] = ()
    before: Resource | None = None
    after: Resource | None = None
    source: Source | None = None
    impact: Impact = Impact()
    depends_on: tuple[str, ...] = ()
    drift: bool = False  # it puts back what somebody changed on the host
    data: Mapping[str, Any] = {}  # one for all that have none: nobody writes to it

    @property
    def address(self) -> str:
        return self.kind + ":" + self.name if self.kind else self.name

    @property
    def wave(self) -> int:
        """The round of its rollout in which it is done, from 1."""
        return int(self.data.get("wave", 1))

    @property
    def beside(self) -> bool:
        """The old process stays until the new one has answered."""
        return self.actions == ("create", "delete")

    @property
    def destructive(self) -> bool:
        return "delete" in self.actions


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs on a host though nobody changed the YAML. `change`: the change that puts it back, if one does.
    `kind`: changed, missing or added. `source`: the rule of deployer.yaml that leaves it alone.
    """

    host: str
    deployment: str | None
    what: str
    before: Scalar
    after: Scalar
    remedy: str
    change: str | None = None
    kind: str = "changed"
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A guard's no. `code` is a stable word: "port", "gpu", "disk", "protected", "licence", "foreign", "placement", …"""

    code: str
    what: str
    details: tuple[str, ...] = ()
    hint: str | None = None
    host: str | None = None
    deployment: str | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth a line that changes nothing: a hold, an orphan, a host that is new, a checkout that is behind."""

    code: str
    what: str
    hint: str | None = None
    host: str | None = None
    deployment: str | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that will go wrong, or may, seen before anything moves (plan/preflight). `severity`: "refuse" or "warn".
    `id` is a stable word: "clock", "cuda", "memory", …; `why` it matters; `do` is the remedy.
    """

    id: str
    severity: str
    what: str
    why: str
    do: str
    host: str | None = None
    deployment: str | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a deployment's replicas are replaced. `strategy`: blue_green, rolling or recreate; `why` it was taken; `waves`: how
    many rounds of stages it takes; `max_failures`: hosts that may fail before the others are held back.
    """

    strategy: str
    why: str
    waves: int = 1
    auto_revert: bool = True
    max_failures: int = 0


@dataclass(frozen=True, slots=True)
class PlannedHost:
    reachable: bool
    fingerprint: str | None = None
    machine_id: str | None = None
    error: str | None = None
    error_kind: str | None = None
    hint: str | None = None  # what to do about the error


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which they are done, host by host inside a stage.

    `roster` is what every reached host gets when the plan is applied. `texts` maps sha256 to text that payloads name
    by digest (requirement files), so that a saved plan needs nothing else. `recorded` is what hosts noted before (host →
    deployment → resources) for the deployments that change; `standing` are the artifacts wanted on each host.
    `specs` are the files' words for the deployments that change, noted with their revisions; no secret, only references.
    `plan_id` covers desired state, fingerprints and changes; not `created_at`, `git_commit` or estimates.
    """

    plan_id: str
    fleet_id: str
    fleet_name: str
    environment: str | None
    git_commit: str | None
    created_at: str
    hosts: Mapping[str, PlannedHost] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    drift: tuple[Drift, ...] = ()
    ignored: tuple[Drift, ...] = ()  # drift that a rule of deployer.yaml leaves alone
    refusals: tuple[Refusal, ...] = ()
    notices: tuple[Notice, ...] = ()
    findings: tuple[Finding, ...] = ()  # of the preflight, those that only warn; what it refuses is in `refusals`
    roster: Mapping[str, Any] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)  # deployment → number this plan makes
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)  # of the deployments that get new processes
    texts: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, Mapping[str, tuple[Resource, ...]]] = field(default_factory=dict)
    standing: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)
    unchanged: int = 0
    specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    judged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # host → keys of options that its engine takes

    @property
    def unreachable(self) -> tuple[str, ...]:
        return tuple(name for name, host in self.hosts.items() if not host.reachable)

    @property
    def empty(self) -> bool:
        return not self.changes
