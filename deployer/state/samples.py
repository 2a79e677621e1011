"""What a host says of itself once a second while somebody looks on. Frozen nouns; made from the agent's `watch` lines.

Counters grow since the engine's start; rates come from two samples (state/rates.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuSample:
    """Bytes, percent, degrees Celsius; None where the driver does not tell."""

    uuid: str
    index: int
    name: str
    memory_total: int
    memory_used: int
    utilization: int | None = None
    temperature: int | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """As Prometheus has it: upper bound in seconds (inf last) → how many were at most that, since the start."""

    buckets: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One engine's own metrics, under vLLM's names. None: it does not tell. `kv_cache`: 0 to 1. `at`: when it was asked, on
    the host's steady clock; samples of a host may hold the same figures twice.
    """

    at: float = 0.0
    running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    requests: float | None = None  # finished, since its start
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    ttft: Histogram = Histogram()


@dataclass(frozen=True, slots=True)
class UnitSample:
    """`replica` is "chat/0". `active` is systemd's ActiveState, `phase` what a starting engine does now."""

    unit: str
    replica: str
    active: str
    phase: str | None = None
    figures: EngineFigures | None = None


@dataclass(frozen=True, slots=True)
class HostSample:
    """`at`: seconds on the host's own steady clock, so that two samples give a rate. `standing` changes when something
    that a status or a plan rests on may have changed (a unit's state, a record, the roster, a lock, a run).
    """

    host: str
    at: float
    gpus: tuple[GpuSample, ...] = ()
    units: tuple[UnitSample, ...] = ()
    memory_total: int | None = None
    memory_available: int | None = None
    load: float | None = None  # of one minute, per CPU
    standing: str = ""
