"""The lines of the drift place: what differs on the hosts, in words of its own (it "has changed", it "is missing"), what is
theirs alone, what a rule leaves alone. Pure; every number is counted from the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.plan.describe import cost, subject
from deployer.plan.model import Change, Drift, Notice, Plan, PlannedHost
from deployer.plan.text import shown
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, Span, clean, columns, line
from deployer.tui.widgets.rowlist import Row

UNMANAGED = ("orphan", "orphan-host")

_ROLES = {"changed": "update", "missing": "bad", "added": "accent"}
_WORDS = {"changed": "has changed", "missing": "is missing", "added": "was added"}


@dataclass(frozen=True, slots=True)
class Found:
    """One row: a drift, something unmanaged, or a host that was not asked."""

    key: str
    what: Drift | Notice | PlannedHost
    host: str = ""
    ignored: bool = False

    @property
    def drift(self) -> Drift | None:
        return self.what if isinstance(self.what, Drift) else None

    @property
    def change(self) -> str | None:
        """The change that puts it back."""
        return self.what.change if isinstance(self.what, Drift) else None


def findings(plan: Plan) -> dict[str, Found]:
    """By row key, in the order in which they stand: what will be put back first, what is left alone last."""
    found = [Found(_key(d), d, d.host) for d in plan.drift]
    found += [Found(f"notice:{n.what}", n, n.host or "") for n in plan.notices if n.code in UNMANAGED]
    found += [Found(f"host:{name}", plan.hosts[name], name) for name in plan.unreachable]
    found += [Found(f"ignored:{_key(d)}", d, d.host, ignored=True) for d in plan.ignored]
    return {one.key: one for one in found}


def _key(drift: Drift) -> str:
    return f"drift:{drift.host}:{drift.deployment}:{drift.what}"


def fits(one: Found, text: str) -> bool:
    """Whether every word is somewhere in it."""
    what = one.what
    said = f"{what.deployment or ''} {what.what}" if isinstance(what, Drift | Notice) else f"unreachable {what.error}"
    whole = f"{one.host} {said} {'ignored' if one.ignored else ''}".lower()
    return all(word in whole for word in text.lower().split())


def row(one: Found, glyphs: Glyphs) -> Row:
    what = one.what
    if isinstance(what, Drift):
        left = _left(one, _sign(what, one.ignored, glyphs), _word(what, one.ignored), what.what)
        return Row(one.key, left, _right(one, glyphs))
    if isinstance(what, Notice):
        return Row(one.key, _left(one, ("?", "warn"), ("unmanaged", "warn"), what.what))
    return Row(one.key, _left(one, ("?", "warn"), ("not asked", "warn"), f"unreachable: {what.error}"))


def _left(one: Found, sign: Span, word: Span, text: str) -> Line:
    deployment = one.what.deployment if isinstance(one.what, Drift | Notice) else None
    names = columns(
        [(line(sign), 1), (line((clean(one.host), "bold")), 10), (line(clean(deployment or "")), 10), (line(word), 11)], gap=1
    )
    return (*names, (" ", ""), (clean(text), "dim" if one.ignored else ""))


def _sign(drift: Drift, ignored: bool, glyphs: Glyphs) -> Span:
    if ignored:
        return (glyphs.dot, "dim")
    sign = {"changed": glyphs.verbs["update"], "missing": glyphs.bad, "added": glyphs.verbs["create"]}
    return (sign.get(drift.kind, "~"), _ROLES.get(drift.kind, "update"))


def _word(drift: Drift, ignored: bool) -> Span:
    return ("ignored", "dim") if ignored else (_WORDS.get(drift.kind, "has changed"), _ROLES.get(drift.kind, "update"))


def _right(one: Found, glyphs: Glyphs) -> Line:
    drift = one.drift
    if drift is None:
        return ()
    if one.ignored:
        return line((str(drift.source or ""), "dim"))
    return line(_values(drift, glyphs))


def _values(drift: Drift, glyphs: Glyphs) -> str:
    """ "b0a746d1 → 47ab33e0"; empty when there is nothing to compare."""
    if drift.before is None and drift.after is None:
        return ""
    return f"{clean(shown(drift.before))} {glyphs.arrow} {clean(shown(drift.after))}"


def about(one: Found | None, glyphs: Glyphs) -> list[Line]:
    """Below the list, of the row with the cursor: all of it, and what would be done."""
    if one is None:
        return []
    what = one.what
    if isinstance(what, PlannedHost):
        return [line((f"{one.host}: {clean(what.error or '')}", "bold")), line(clean(what.hint or ""))]
    if isinstance(what, Notice):
        return [line((clean(what.what), "bold")), line(clean(what.hint or ""))]
    return [
        line((clean(what.what), "bold"), f"  {_values(what, glyphs)}"),
        line(("ignored  " if one.ignored else "revert  ", "dim"), _remedy(one, what)),
    ]


def _remedy(one: Found, drift: Drift) -> str:
    return f"{drift.remedy}, by the rule in {drift.source}" if one.ignored else drift.remedy


def tally(plan: Plan) -> list[Span]:
    """For the top line: "2 changed 1 missing  ignored 5"."""
    kinds = [d.kind for d in plan.drift]
    found: list[Span] = [(f"{kinds.count(k)} {k} ", _ROLES[k]) for k in _ROLES if k in kinds]
    unmanaged = sum(n.code in UNMANAGED for n in plan.notices)
    found += [(f"{unmanaged} unmanaged ", "warn")] if unmanaged else []
    found += [(f"ignored {len(plan.ignored)} ", "dim")] if plan.ignored else []
    return found


def detail(one: Found, plan: Plan, glyphs: Glyphs) -> list[Line]:
    """All that is known of it."""
    what = one.what
    if isinstance(what, PlannedHost):
        return [
            line((f"{one.host} was not asked", "bold")),
            (),
            _named("why", what.error or "no answer"),
            _named("next", what.hint or ""),
        ]
    found = [line((clean(what.what), "bold")), ()]
    found += [_named("host", one.host)] if one.host else []
    found += [_named("deployment", what.deployment)] if what.deployment else []
    if isinstance(what, Notice):
        return [*found, *([_named("next", what.hint)] if what.hint else [])]
    if what.before is not None or what.after is not None:
        found += [line(("  - ", "bad"), (f"{clean(shown(what.before))}   as it was applied", "bad"))]
        found += [line(("  + ", "good"), (f"{clean(shown(what.after))}   as it is", "good"))]
    if one.ignored:
        return [*found, _named("ignored", f"by the rule in {what.source}; remove it, and the next plan puts this back")]
    found.append(_named("revert", what.remedy))
    change = next((c for c in plan.changes if c.id == what.change), None)
    return [*found, *(_change(change, what, glyphs) if change is not None else [])]


def _change(change: Change, drift: Drift, glyphs: Glyphs) -> list[Line]:
    found = [_named("by", f"{subject(change)}: {cost(change)}")]
    if not change.drift:
        found.append(line((f"{glyphs.warn} the same change also brings what the YAML says anew: ", "warn"), clean(change.reason)))
    paths = [str(path) for path in change.data.get("dropins", ())]
    paths += [path for path in _files(change) if drift.what.startswith(f"{path} ")]
    found += [_named("look", f"ssh {change.host} sudo cat {path}") for path in paths]
    texts = _files(change)
    for path in (path for path in paths if path in texts):
        found += [
            (),
            line((f"{path}, as it was written:", "bold")),
            *(line((clean(text), "dim")) for text in texts[path].splitlines()),
        ]
    return found


def _files(change: Change) -> Mapping[str, str]:
    """Path → text, of the files that we wrote and that hold nothing secret."""
    payload = change.before.payload if change.before is not None else {}
    return {str(f["path"]): str(f.get("content", "")) for f in payload.get("files", ())}


def _named(name: str, text: str) -> Line:
    return line((f"{name:<11}", "dim"), clean(text))
