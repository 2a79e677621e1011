"""The fleet as it is now, for somebody who looks on: one standing connection per host, samples as they come, and a new
status of a host when something on it changed. These are the values; app/looker.py makes them, the terminal UI asks the session
for `now` once per tick.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.app.values import Status
from deployer.state.samples import GpuSample


@dataclass(frozen=True, slots=True)
class GpuNow:
    """A GPU with its last minute: `history` is percent per tick, oldest first, None where nothing was heard."""

    sample: GpuSample
    replica: str | None = None  # "chat/0"
    history: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class HostNow:
    """`heard_s`: seconds since its last sample; None: never in this session. What is shown of a host that is not "up" is the
    last that was heard. `state`: "connecting", "up", "lost" (its connection broke just now, tried again), "unreachable" (it
    was tried, in vain, and is tried on).
    """

    name: str
    state: str
    heard_s: float | None = None
    gpus: tuple[GpuNow, ...] = ()
    memory_total: int | None = None
    memory_available: int | None = None
    load: float | None = None
    error: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a deployment, over all its replicas, or of one. None: no engine tells it (yet)."""

    requests_s: float | None = None
    ttft_p95_s: float | None = None
    tokens_s: float | None = None
    kv_cache: float | None = None  # 0 to 1, the fullest replica
    queue: int | None = None
    running: int | None = None
    phase: str | None = None  # what a starting replica does now


@dataclass(frozen=True, slots=True)
class FleetNow:
    """`status` is None until every host has answered once or is known to be unreachable. `figures`: by deployment name and
    by replica ("chat", "chat/0"). `tick` grows with every change, so that a front end can leave out a repaint.
    """

    tick: int = 0
    status: Status | None = None
    hosts: Mapping[str, HostNow] = field(default_factory=dict)
    figures: Mapping[str, Figures] = field(default_factory=dict)
