"""A plan as a tired person reads it at 3 a.m.: host by host, each line with what, what it costs, and where it comes from.

Symbols carry the meaning; colour only repeats it. The summary is last, where the eye is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deployer.plan import computing, costs, fitted
from deployer.plan.counts import download_bytes, downtime_s, restarts, summary, verb
from deployer.plan.describe import cost, rollout_words, subject
from deployer.plan.model import Change, Delta, Finding, Notice, Plan, Refusal
from deployer.plan.preflight.finding import REFUSE
from deployer.plan.words import count, duration, size

_UNICODE = {
    "create": "+",
    "update": "~",
    "replace": "±",
    "delete": "-",
    "undo": "↺",
    "adopt": "=",
    "unknown": "?",
    "warn": "!",
    "no": "✗",
    "arrow": "→",
    "dot": "·",
}
_ASCII = {
    "create": "+",
    "update": "~",
    "replace": "+-",
    "delete": "-",
    "undo": "<",
    "adopt": "=",
    "unknown": "?",
    "warn": "!",
    "no": "x",
    "arrow": "->",
    "dot": "-",
}
_COLOURS = {
    "create": "32",
    "update": "33",
    "replace": "35",
    "delete": "31",
    "undo": "36",
    "adopt": "33",
    "unknown": "33",
    "warn": "33",
    "no": "31",
}


@dataclass(frozen=True, slots=True)
class Style:
    color: bool = False
    unicode: bool = True

    def symbol(self, word: str) -> str:
        return (_UNICODE if self.unicode else _ASCII)[word]

    def paint(self, text: str, word: str) -> str:
        return f"\033[{_COLOURS[word]}m{text}\033[0m" if self.color and word in _COLOURS else text

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.color else text


def render(
    plan: Plan, *, color: bool = False, unicode: bool = True, seconds: float | None = None, branch: str | None = None
) -> str:
    """The whole text. `seconds`: how long the hosts were asked."""
    style = Style(color, unicode)
    blocks = [_head(plan, style, seconds, branch)]
    blocks += _hosts(plan, style)
    blocks += [b for b in (_rollouts(plan, style), _drift(plan, style), _notices(plan, style), _findings(plan, style)) if b]
    blocks += [refusal_text(r, style) for r in plan.refusals]
    blocks.append(_tail(plan, style))
    return "\n\n".join(blocks) + "\n"


def _head(plan: Plan, style: Style, seconds: float | None, branch: str | None) -> str:
    dot = f" {style.symbol('dot')} "
    reached = sum(1 for h in plan.hosts.values() if h.reachable)
    parts = [f"fleet {plan.fleet_name}" + (f" ({plan.environment})" if plan.environment else "")]
    if plan.git_commit:
        parts.append(f"{branch + ' ' if branch else ''}{plan.git_commit[:7]}")
    asked = f"{reached} of {count(len(plan.hosts), 'host')} probed"
    parts.append(asked + (f" in {seconds:.1f} s" if seconds is not None else ""))
    return style.bold(dot.join(parts))


def _hosts(plan: Plan, style: Style) -> list[str]:
    """One block per host; hosts with the same lines share one."""
    changes: dict[str, list[Change]] = {}
    for change in plan.changes:
        changes.setdefault(change.host, []).append(change)
    bodies: dict[str, list[str]] = {}
    for name in (*plan.hosts, *sorted(set(changes) - set(plan.hosts))):
        lines = _host_lines(plan, name, changes.get(name, []), style)
        if lines:
            bodies.setdefault("\n".join(lines), []).append(name)
    blocks = []
    for body, names in sorted(bodies.items(), key=lambda item: item[1][0]):
        same = f"  (×{len(names)}, the same)" if len(names) > 1 and style.unicode else f"  ({len(names)} hosts, the same)"
        blocks.append(style.bold(", ".join(names)) + (same if len(names) > 1 else "") + "\n" + body)
    return blocks


def _host_lines(plan: Plan, host: str, changes: Sequence[Change], style: Style) -> list[str]:
    planned = plan.hosts.get(host)
    lines = []
    if planned is not None and not planned.reachable:
        notes = [n.what for n in plan.notices if n.code == "unreachable" and n.host == host]
        text = f"unreachable: {planned.error}"
        lines.append(_row(style, "unknown", text, notes[0] if notes else "", None))
        lines += [f"       {planned.hint}"] if planned.hint else []
    for change in changes:
        lines += _change_lines(change, style)
    return lines


def _row(style: Style, word: str, what: str, costs: str, source: object) -> str:
    symbol = style.paint(f"{style.symbol(word):<2}", word)
    where = f"   {source}" if source else ""
    return f"  {symbol} {what:<52} {costs:<40}{where}".rstrip()


def _change_lines(change: Change, style: Style) -> list[str]:
    lines = [_row(style, verb(change), subject(change), cost(change), change.source)]
    if change.drift or change.actions == ("undo",):
        lines.append(f"       {change.reason}")
    lines += [_delta_line(change, d, style) for d in change.deltas]
    return [*lines, *(f"       {told}" for told in (computing.line(change), fitted.line(change)) if told)]


def _delta_line(change: Change, delta: Delta, style: Style) -> str:
    arrow = style.symbol("arrow")
    value = f"{shown(delta.before, delta.secret)} {arrow} {shown(delta.after, delta.secret)}"
    effect = "needs a new process" if delta.restarts and "create" in change.actions else ""
    source = delta.source if delta.source != change.source else None
    return f"       ~ {delta.name:<20} {value:<44} {effect:<20}{f' {source}' if source else ''}".rstrip()


def shown(value: object, secret: bool = False) -> str:
    if secret:
        return f"secret {str(value)[:4]}" if value else "secret (none)"
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _rollouts(plan: Plan, style: Style) -> str:
    """How running replicas are replaced, and why so."""
    if not plan.rollouts:
        return ""
    lines = [f"  {style.symbol('dot')}  {name:<14} {rollout_words(rollout)}" for name, rollout in plan.rollouts.items()]
    return "\n".join([style.bold("Rollouts"), *lines])


def _drift(plan: Plan, style: Style) -> str:
    if not plan.drift and not plan.ignored:
        return ""
    lines = [style.bold("Drift: changed on the hosts by someone else")]
    for d in plan.drift:
        what = f"{d.host} {d.what}"
        values = f"   {shown(d.before)} {style.symbol('arrow')} {shown(d.after)}" if d.before or d.after else ""
        lines.append(f"  {style.paint('~', 'update')}  {what}{values}   {d.remedy}")
    lines += [f"  {style.symbol('dot')}  {d.host} {d.what}   ignored   {d.source}" for d in plan.ignored]
    return "\n".join(lines)


def _notices(plan: Plan, style: Style) -> str:
    said: Iterable[Notice] = [n for n in plan.notices if n.code != "unreachable"]
    lines = []
    for notice in said:
        lines.append(f"  {style.symbol('dot')}  {notice.what}")
        if notice.hint:
            lines += [f"       {part}" for part in notice.hint.splitlines()]
    return "\n".join([style.bold("Worth knowing"), *lines]) if lines else ""


def _findings(plan: Plan, style: Style) -> str:
    """What only warns; what the preflight refuses is among the refusals."""
    lines = [finding_text(finding, style) for finding in plan.findings]
    return "\n".join([style.bold("Preflight"), *lines]) if lines else ""


def finding_text(finding: Finding, style: Style | None = None) -> str:
    """One finding: what, why it matters, what to do, where in the files."""
    style = style or Style()
    word = "no" if finding.severity == REFUSE else "warn"
    lines = [f"  {style.paint(style.symbol(word), word)}  {finding.what}"]
    lines += [f"       why: {finding.why}"] if finding.why else []
    lines += [f"       do: {finding.do}"] if finding.do else []
    lines += [f"       {finding.source}"] if finding.source else []
    return "\n".join(lines)


def refusal_text(refusal: Refusal, style: Style | None = None) -> str:
    """One no: what, why, what would do, where."""
    style = style or Style()
    lines = [style.paint(f"{style.symbol('no')} {refusal.what}", "no")]
    lines += [f"    {detail}" for detail in refusal.details]
    if refusal.hint:
        lines.append(f"    do: {refusal.hint}")
    if refusal.source:
        lines.append(f"    {refusal.source}")
    return "\n".join(lines)


def _tail(plan: Plan, style: Style) -> str:
    if plan.refusals:
        return f"{count(len(plan.refusals), 'refusal')}: nothing will be changed"
    if plan.empty:
        unreachable = plan.unreachable
        missing = f" on the hosts that answered; {count(len(unreachable), 'host')} did not" if unreachable else ""
        return f"Nothing to change{missing}. {count(plan.unchanged, 'resource')} as wanted."
    return f" {style.symbol('dot')} ".join(totals(plan))


def totals(plan: Plan) -> Sequence[str]:
    """The parts of the last line."""
    counted = summary(plan)
    first = ", ".join(f"{n} {word}" for word, n in counted.items() if n)
    parts = [first]
    if restarts(plan):
        parts.append(count(restarts(plan), "restart"))
    down = downtime_s(plan)
    parts.append(f"about {duration(down)} of downtime" if down is not None else "no downtime")
    if download_bytes(plan):
        parts.append(f"{size(download_bytes(plan))} to bring")
    if more := costs.total(plan.changes):
        parts.append(f"{costs.words(more, sign=True)} a month")
    if plan.unreachable:
        parts.append(f"{count(len(plan.unreachable), 'host')} unreachable")
    return parts
