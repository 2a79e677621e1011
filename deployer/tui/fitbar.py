"""The memory that a replica will take of its GPU, as a bar of its terms: weights, cache, overhead, and what is left. Pure.
Used by the plan review; the figures come from the plan's change.
"""

from collections.abc import Iterator

from deployer.plan import fitted
from deployer.plan.model import Change
from deployer.plan.words import count
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, Span, clean, line

#: Of each term.
ROLES = {"weights": "accent", "cache": "good", "overhead": "update"}
#: Cells of the bar in a row, and among the details.
SHORT, LONG = 8, 20
GIB = fitted.GIB


def bar(known: dict[str, int], width: int, glyphs: Glyphs) -> Line:
    """What is more than may be used is marked: the bar is then as long as what is wanted."""
    usable = known["usable"]
    whole = max(usable, fitted.total(known), 1)
    found: list[Span] = []
    end, drawn, limit = 0, 0, width * usable // whole
    for name, shade in zip(fitted.TERMS, glyphs.shades, strict=True):
        end += known[name]
        least = 1 if known[name] and width >= LONG else 0  # what is there is seen, where there is room
        upto = min(width, max(drawn + least, round(width * end / whole)))
        within = max(0, min(upto, limit) - drawn)
        found += [(shade * within, ROLES[name]), (shade * (upto - drawn - within), "bad")]
        drawn = upto
    return tuple(span for span in (*found, (glyphs.rest * (width - drawn), "dim")) if span[0])


def short(change: Change, glyphs: Glyphs) -> Line:
    """For a row: "██▓░░░░░ 20.1 of 73.6 GiB". Empty: nothing is known."""
    known = fitted.terms(change)
    if known is None:
        return ()
    said = f" {fitted.total(known) / GIB:.1f} of {known['usable'] / GIB:.1f} GiB"
    lacks = fitted.fits(change) is False
    sign = ((f"{glyphs.bad} ", "bad"),) if lacks else ()
    return (*sign, *bar(known, SHORT, glyphs), (said, "bad" if lacks else ""))


def lines(change: Change, glyphs: Glyphs) -> Iterator[Line]:
    """For the details: the bar, and what each of its parts is."""
    told, known = change.data.get(fitted.FIT), fitted.terms(change)
    if not told:
        return
    if known is None:
        yield line(("fits     ", "dim"), ("not computed: ", "warn"), clean(str(told["unknown"])))
        return
    total, usable = fitted.total(known), known["usable"]
    over = total - usable
    said = f"  {total / GIB:.2f} of {usable / GIB:.2f} GiB"
    short_of = f", {over / GIB:.2f} too much" if over > 0 else ""
    yield line(("fits     ", "dim"), *bar(known, LONG, glyphs), said, (short_of, "bad"))
    if fitted.stated(change):
        yield line(("         as resources.gpu_memory states", "dim"))
        return
    parts: list[Span] = []
    for name, shade in zip(fitted.TERMS, glyphs.shades, strict=True):
        parts += [(f"  {shade} ", ROLES[name]), (f"{name} {known[name] / GIB:.2f}", "")]
    yield tuple(parts)
    at_once = f"{count(int(told['requests']), 'full request')}" if fitted.fits(change) else str(fitted.misfit(change))
    yield line(("at once  ", "dim"), (at_once, "" if fitted.fits(change) else "bad"), (f" ({told['source']})", "dim"))
