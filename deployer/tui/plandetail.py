"""All that is known about what the cursor stands on in the plan review: where, why, cost, attributes, files, neighbours. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from deployer.plan import computing
from deployer.plan.describe import cost, rollout_words, subject
from deployer.plan.filetexts import FileText, compared, written
from deployer.plan.model import Change, Delta, Drift, Finding, Notice, PlannedHost, Refusal
from deployer.plan.review import Decision, Review
from deployer.plan.text import shown, totals
from deployer.plan.words import count
from deployer.state.resources import Attribute, Kind
from deployer.tui import fitbar
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, clean, line
from deployer.tui.planfilter import Entry
from deployer.tui.planrows import BOXES, VERB_ROLES, vram
from deployer.tui.plantree import Group, Item, Node

#: Lines of a new file that are shown before it is unfolded.
FIRST_LINES = 6
DECIDED = {
    Decision.PENDING: "not decided",
    Decision.APPROVED: "approved",
    Decision.REJECTED: "rejected",
    Decision.BLOCKED: "cannot be done: it needs what is rejected",
}


@dataclass(frozen=True, slots=True)
class Detail:
    """`memory`: of a GPU by UUID, bytes. `unfolded`: what did not change is shown too."""

    review: Review
    glyphs: Glyphs
    memory: Mapping[str, int]
    unfolded: bool = False

    def of(self, node: Node | None) -> list[Line]:
        if isinstance(node, Entry):
            return list(self._change(node))
        if isinstance(node, Group):
            return list(self._group(node))
        if isinstance(node, Item):
            return list(self._item(node))
        return []

    # a change

    def _change(self, entry: Entry) -> Iterator[Line]:
        change, role = entry.change, VERB_ROLES.get(entry.verb, "")
        yield line((f"{self.glyphs.verbs.get(entry.verb, '?')} {entry.verb} ", f"bold {role}"), (clean(entry.subject), "bold"))
        yield _named("where", f"{change.host}{f' / {change.deployment}' if change.deployment else ''}")
        decision = self.review.decision(change.id)
        yield line(("decided  ", "dim"), BOXES[decision], f" {DECIDED[decision]}")
        yield _named("why", ("drift: " if change.drift else "") + change.reason)
        yield _named("costs", cost(change))
        if computes := computing.line(change):
            yield _named("runs", computes)
        yield from fitbar.lines(change, self.glyphs)
        if change.source:
            yield _named("from", str(change.source))
        yield from self._rollout(change.deployment, change)
        memory = vram(change, self.glyphs, self.memory)
        if memory:
            yield _named("memory", memory)
        yield from self._neighbours(change)
        yield from self._attributes(change)
        for file in written(change):
            yield from self._file(file)

    def _rollout(self, deployment: str | None, change: Change | None = None) -> Iterator[Line]:
        """How the replicas are replaced and why; of one change also when its turn is."""
        rollout = self.review.plan.rollouts.get(deployment or "")
        if rollout is None or (change is not None and change.kind is not Kind.REPLICA):
            return
        if change is not None and rollout.waves > 1:
            yield _named("rollout", f"wave {change.wave} of {rollout.waves}, {rollout.strategy}: {rollout.why}")
        else:
            yield _named("rollout", rollout_words(rollout))

    def _neighbours(self, change: Change) -> Iterator[Line]:
        links, by_id = self.review.links, {c.id: c for c in self.review.plan.changes}
        for word, ids in (("needs", links.needs.get(change.id, ())), ("for", links.needed_by.get(change.id, ()))):
            for one in ids:
                other = by_id[one]
                where = f"{other.host}  " if other.host != change.host else ""
                yield line((f"{word:<9}", "dim"), BOXES[self.review.decision(one)], f" {where}{clean(subject(other))}")
        for drift in self.review.plan.drift:
            if drift.change == change.id:
                yield _named("drift", f"{drift.what}: {drift.remedy}")
        for notice in self.review.plan.notices:
            about = notice.deployment == change.deployment if notice.deployment else notice.host == change.host
            if about and (notice.host in (None, change.host)) and (notice.deployment or notice.host):
                yield _named("note", notice.what)

    def _attributes(self, change: Change) -> Iterator[Line]:
        resource = change.after or change.before
        told = {delta.name for delta in change.deltas}
        same = [a for a in (resource.attributes if resource else ()) if a.name not in told]
        if not change.deltas and not same:
            return
        yield ()
        for delta in change.deltas:
            yield from self._delta(change, delta)
        if self.unfolded or not change.deltas:
            yield from (_attribute(a) for a in same)
            if change.deltas and same:
                yield line((f"  {self.glyphs.fold} z folds what did not change", "dim"))
        elif same:
            yield line((f"  {self.glyphs.fold} {len(same)} unchanged (z)", "dim"))

    def _delta(self, change: Change, delta: Delta) -> Iterator[Line]:
        effect = "  needs a new process" if delta.restarts and "create" in change.actions else ""
        where = f"  {delta.source}" if delta.source and delta.source != change.source else ""
        yield line(("~ ", "update"), (clean(delta.name), "bold"), (effect, "warn"), (where, "dim"))
        yield line(("  - ", "bad"), (clean(shown(delta.before, delta.secret)), "bad"))
        yield line(("  + ", "good"), (clean(shown(delta.after, delta.secret)), "good"))

    def _file(self, file: FileText) -> Iterator[Line]:
        yield ()
        how = "new file" if file.before is None else "file goes" if file.after is None else "file"
        yield line((f"{how} ", "dim"), (file.path, "bold"))
        if file.was:
            yield line(("  before   ", "dim"), file.was)
        if file.after is None and not self.unfolded:
            yield line((f"  {self.glyphs.fold} {count(len((file.before or '').splitlines()), 'line')} (z)", "dim"))
            return
        lines = list(compared(file, None if self.unfolded else 3))
        room = len(lines) if self.unfolded or file.before is not None else FIRST_LINES
        for one in lines[:room]:
            if one.mark == "…":
                yield line((f"  {self.glyphs.fold} {count(int(one.text), 'line')} as before (z)", "dim"))
            else:
                role = {"-": "bad", "+": "good"}.get(one.mark, "")
                yield line((f"{one.mark} {clean(one.text)}", role))
        if len(lines) > room:
            yield line((f"  {self.glyphs.fold} {len(lines) - room} more lines (z)", "dim"))

    # what is no change

    def _group(self, group: Group) -> Iterator[Line]:
        yield line((clean(group.label), "bold"))
        changes = tuple(entry.change for entry in group.entries)
        below = replace(self.review.plan, changes=changes, hosts={})
        yield _named("below", f" {self.glyphs.dot} ".join(totals(below)))
        yield from self._rollout(group.label)
        for decision in Decision:
            number = sum(1 for change in changes if self.review.decision(change.id) is decision)
            if number:
                yield line(("         ", ""), BOXES[decision], f" {number} {DECIDED[decision]}")
        yield ()
        yield line(("space approves all of it, a what deletes nothing, x rejects it", "dim"))

    def _item(self, item: Item) -> Iterator[Line]:
        what = item.what
        if isinstance(what, Refusal):
            yield line((f"{self.glyphs.bad} ", "bad"), (clean(what.what), "bold"))
            yield from (line("    ", clean(detail)) for detail in what.details)
            yield from _where(what.host, what.deployment, what.source)
            yield from _hint(what.hint)
        elif isinstance(what, Finding):
            yield line(("! ", "warn"), (clean(what.what), "bold"))
            yield _named("why", what.why)
            yield from _where(what.host, what.deployment, what.source)
            yield from _hint(what.do)
        elif isinstance(what, PlannedHost):
            yield line(("? ", "warn"), (f"{item.host} is unreachable", "bold"))
            yield _named("why", what.error or "no answer")
            for notice in self.review.plan.notices:
                if notice.code == "unreachable" and notice.host == item.host:
                    yield _named("so", notice.what)
            yield from _hint(what.hint)
        elif isinstance(what, Drift):
            yield from self._drift(what)
        elif isinstance(what, Notice):
            yield line((clean(what.what), "bold"))
            yield from _where(what.host, what.deployment, what.source)
            yield from _hint(what.hint)

    def _drift(self, drift: Drift) -> Iterator[Line]:
        yield line((clean(drift.what), "bold"))
        yield from _where(drift.host, drift.deployment, None)
        if drift.before or drift.after:
            yield line(("  - ", "bad"), (clean(shown(drift.before)), "bad"))
            yield line(("  + ", "good"), (clean(shown(drift.after)), "good"))
        yield _named("then", f"left alone: the rule at {drift.source}" if drift.source else drift.remedy)
        for change in self.review.plan.changes:
            if change.id == drift.change:
                yield _named("by", subject(change))


def _named(name: str, text: str) -> Line:
    return line((f"{name:<9}", "dim"), clean(text))


def _attribute(attribute: Attribute) -> Line:
    return line((f"  {clean(attribute.name)}  ", "dim"), clean(shown(attribute.value, attribute.secret)))


def _where(host: str | None, deployment: str | None, source: object) -> Iterator[Line]:
    where = " / ".join(one for one in (host, deployment) if one)
    if where:
        yield _named("where", where)
    if source:
        yield _named("from", str(source))


def _hint(hint: str | None) -> Iterator[Line]:
    if hint:
        yield line(("do       ", "bold"), clean(hint))
