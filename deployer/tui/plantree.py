"""The plan review as a tree: sections, groups and changes in the order in which they are seen. Pure; drawn by planrows."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from deployer.plan.model import Drift, Notice, Plan, PlannedHost, Refusal
from deployer.tui.planfilter import Entry, Fits

#: A plan with more changes than this opens with its groups folded.
MANY = 300

#: What belongs to a host and to no deployment.
SHARED = "shared by deployments"


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
    """A refusal, a host that did not answer, a drift, something worth knowing."""

    key: str
    what: Refusal | Drift | Notice | PlannedHost
    host: str | None = None


Node = Section | Group | Entry | Item
Below = dict[str, dict[str, list[Entry]]]


@dataclass(slots=True)
class PlanTree:
    """`by`: "host" or "deployment" at the top. `folded`: keys of the groups whose changes are not shown."""

    plan: Plan
    by: str = "host"
    folded: set[str] = field(default_factory=set)
    _entries: list[Entry] = field(default_factory=list)
    _grouped: dict[str, Below] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._entries = [Entry.of(change) for change in self.plan.changes]
        if len(self._entries) > MANY:
            self.folded = self.groups()

    # folding

    def groups(self) -> set[str]:
        """Keys of all groups, in both ways of grouping."""
        found: set[str] = set()
        for by in ("host", "deployment"):
            for top, below in self._below(by).items():
                found.add(f"{by}:{top}")
                found.update(f"{by}:{top}/{name}" for name in below)
        return found

    def above(self, entry: Entry) -> tuple[str, str]:
        """Keys of the groups that a change stands below."""
        top, name = self._names(entry, self.by)
        return f"{self.by}:{top}", f"{self.by}:{top}/{name}"

    # what is shown

    @property
    def entries(self) -> list[Entry]:
        """All changes, in the order in which they stand in the tree."""
        return [entry for below in self._below(self.by).values() for entries in below.values() for entry in entries]

    def nodes(self, fits: Fits, folded: Collection[str] | None = None, *, changes_only: bool = False) -> list[Node]:
        """What is shown of it. `folded`: other folds than its own; `changes_only`: without what is no change."""
        folded = self.folded if folded is None else folded
        found: list[Node] = [] if changes_only else self._before()
        groups: list[Node] = []
        for top, below in self._below(self.by).items():
            fitting = {name: kept for name, entries in below.items() if (kept := [e for e in entries if fits(e)])}
            if fitting:
                groups += self._group(top, fitting, folded)
        if groups and found:
            found.append(Section("section:changes", "Changes"))
        return [*found, *groups, *([] if changes_only else self._after())]

    def _group(self, top: str, below: dict[str, list[Entry]], folded: Collection[str]) -> Iterable[Node]:
        key = f"{self.by}:{top}"
        every = [entry for entries in below.values() for entry in entries]
        yield Group(key, top, 0, key not in folded, every)
        if key in folded:
            return
        for name, entries in below.items():
            inner = f"{key}/{name}"
            yield Group(inner, name, 1, inner not in folded, entries)
            if inner not in folded:
                yield from entries

    def _below(self, by: str) -> Below:
        if by not in self._grouped:
            found: Below = {}
            for entry in self._entries:
                top, name = self._names(entry, by)
                found.setdefault(top, {}).setdefault(name, []).append(entry)
            self._grouped[by] = dict(sorted(found.items(), key=lambda item: (item[0] == SHARED, item[0])))
        return self._grouped[by]

    def _names(self, entry: Entry, by: str) -> tuple[str, str]:
        host, deployment = entry.change.host, entry.change.deployment or SHARED
        return (host, deployment) if by == "host" else (deployment, host)

    def _before(self) -> list[Node]:
        """What keeps a plan from being done, and what it could not see."""
        found: list[Node] = []
        if self.plan.refusals:
            found.append(Section("section:refusals", "Refused: nothing can be applied", "bold bad"))
            found += [Item(f"refusal:{n}", refusal, refusal.host) for n, refusal in enumerate(self.plan.refusals)]
        if self.plan.unreachable:
            found.append(Section("section:unreachable", "Unreachable: left as they are", "bold warn"))
            found += [Item(f"unreachable:{name}", self.plan.hosts[name], name) for name in self.plan.unreachable]
        return found

    def _after(self) -> list[Node]:
        """What was found beside the intent."""
        found: list[Node] = []
        if self.plan.drift:
            found.append(Section("section:drift", "Drift: changed on the hosts by someone else"))
            found += [Item(f"drift:{n}", drift, drift.host) for n, drift in enumerate(self.plan.drift)]
        said = [notice for notice in self.plan.notices if notice.code != "unreachable"]
        if said:
            found.append(Section("section:notices", "Worth knowing"))
            found += [Item(f"notice:{n}", notice, notice.host) for n, notice in enumerate(said)]
        return found
