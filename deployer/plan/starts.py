"""What a start is expected to take, from the starts that hosts noted (agent/starts.py). Called by estimates.

An expectation is the longest of the last few starts that are nearest to the one to come: who plans for the longest is seldom
disappointed. It is an estimate: no part of a plan's identity, and nothing is refused by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deployer.plan.diff import UNKNOWN_START_S
from deployer.plan.model import Change
from deployer.plan.words import count
from deployer.state.observed import Observed, Reached
from deployer.state.resources import Kind, Resource

LAST = 5
#: Less is not worth a promise.
LEAST_S = 1.0
NOT_SEEN = "not seen yet"


@dataclass(frozen=True, slots=True)
class Start:
    """One start that a host noted. `model` without its version. `down_s` None: the old one was not stopped first."""

    host: str
    deployment: str
    at: str
    start_s: float
    down_s: float | None = None
    engine: str = ""
    model: str = ""


@dataclass(slots=True)
class Starts:
    """All that hosts told, oldest first, by what the next one may be like."""

    own: dict[tuple[str, str | None], list[Start]] = field(default_factory=dict)  # host, deployment
    here: dict[tuple[str, str, str], list[Start]] = field(default_factory=dict)  # host, engine, model
    alike: dict[tuple[str, str], list[Start]] = field(default_factory=dict)  # engine, model

    def add(self, start: Start) -> None:
        self.own.setdefault((start.host, start.deployment), []).append(start)
        self.here.setdefault((start.host, start.engine, start.model), []).append(start)
        self.alike.setdefault((start.engine, start.model), []).append(start)


class Expected(NamedTuple):
    """`basis`: where it is from, as "as the last 3 starts there"."""

    start_s: float
    down_s: float
    basis: str


UNKNOWN = Expected(UNKNOWN_START_S, UNKNOWN_START_S, NOT_SEEN)


def with_expectations(changes: Iterable[Change], observed: Observed) -> tuple[Change, ...]:
    """The same changes; those that start a replica say how long that takes, and for how long nobody answers meanwhile."""
    known, kind = starts(observed), Kind.REPLICA
    return tuple([_expecting(change, known) if change.kind is kind else change for change in changes])


def _expecting(change: Change, known: Starts) -> Change:
    after = change.after
    if after is None or not starting(change):
        return change
    found = expect(after, known)
    down = None if change.impact.downtime_s is None else found.down_s
    return change._replace(impact=change.impact._replace(start_s=found.start_s, start_basis=found.basis, downtime_s=down))


def starting(change: Change) -> bool:
    """Whether this change starts a replica."""
    before, after = change.before, change.after
    if change.kind is not Kind.REPLICA or after is None or not after.runs:
        return False
    return "create" in change.actions or before is None or not before.runs or change.impact.restarts > 0


def starts(observed: Observed) -> Starts:
    """What is no start is left out."""
    found, known = [], Starts()
    for host, reached in observed.items():
        if isinstance(reached, Reached):
            told: Mapping[str, Any] = reached.probe.get("starts") or {}
            found += [_start(host, name, one) for name, noted in told.items() for one in noted]
    for start in sorted((s for s in found if s is not None), key=lambda s: (s.at, s.host, s.deployment, s.start_s)):
        known.add(start)
    return known


def _start(host: str, deployment: str, noted: Mapping[str, Any]) -> Start | None:
    took, down = noted.get("start_s"), noted.get("down_s")
    if not isinstance(took, int | float):
        return None
    engine, model = str(noted.get("engine") or ""), _family(noted.get("model"))
    known_down = float(down) if isinstance(down, int | float) else None
    return Start(host, deployment, str(noted.get("at") or ""), float(took), known_down, engine, model)


def expect(replica: Resource, known: Starts) -> Expected:
    """From the nearest starts that there are: of this deployment here, else of its model and engine here, else elsewhere, else of
    this deployment here with another model."""
    if not known.own:  # nobody noted any
        return UNKNOWN
    engine, model = _shown(replica, "engine"), _family(_shown(replica, "model"))
    own = known.own.get((replica.host, replica.deployment), [])
    here = known.here.get((replica.host, engine, model), []) if model else []
    alike = known.alike.get((engine, model), []) if model else []
    nearest = (
        ([s for s in own if s.model in ("", model)], "as the last {} there"),
        (here, "as {} of the same model there"),
        (alike, "as {} of the same model on {}"),
        (own, "as the last {} there, of another model"),
    )
    for candidates, basis in nearest:
        if candidates:
            last = candidates[-LAST:]
            where = sorted({s.host for s in last})
            said = basis.format(_counted(len(last), basis), where[0] if len(where) == 1 else count(len(where), "other host"))
            return Expected(_longest(s.start_s for s in last), _down(last), said)
    return UNKNOWN


def _counted(number: int, basis: str) -> str:
    """ "5 starts", and "the last start" instead of "the last 1 start"."""
    return "start" if number == 1 and "the last" in basis else count(number, "start")


def _down(last: Sequence[Start]) -> float:
    """Replacements that stopped first tell it; else nobody answers while the new one starts."""
    known = [s.down_s for s in last if s.down_s is not None]
    return _longest(known or [s.start_s for s in last])


def _longest(seconds: Iterable[float]) -> float:
    return max(LEAST_S, *seconds)


def _shown(replica: Resource, name: str) -> str:
    attribute = replica.attribute(name)
    return str(attribute.value) if attribute is not None and attribute.value is not None else ""


def _family(model: object) -> str:
    """A model's folder without the digest of its version: "org--name" of "org--name/0e9e39f"."""
    name = str(model or "")
    return name if name.startswith("host:") else name.partition("/")[0]
