"""The lines below the plan review: what the whole plan would do, what the approved part does, what just happened. Pure.
Every number is counted from the plan.
"""

from dataclasses import replace
from datetime import datetime

from deployer.app.planned import Planned
from deployer.plan.model import Plan
from deployer.plan.review import Review
from deployer.plan.text import totals
from deployer.plan.words import count, duration
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, Span, line


def age(planned: Planned, now: float) -> list[Span]:
    """Which plan, and how old. `now`: seconds since 1970."""
    try:
        made = datetime.fromisoformat(planned.plan.created_at).timestamp()
    except ValueError:
        return [(f"plan {planned.plan.plan_id[:7]} ", "dim")]
    old = max(0.0, now - made)
    said = "just made" if old < 60 else f"{duration(60 * (old // 60))} old"  # said anew once a minute, not each second
    return [(f"plan {planned.plan.plan_id[:7]}, {said} ", "warn" if old > 3600 else "dim")]


def empty(plan: Plan, filtered: bool) -> str:
    """What stands where no change is."""
    if filtered and plan.changes:
        return "no change fits the filter: Esc clears it"
    return nothing(plan)


def nothing(plan: Plan) -> str:
    missing = f" on the hosts that answered; {count(len(plan.unreachable), 'host')} did not" if plan.unreachable else ""
    return f"Nothing to change{missing}. {count(plan.unchanged, 'resource')} as wanted."


def whole(plan: Plan, glyphs: Glyphs) -> Line:
    if plan.refusals:
        return line((f"{count(len(plan.refusals), 'refusal')}: nothing can be applied", "bad"))
    if plan.empty:
        return line((nothing(plan), "good"))
    return line((f"{count(len(plan.changes), 'change')}: ", "bold"), f" {glyphs.dot} ".join(totals(plan)))


def approved(review: Review, glyphs: Glyphs) -> Line:
    changes = review.approved_changes
    said: list[Span] = [(f"approved {len(changes)} of {len(review.plan.changes)}", "good" if changes else "dim")]
    if changes:
        said.append((": " + f" {glyphs.dot} ".join(totals(replace(review.plan, changes=changes, hosts={}))), ""))
    for word, ids, role in (("rejected", review.rejected, "bad"), ("blocked", review.blocked, "warn")):
        if ids:
            said.append((f" {glyphs.dot} {word} {len(ids)}", role))
    return tuple(said)


def filters(text: str, verb: str | None, undecided: bool) -> str:
    """What is shown of the plan, in words; empty: all of it."""
    parts = [f'"{text}"' if text else "", verb or "", "undecided" if undecided else ""]
    return ", ".join(part for part in parts if part)
