"""What the log of a replica that starts is read by: the engine's patterns, and those of our handler before it. Called by plan.

A record on a host only names them (`named`), so that neither it nor a plan holds a copy of the same table for every replica, and
an earlier revision that comes back is read by what is known today.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from deployer.engines import ENGINES, front
from deployer.engines.base import FailurePattern, Figure, LogPatterns, Phase
from deployer.spec.models import DeploymentSpec

SHARED, HANDLER = "shared", "handler"


def named(deployment: DeploymentSpec) -> list[str]:
    """The engine, whether it has a share of a GPU, whether our handler stands before it."""
    shared = [SHARED] if deployment.placement.share is not None else []
    return [deployment.engine.name, *shared, *([HANDLER] if front.wanted(deployment) else [])]


@lru_cache(maxsize=64)
def patterns(words: Sequence[str]) -> dict[str, Any]:
    """For `unit.ready`, as JSON; empty lists for an engine that is not known any more. Nobody writes to it."""
    found = of(words)
    figures = {"figures": _told(found.figures)} if found.figures else {}
    return {"phases": _told(found.phases), "failures": _told(found.failures), **figures}


def of(words: Sequence[str]) -> LogPatterns:
    """By what `named` says."""
    engine = ENGINES.get(words[0]) if words else None
    found = engine.log if engine is not None else LogPatterns()
    if SHARED in words and found.shared:
        found = found._replace(failures=found.shared)
    return front.log(found) if HANDLER in words else found


def _told(patterns: Iterable[Phase | FailurePattern | Figure]) -> list[dict[str, Any]]:
    return [dict(pattern.as_json()) for pattern in patterns]
