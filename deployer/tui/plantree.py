"""The plan review as a tree: sections, groups and changes in the order in which they are seen. Pure; drawn by planrows."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from deployer.plan.model import Drift, Finding, Notice, Plan, PlannedHost, Refusal
from deployer.tui.planfilter import SHARED, Entry

#: A plan with more changes than this opens with its groups folded.
MANY = 300


@dataclass(frozen=True, slots=True)
class Group:
    """A host or a deployment with the changes below it that are shown. `depth` 0 or 1."""

    key: str
    label: str
    depth: int
    open: bool
    entries: list[Entry]

    def counts(self) -> Counter[str]:
        return Counter(entry.verb for entry in self.entries)

    def downtime_s(self) -> float | None:
        """The longest interruption below, in seconds."""
        known = [e.change.impact.downtime_s for e in self.entries if e.change.impact.downtime_s is not None]
        return max(known, default=None)


@dataclass(frozen=True, slots=True)
class Section:
    """A headline: what stands below it is no change. `role`: how it is drawn."""

    key: str
    label: str
    role: str = "bold"


@dataclass(frozen=True, slots=True)
class Item:
    """A refusal, a finding, a host that did not answer, a drift, something worth knowing."""

    key: str
    what: Refusal | Finding | Drift | Notice | PlannedHost
    host: str | None = None


_HOST, _GROUP = attrgetter("host"), attrgetter("group")

Node = Section | Group | Entry | Item


class PlanTree:
    """`by`: "host" or "deployment" at the top. `folded`: keys of the groups whose changes are not shown."""

    def __init__(self, plan: Plan, by: str = "host") -> None:
        self.plan = plan
        self.by = by
        self._entries = [Entry.of(change) for change in plan.changes]
        self._ordered: dict[str, list[Entry]] = {}
        self._keys: frozenset[str] | None = None
        self.folded = self.folds(self._entries)

    def folds(self, entries: list[Entry]) -> set[str]:
        """What is folded at first when these are shown: all groups, when these are many."""
        return set(self.groups()) if len(entries) > MANY else set()

    def groups(self) -> frozenset[str]:
        """Keys of all groups, in both ways of grouping."""
        if self._keys is None:
            self._keys = frozenset(key for by in ("host", "deployment") for e in self._entries for key in _above(e, by))
        return self._keys

    def above(self, entry: Entry) -> tuple[str, str]:
        """Keys of the groups that a change stands below."""
        return _above(entry, self.by)

    @property
    def entries(self) -> list[Entry]:
        """All changes, in the order in which they stand in the tree, with what is shared first."""
        if self.by not in self._ordered:
            self._ordered[self.by] = sorted(self._entries, key=_by_host if self.by == "host" else _by_deployment)
        return self._ordered[self.by]

    def nodes(self, shown: list[Entry], folded: Collection[str], *, changes_only: bool = False) -> list[Node]:
        """The lines: `shown` of the changes, in the order of `entries`. `changes_only`: without what is no change."""
        found: list[Node] = [] if changes_only else self._before()
        if found and shown:
            found.append(Section("section:changes", "Changes"))
        outer, inner = (_HOST, _GROUP) if self.by == "host" else (_GROUP, _HOST)
        for top, below in groupby(shown, outer):
            key, every = f"{self.by}:{top}", list(below)
            found.append(Group(key, top, 0, key not in folded, every))
            if key in folded:
                continue
            for name, some in groupby(every, inner):
                under, entries = f"{key}/{name}", list(some)
                found.append(Group(under, name, 1, under not in folded, entries))
                if under not in folded:
                    found += entries
        return found if changes_only else [*found, *self._after()]

    def _before(self) -> list[Node]:
        """What keeps a plan from being done, and what it could not see."""
        found: list[Node] = []
        if self.plan.refusals:
            found.append(Section("section:refusals", "Refused: nothing can be applied", "bold bad"))
            found += [Item(f"refusal:{n}", refusal, refusal.host) for n, refusal in enumerate(self.plan.refusals)]
        if self.plan.unreachable:
            found.append(Section("section:unreachable", "Unreachable: left as they are", "bold warn"))
            found += [Item(f"unreachable:{name}", self.plan.hosts[name], name) for name in self.plan.unreachable]
        if self.plan.findings:
            found.append(Section("section:findings", "Preflight: may go wrong", "bold warn"))
            found += [Item(f"finding:{n}", finding, finding.host) for n, finding in enumerate(self.plan.findings)]
        return found

    def _after(self) -> list[Node]:
        """What was found beside the intent."""
        found: list[Node] = []
        drifted = (*self.plan.drift, *self.plan.ignored)
        if drifted:
            found.append(Section("section:drift", "Drift: changed on the hosts by someone else"))
            found += [Item(f"drift:{n}", drift, drift.host) for n, drift in enumerate(drifted)]
        said = [notice for notice in self.plan.notices if notice.code != "unreachable"]
        if said:
            found.append(Section("section:notices", "Worth knowing"))
            found += [Item(f"notice:{n}", notice, notice.host) for n, notice in enumerate(said)]
        return found


def _above(entry: Entry, by: str) -> tuple[str, str]:
    top, name = (entry.host, entry.group) if by == "host" else (entry.group, entry.host)
    return f"{by}:{top}", f"{by}:{top}/{name}"


def _by_host(entry: Entry) -> tuple[str, bool, str]:
    return entry.host, entry.group != SHARED, entry.group


def _by_deployment(entry: Entry) -> tuple[bool, str, str]:
    return entry.group != SHARED, entry.group, entry.host
