"""All that the planner knows. If it is not in here it cannot influence a plan; the clock and the secrets' fingerprints
come in like everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.engines.base import Engine
from deployer.spec.models import FleetSpec
from deployer.spec.positions import Positions
from deployer.state.certificate import Certificate
from deployer.state.locked import Locked, LockedTool
from deployer.state.observed import Observed


@dataclass(frozen=True, slots=True)
class Git:
    """`ancestors`: for each commit that a host says was applied, is it an ancestor of ours? None: cannot be told."""

    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    ancestors: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A person's exception to write ("stopped", "destroyed", "rolled-back") or to lift (kind None). `revision`: the one to
    go back to.
    """

    deployment: str
    kind: str | None
    who: str
    why: str | None = None
    until: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class CordonRequest:
    """A hold on a host to write ("cordoned", "drained") or to lift (kind None)."""

    host: str
    kind: str | None
    who: str
    why: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Adoption:
    """A deployment takes over from a unit that is not ours."""

    deployment: str
    host: str
    unit: str


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked. Empty names, tags and hosts mean all; `scoped`: `names` are all there is, also when empty."""

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    prune: bool = False
    adopt: tuple[Adoption, ...] = ()
    gc: bool = False  # revisions beyond `keep`, and artifacts that only they stand on
    prune_approved: tuple[str, ...] = ()  # deployments whose removal was approved one by one
    replace_lost: tuple[str, ...] = ()
    allow_divergent: bool = False
    allow: bool = False  # although more of the fleet stops than guard.max_stopped says
    release: tuple[str, ...] = ()
    holds: tuple[HoldRequest, ...] = ()
    cordons: tuple[CordonRequest, ...] = ()
    scoped: bool = False
    explain: tuple[str, ...] = ()  # deployments whose memory is explained term by term
    promote: tuple[str, ...] = ()  # deployments whose canary becomes what all replicas are
    restart: tuple[str, ...] = ()  # deployments whose replicas get a new process though nothing of them changed

    def about(self, deployment: str) -> bool:
        """Whether the names that were given mean this one."""
        return deployment in self.names or not (self.names or self.scoped)


@dataclass(frozen=True, slots=True)
class World:
    """`secrets` maps (host, secret id) to the keyed fingerprint of the value at hand, None when it is not at hand.

    `tools` are the programs we bring: "uv" as the lock pins it, "serve" and "handler" as this version of ours carries them.
    """

    fleet: FleetSpec
    positions: Positions
    locked: Locked
    observed: Observed
    engines: Mapping[str, Engine]
    now: str  # ISO 8601, UTC
    git: Git = Git()
    secrets: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    options: Options = Options()
    tools: Mapping[str, LockedTool] = field(default_factory=dict)
    who: str = "unknown"
    certificate: Certificate | None = None  # what gateways show to clients
