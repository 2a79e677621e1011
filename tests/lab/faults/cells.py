"""The matrix: which fault at which step boundary of which operation. Made from the real plan's own steps, so that a step
which is new is covered by being there. Pure; used by matrix.py.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deployer.agent import wire


class Fault(StrEnum):
    CONTROLLER = "controller killed"
    ATTACHED = "controller killed, attached from elsewhere"
    AGENT = "agent killed"
    REBOOT = "host rebooted"
    CUT = "link cut for good"
    CUT_20 = "link cut for 20 s"
    DISK = "disk full"
    ENGINE_EXIT = "engine exits at start"
    ENGINE_0 = "engine exits 0 later"
    ENGINE_HANG = "engine hangs on inference"
    DIGEST = "wrong digest"
    CLOCK = "clock jump"
    OPERATOR = "second operator"


@dataclass(frozen=True, slots=True)
class StepAt:
    """A step of the plan and where it stands. `deployment`: of its transaction. `edge`: the first or last of its stage there."""

    id: str
    kind: str
    stage: str
    label: str
    deployment: str | None
    edge: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """`moment` "before": nothing of the step is done; "after": all of it, and the journal does not say so yet."""

    operation: str
    step: str
    kind: str
    label: str
    fault: Fault
    moment: str = "before"

    @property
    def key(self) -> str:
        return f"{self.operation} | {self.step} | {self.moment} | {self.fault}"


def steps_of(transactions: Iterable[wire.Transaction]) -> list[StepAt]:
    """In the order in which a host does them: stage by stage, and transaction by transaction inside."""
    every = list(transactions)
    stages = sorted({step["stage"] for t in every for step in t["steps"]}, key=wire.stage_rank)
    found = []
    for stage in stages:
        for transaction in every:
            mine = [step for step in transaction["steps"] if step["stage"] == stage]
            for step in mine:
                edge = step in (mine[0], mine[-1])
                found.append(StepAt(step["id"], step["kind"], stage, step["label"], transaction.get("deployment"), edge))
    return found


def _always(step: StepAt) -> bool:
    return True


def _heard(step: StepAt) -> bool:
    return step.edge or step.kind == "blob.receive"


#: Where a fault has a meaning. Every other combination is left out of the matrix, and this is why:
#: an engine that cannot start is met where one is started; bytes can be wrong where bytes are brought; who attaches from another
#: machine cannot bring the bytes that only the first one had; and between two barriers a run asks nobody, but for bytes, so what
#: becomes of its controller is tried at the first and the last step of a stage.
WHERE: dict[Fault, Callable[[StepAt], bool]] = {
    Fault.CONTROLLER: _heard,
    Fault.CUT: _heard,
    Fault.CUT_20: _heard,
    Fault.OPERATOR: _heard,
    Fault.ENGINE_EXIT: lambda step: step.kind == "unit.start",
    Fault.ENGINE_HANG: lambda step: step.kind == "unit.start",
    Fault.ATTACHED: lambda step: _heard(step) and step.kind != "blob.receive",
    Fault.DIGEST: lambda step: step.kind in ("model.push", "tool.install"),
}

#: Faults for which it matters whether a step was done and not yet said to be done.
TWICE = (Fault.AGENT, Fault.REBOOT)


def cells_of(operation: str, steps: Sequence[StepAt]) -> list[Cell]:
    found = []
    for step in steps:
        for fault in Fault:
            if not WHERE.get(fault, _always)(step):
                continue
            moments = ("before", "after") if fault in TWICE else ("before",)
            found += [Cell(operation, step.id, step.kind, step.label, fault, moment) for moment in moments]
    return found


def sample(cells: Sequence[Cell], seed: int, most: int) -> list[Cell]:
    """A part of the matrix, the same for the same seed: every fault, every kind of step and every operation is in it as long
    as `most` allows; what is left is chosen freely. In the matrix's own order.
    """
    chance = random.Random(seed)
    left = list(cells)
    chance.shuffle(left)
    seen: Counter[str] = Counter()
    chosen: list[Cell] = []
    while left and len(chosen) < most:
        best = min(left, key=lambda cell: _known(cell, seen))  # the first of the equally new ones, so the shuffle decides
        left.remove(best)
        chosen.append(best)
        seen.update(_marks(best))
    order = {cell: number for number, cell in enumerate(cells)}
    return sorted(chosen, key=order.__getitem__)


def _marks(cell: Cell) -> tuple[str, str, str, str]:
    return f"fault {cell.fault}", f"kind {cell.kind}", f"operation {cell.operation}", f"moment {cell.moment}"


def _known(cell: Cell, seen: Counter[str]) -> tuple[int, int]:
    """How many of its marks were met already, and how often: fewest first."""
    marks = _marks(cell)
    return sum(mark in seen for mark in marks[:3]), sum(seen[mark] for mark in marks)
