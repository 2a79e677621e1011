"""Approving a plan change by change. Pure: a review is a value, every decision makes a new one.

What is approved brings along what it needs; what is rejected takes along what needs it. So the approved part can always
be done as it stands. Used by the terminal UI.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from deployer.plan.model import Change, Plan
from deployer.plan.subset import by_changes, dependents


class Decision(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    BLOCKED = "blocked"  # needs something that was rejected


@dataclass(frozen=True, slots=True)
class Review:
    """Decisions on the changes of one plan, by id. Nothing is approved at the start."""

    plan: Plan
    approved: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()

    def decision(self, change: str) -> Decision:
        if change in self.rejected:
            return Decision.REJECTED
        if change in self.blocked:
            return Decision.BLOCKED
        return Decision.APPROVED if change in self.approved else Decision.PENDING

    def approve(self, changes: Iterable[str], *, destructive: bool = True) -> "Review":
        """These and all that they need; what was rejected of that is approved again. With `destructive` False, changes
        that delete something are left out, and so is what needs them.
        """
        wanted = set(changes)
        if not destructive:
            grave = {c.id for c in self.plan.changes if c.destructive and c.id not in self.approved}
            wanted = {one for one in wanted if not grave & (self._needs({one}) | {one})}
        wanted |= self._needs(wanted)
        return self._settled(self.approved | wanted, self.rejected - wanted)

    def reject(self, changes: Iterable[str]) -> "Review":
        """These; what needs them is blocked."""
        out = frozenset(changes)
        return self._settled(self.approved - out, self.rejected | out)

    def undecide(self, changes: Iterable[str]) -> "Review":
        """Neither approved nor rejected; what needs them is no longer approved either."""
        out = frozenset(changes)
        lost = frozenset(dependents(self.plan, out))
        return self._settled(self.approved - out - lost, self.rejected - out)

    def blockers(self, change: str) -> tuple[Change, ...]:
        """The rejected changes for whose sake this one cannot be done."""
        needed = self._needs({change}) & self.rejected
        return tuple(c for c in self.plan.changes if c.id in needed)

    def part(self) -> Plan:
        """Exactly what was approved, as a plan of its own; the plan itself when that is all of it."""
        return by_changes(self.plan, self.approved)

    def _needs(self, changes: Collection[str]) -> set[str]:
        by_id = {c.id: c for c in self.plan.changes}
        found: set[str] = set()
        left = list(changes)
        while left:
            change = by_id.get(left.pop())
            more = [one for one in (change.depends_on if change else ()) if one in by_id and one not in found]
            found.update(more)
            left += more
        return found

    def _settled(self, approved: frozenset[str], rejected: frozenset[str]) -> "Review":
        blocked = frozenset(dependents(self.plan, rejected)) - rejected
        return replace(self, approved=approved - blocked - rejected, rejected=rejected, blocked=blocked)
