"""A plan as Markdown, for a pull request's comment. Values come from files and hosts: nothing in them is markup."""

from deployer.plan import computing, fitted
from deployer.plan.counts import verb
from deployer.plan.describe import cost, rollout_words, subject
from deployer.plan.model import Finding, Plan
from deployer.plan.text import shown, totals

_SYMBOLS = {"create": "➕", "update": "✏️", "replace": "♻️", "delete": "❌", "undo": "↩️"}
_SPECIAL = "\\`*_{}[]()<>#+!|~&"


def escaped(text: str) -> str:
    """The text as Markdown shows it literally, on one line."""
    flat = " ".join(text.split())
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in flat)


def _where(finding: Finding) -> str:
    return f" ({escaped(str(finding.source))})" if finding.source else ""


def render(plan: Plan) -> str:
    lines = [f"### deployer plan for {escaped(plan.fleet_name)}", ""]
    if plan.refusals:
        lines += [f"**{len(plan.refusals)} refused: nothing will be changed**", ""]
        lines += [f"- ✗ {escaped(r.what)}" + (f" ({escaped(str(r.source))})" if r.source else "") for r in plan.refusals] + [""]
    if plan.findings:
        said = [f"- ⚠ {escaped(f.what)}: {escaped(f.why)}. Do: {escaped(f.do)}{_where(f)}" for f in plan.findings]
        lines += ["**Preflight**", "", *said, ""]
    if plan.changes:
        lines += ["| | host | change | cost | from |", "|---|---|---|---|---|"]
        for c in plan.changes:
            source = escaped(str(c.source)) if c.source else ""
            row = (_SYMBOLS[verb(c)], escaped(c.host), escaped(subject(c)), escaped(cost(c)), source)
            lines.append("| " + " | ".join(row) + " |")
        lines.append("")
        details = [
            f"- {escaped(subject(c))}: {escaped(d.name)} "
            f"{escaped(shown(d.before, d.secret))} → {escaped(shown(d.after, d.secret))}"
            for c in plan.changes
            for d in c.deltas
        ]
        words = ((c, told) for c in plan.changes for told in (computing.line(c), fitted.line(c)) if told)
        details += [f"- {escaped(subject(c))}: {escaped(told)}" for c, told in words]
        lines += [*details, ""] if details else []
    if plan.rollouts:
        lines += ["**Rollouts**", "", *[f"- {escaped(n)}: {escaped(rollout_words(r))}" for n, r in plan.rollouts.items()], ""]
    if plan.drift or plan.ignored:
        said = [f"- {escaped(d.host)}: {escaped(d.what)}: {escaped(d.remedy)}" for d in plan.drift]
        said += [f"- {escaped(d.host)}: {escaped(d.what)}: ignored ({escaped(str(d.source))})" for d in plan.ignored]
        lines += ["**Drift**", "", *said, ""]
    if plan.unreachable:
        lines += [f"**Unreachable:** {escaped(', '.join(plan.unreachable))}", ""]
    lines.append(escaped(" · ".join(totals(plan))) if plan.changes else "Nothing to change.")
    return "\n".join(lines) + "\n"
