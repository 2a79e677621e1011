"""Deciding, with what is said of each decision and the way back. Pure; owned by the plan place."""

from collections.abc import Sequence

from deployer.plan.describe import subject
from deployer.plan.model import Change, Plan
from deployer.plan.review import Decision, Review
from deployer.plan.words import count
from deployer.tui.line import Line, clean, cut, line, text_of

#: Decisions that can be taken back.
KEPT = 1000


class Reviewing:
    """`said`: what the last decision did, also to others."""

    def __init__(self, plan: Plan) -> None:
        self.review = Review.of(plan)
        self.said: Line = ()
        self._by_id = {change.id: change for change in plan.changes}
        self._past: list[Review] = []

    def undecided(self, change: str) -> bool:
        return self.review.decision(change) is Decision.PENDING

    # decisions on one change

    def toggle(self, change: Change) -> None:
        """Approve it, or take its approval back. What needs something that was rejected stays blocked: a rejection is only
        taken back where it was made.
        """
        if change.id in self.review.approved:
            self._undecide(change)
        elif change.id in self.review.blocked:
            needed = ", ".join(_short(one) for one in self.review.blockers(change.id)[:2])
            self.said = line(clean(f"{_short(change)} needs what is rejected: {needed}"))
        else:
            self._approve(change)

    def reject(self, change: Change) -> None:
        """Reject it, or take its rejection back."""
        if change.id in self.review.rejected:
            self._take(self.review.undecide([change.id]), "no longer rejected: ", _short(change))
            return
        before = self.review
        after = before.reject([change.id])
        taken = after.blocked - before.blocked - {change.id}
        self._take(after, "rejected ", _short(change), self._along("rejected with it", taken, "that need it", "that needs it"))

    def _approve(self, change: Change) -> None:
        before = self.review
        after = before.approve([change.id])
        brought = after.approved - before.approved - {change.id}
        along = self._along("approved with it", brought, "that it needs", "that it needs")
        grave = sum(1 for one in brought if self._by_id[one].destructive)
        self._take(after, "approved ", _short(change), along, f"; {grave} of them destructive" if grave else "")

    def _undecide(self, change: Change) -> None:
        before = self.review
        after = before.undecide([change.id])
        lost = before.approved - after.approved - {change.id}
        self._take(after, "undecided again: ", _short(change), self._along("with it", lost, "", ""))

    # decisions on many

    def toggle_all(self, changes: Sequence[str]) -> None:
        """Approve all of these that are not rejected; when none is undecided, undecide them."""
        before = self.review
        if any(before.decision(one) is Decision.PENDING for one in changes):
            after = before.approve_all(changes, destructive=True)
            new = after.approved - before.approved
            grave = sum(1 for one in new if self._by_id[one].destructive)
            self._take(after, f"approved: {count(len(new), 'change')}", f", {grave} of them destructive" if grave else "")
        else:
            self._take(before.undecide(changes), f"undecided again: {count(len(changes), 'change')}")

    def approve_careful(self, changes: Sequence[str]) -> None:
        """All of these that delete nothing and need nothing that does."""
        before = self.review
        after = before.approve_all(changes)
        new, left = after.approved - before.approved, [one for one in changes if before.decision(one) is Decision.PENDING]
        out = sum(1 for one in left if one not in after.approved)
        more = f"; {out} left out: destructive, or in need of what is" if out else ""
        self._take(after, f"approved: {count(len(new), 'change')}", more)

    def reject_all(self, changes: Sequence[str]) -> None:
        before = self.review
        after = before.reject(changes)
        taken = after.blocked - before.blocked - set(changes)
        along = self._along("rejected with them", taken, "that need them", "that needs them")
        self._take(after, f"rejected: {count(len(changes), 'change')}", along)

    def undo(self) -> None:
        """The last decision is taken back."""
        if self._past:
            self.review = self._past.pop()
            self.said = line("the last decision is taken back")
        else:
            self.said = line("there is no decision to take back")

    # what is said

    def _take(self, after: Review, *said: str) -> None:
        if after != self.review:
            self._past = [*self._past[-KEPT:], self.review]
            self.review = after
        self.said = line(clean("".join(said)))

    def _along(self, how: str, changes: frozenset[str], many: str, single: str) -> str:
        place = {one: n for n, one in enumerate(self._by_id)}
        named = [_short(self._by_id[one]) for one in sorted(changes, key=place.__getitem__)[:2]]
        number = len(changes)
        if not number:
            return ""
        more = ", …" if number > len(named) else ""
        words = f"{count(number, 'change')} {single if number == 1 else many}".rstrip()
        return f"; {how}: {words} ({', '.join(named)}{more})"


def _short(change: Change) -> str:
    return text_of(cut(line(subject(change)), 32))
