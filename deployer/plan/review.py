"""Approving a plan change by change. Pure: a review is a value, every decision makes a new one.

What is approved brings along what it needs, and gives it up again when the approval is taken back; what is rejected takes
along what needs it. So the approved part can always be done as it stands. Used by the terminal UI.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from deployer.plan.links import Links
from deployer.plan.model import Change, Plan
from deployer.plan.subset import by_changes


class Decision(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    BLOCKED = "blocked"  # needs something that was rejected


@dataclass(frozen=True, slots=True)
class Review:
    """Decisions on the changes of one plan, by id. Nothing is approved at the start.

    `asked`: what a person approved; `approved`: that and all it needs. `rejected`: what a person rejected; `blocked`: what
    needs one of those.
    """

    plan: Plan
    links: Links = field(compare=False, repr=False)
    asked: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, plan: Plan) -> "Review":
        return cls(plan, Links.of(plan))

    def decision(self, change: str) -> Decision:
        if change in self.approved:
            return Decision.APPROVED
        if change in self.rejected:
            return Decision.REJECTED
        return Decision.BLOCKED if change in self.blocked else Decision.PENDING

    def approve(self, changes: Iterable[str]) -> "Review":
        """These and all that they need; what was rejected of that is approved again."""
        wanted = frozenset(changes)
        return self._settled(self.asked | wanted, self.rejected - wanted - self.links.all_needs(wanted))

    def approve_all(self, changes: Iterable[str], *, destructive: bool = False) -> "Review":
        """Of these, what was not rejected and is not blocked; without `destructive` nothing that deletes something, nor what
        needs that, unless it was approved before.
        """
        out = set(self.rejected | self.blocked)
        if not destructive:
            out |= {c.id for c in self.plan.changes if c.destructive} - self.approved
        out |= self.links.all_dependents(out)
        return self._settled(self.asked | (frozenset(changes) - out), self.rejected)

    def reject(self, changes: Iterable[str]) -> "Review":
        """These; what needs them is blocked."""
        return self._settled(self.asked, self.rejected | frozenset(changes))

    def undecide(self, changes: Iterable[str]) -> "Review":
        """Neither approved nor rejected; what needs them is no longer approved either."""
        out = frozenset(changes)
        return self._settled(self.asked - out - self.links.all_dependents(out), self.rejected - out)

    def blockers(self, change: str) -> tuple[Change, ...]:
        """The rejected changes for whose sake this one cannot be done."""
        needed = self.links.all_needs((change,)) & self.rejected
        return tuple(c for c in self.plan.changes if c.id in needed)

    @property
    def approved_changes(self) -> tuple[Change, ...]:
        return tuple(c for c in self.plan.changes if c.id in self.approved)

    def part(self) -> Plan:
        """Exactly what was approved, as a plan of its own; the plan itself when that is all of it."""
        return by_changes(self.plan, self.approved)

    def _settled(self, asked: frozenset[str], rejected: frozenset[str]) -> "Review":
        blocked = frozenset(self.links.all_dependents(rejected)) - rejected
        asked = asked - rejected - blocked
        return replace(self, asked=asked, rejected=rejected, approved=asked | self.links.all_needs(asked), blocked=blocked)
