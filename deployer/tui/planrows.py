"""One line of the plan review for each node of its tree. Pure; called for the lines in sight."""

from collections.abc import Mapping

from deployer.plan.describe import rollout_words
from deployer.plan.model import Change, Drift, Finding, Notice, PlannedHost, Refusal
from deployer.plan.review import Decision, Review
from deployer.plan.text import shown
from deployer.plan.words import count, duration, size
from deployer.state.resources import Kind, Resource
from deployer.tui import fitbar
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, Span, clean, line
from deployer.tui.planfilter import Entry
from deployer.tui.plantree import Group, Item, Node, Section
from deployer.tui.widgets.rows import Row

BOXES: Mapping[Decision, Span] = {
    Decision.PENDING: ("[ ]", "dim"),
    Decision.APPROVED: ("[x]", "good"),
    Decision.REJECTED: ("[-]", "bad"),
    Decision.BLOCKED: ("[!]", "warn"),
}
VERB_ROLES = {"create": "create", "update": "update", "replace": "replace", "delete": "delete", "undo": "undo", "adopt": "update"}
GIB = 1 << 30


def row(node: Node, review: Review, glyphs: Glyphs, totals: Mapping[str, int]) -> Row:
    """`totals`: memory of a GPU in bytes by its UUID, as far as it is known."""
    if isinstance(node, Entry):
        return _change(node, review, glyphs, totals)
    if isinstance(node, Group):
        return _group(node, review, glyphs)
    if isinstance(node, Section):
        return Row(node.key, line((node.label, node.role)), note=True)
    return _item(node, glyphs)


def _change(entry: Entry, review: Review, glyphs: Glyphs, totals: Mapping[str, int]) -> Row:
    decision = review.decision(entry.key)
    role = VERB_ROLES.get(entry.verb, "")
    dim = "dim" if decision in (Decision.REJECTED, Decision.BLOCKED) else ""
    change = entry.change
    if decision is Decision.BLOCKED:
        why = "needs what is rejected"
    elif change.kind is Kind.DEPLOYMENT and change.deltas:
        why = ""  # its subject says what differs
    else:
        why = f"drift: {change.reason}" if change.drift else change.reason
    left = line(
        "    ",
        BOXES[decision],
        (f" {verb_sign(entry.verb, glyphs)} {entry.verb:<8}", role),
        (clean(entry.subject), dim),
        (f"  {clean(why)}", "dim"),
    )
    return Row(entry.key, left, (*_wave(change, review), *impact(change, glyphs, totals)))


def _wave(change: Change, review: Review) -> Line:
    """In which round of its rollout a replica is replaced, when there are several."""
    rollout = review.plan.rollouts.get(change.deployment or "")
    if rollout is None or rollout.waves < 2 or change.kind is not Kind.REPLICA:
        return ()
    return line((f"wave {change.wave}/{rollout.waves}  ", "accent"))


def verb_sign(verb: str, glyphs: Glyphs) -> str:
    return f"{glyphs.verbs.get(verb, '?'):<{max(map(len, glyphs.verbs.values()))}}"


def _group(group: Group, review: Review, glyphs: Glyphs) -> Row:
    counts = group.counts()
    approved = sum(1 for entry in group.entries if entry.key in review.approved)
    total = len(group.entries)
    parts: list[Span] = [
        ("  " * group.depth + f"{glyphs.opened if group.open else glyphs.closed} ", "dim"),
        (clean(group.label), "bold" if not group.depth else ""),
        ("  ", ""),
    ]
    for verb in ("create", "update", "replace", "delete", "undo"):
        if counts[verb]:
            parts.append((f"{glyphs.verbs[verb]}{counts[verb]} ", VERB_ROLES[verb]))
    rollout = review.plan.rollouts.get(group.label)
    if rollout is not None:
        parts.append((f" {clean(rollout_words(rollout))}", "dim"))
    down = group.downtime_s()
    right: list[Span] = [(f"{duration(down)} down  ", "warn")] if down is not None else []
    right.append((f"ok {approved}/{total}", "good" if approved == total else "" if approved else "dim"))
    return Row(group.key, tuple(parts), tuple(right))


def _item(item: Item, glyphs: Glyphs) -> Row:
    what = item.what
    if isinstance(what, Refusal):
        left = line(("  ", ""), (f"{glyphs.bad} ", "bad"), clean(what.what))
        return Row(item.key, left, line((str(what.source), "dim")) if what.source else ())
    if isinstance(what, Finding):
        left = line(("  ", ""), ("! ", "warn"), clean(what.what))
        return Row(item.key, left, line((str(what.source), "dim")) if what.source else ())
    if isinstance(what, PlannedHost):
        left = line(("  ", ""), ("? ", "warn"), (item.host or "", "bold"), f"  {clean(what.error or 'no answer')}")
        return Row(item.key, left)
    if isinstance(what, Drift):
        values = f"   {shown(what.before)} {glyphs.arrow} {shown(what.after)}" if what.before or what.after else ""
        sign = (f"{glyphs.dot} ", "dim") if what.source else (f"{glyphs.verbs['update']} ", "update")
        left = line("  ", sign, clean(f"{what.host} {what.what}{values}"))
        return Row(item.key, left, line((f"ignored, {what.source}" if what.source else clean(what.remedy), "dim")))
    assert isinstance(what, Notice)
    return Row(item.key, line("  ", (f"{glyphs.dot} ", "dim"), clean(what.what)))


def impact(change: Change, glyphs: Glyphs, totals: Mapping[str, int]) -> Line:
    """What it costs, as short as it can be said. A downtime says the restart too."""
    costs = change.impact
    parts: list[Line] = []
    if costs.downtime_s is not None:
        parts.append(line((f"{duration(costs.downtime_s)} down", "warn")))
    elif change.beside:
        parts.append(line(("new one first", "good")))
    elif costs.restarts:
        parts.append(line((count(costs.restarts, "restart"), "warn")))
    memory = vram(change, glyphs, totals)
    if fits := fitbar.short(change, glyphs):
        parts.append(fits)
    elif memory:
        parts.append(line(memory))
    if costs.download_bytes:
        parts.append(line((f"{size(costs.download_bytes)} to bring", "accent")))
    elif costs.disk_bytes < 0:
        parts.append(line(f"frees {size(-costs.disk_bytes)}"))
    found: list[Span] = []
    for part in parts:
        found += [*part, ("  ", "")]
    return tuple(found[:-1])


def vram(change: Change, glyphs: Glyphs, totals: Mapping[str, int]) -> str:
    """GPU memory before → after, of the total where it is known: "VRAM 14.0 → 16.2 of 80.0 GiB". Empty: it takes none."""
    before, after = _held(change.before), _held(change.after)
    if not before and not after:
        return ""
    gpus = [uuid for one in (change.after, change.before) if one is not None for uuid in one.payload.get("gpus", ())]
    total = sum(totals.get(uuid, 0) for uuid in dict.fromkeys(gpus))
    of = f" of {total / GIB:.1f}" if total else ""
    return f"VRAM {before / GIB:.1f} {glyphs.arrow} {after / GIB:.1f}{of} GiB"


def _held(resource: Resource | None) -> int:
    return resource.vram_bytes if resource is not None and resource.runs else 0
