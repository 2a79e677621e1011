"""Which change needs which, both ways, read from a plan once. Used where a part of a plan is made or reviewed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deployer.plan.model import Plan

Edges = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Links:
    """Ids of changes. `needs` and `needed_by` hold the direct ones, of this plan only."""

    needs: Edges
    needed_by: Edges

    @classmethod
    def of(cls, plan: Plan) -> "Links":
        every = {change.id for change in plan.changes}
        needs = {c.id: tuple(one for one in c.depends_on if one in every) for c in plan.changes if c.depends_on}
        needed_by: dict[str, list[str]] = {}
        for change, needed in needs.items():
            for one in needed:
                needed_by.setdefault(one, []).append(change)
        return cls(needs, {one: tuple(by) for one, by in needed_by.items()})

    def all_needs(self, changes: Iterable[str]) -> set[str]:
        """All that these need, directly or not."""
        return _reached(changes, self.needs)

    def all_dependents(self, changes: Iterable[str]) -> set[str]:
        """All that need one of these, directly or not."""
        return _reached(changes, self.needed_by)


def _reached(start: Iterable[str], edges: Edges) -> set[str]:
    """What the edges lead to; of `start` itself only what one of the others leads to."""
    found: set[str] = set()
    left = list(start)
    while left:
        for one in edges.get(left.pop(), ()):
            if one not in found:
                found.add(one)
                left.append(one)
    return found
