"""The phases of an apply: what is done before all waves, and in each wave of the rollouts. Counted by steprows, drawn by the
terminal UI.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.agent.wire import stage_rank

#: In their order. "hold": the new one must stand for a while before the old one goes; "let go": the old one's requests end.
PARTS = ("artifacts", "drain", "start", "switch", "hold", "let go", "finish")
_PART_OF = dict.fromkeys(("artifacts", "copies"), "artifacts")
_PART_OF |= {"drain": "drain", "switch": "start", "gateway": "switch", "finish": "finish"}
#: Steps in which the new one must hold: beside nothing, or with a share of the requests.
HOLDING = ("unit.steady", "canary.watch")
#: Steps that end an old process beside which the new one stood.
ENDING = ("gateway.drained", "unit.stop")


@dataclass(frozen=True, slots=True)
class Phase:
    """One of PARTS in a wave (0: before all waves); `counts`: how many of its steps are in which state."""

    wave: int
    part: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def ended(self) -> bool:
        return not self.counts.get("waiting") and not self.counts.get("running")

    @property
    def state(self) -> str:
        """ "waiting", "running", "failed", "done", or "undone" when it ended without being done."""
        if self.counts.get("failed"):
            return "failed"
        if not self.ended:
            return "running" if self.counts.get("running") or self.counts.get("done") else "waiting"
        return "done" if self.counts.get("done", 0) == self.total else "undone"


def place(stage: str, kind: str) -> tuple[int, str]:
    """Wave and part of a step, by its stage ("gateway-2") and its kind ("unit.steady")."""
    part = _PART_OF.get(stage.partition("-")[0], "")
    return stage_rank(stage)[0], "hold" if part == "switch" and kind in HOLDING else part


def in_order(counts: Mapping[tuple[int, str], Mapping[str, int]]) -> tuple[Phase, ...]:
    keys = sorted(counts, key=lambda key: (key[0], PARTS.index(key[1])))
    return tuple(Phase(wave, part, dict(counts[wave, part])) for wave, part in keys)
