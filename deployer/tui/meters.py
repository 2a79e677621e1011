"""Loads as marks of one line: meters, sparklines, a block per GPU, and the role and sign that say how high a figure is.
Pure. The thresholds are nvitop's; what is above is no error (a server of models fills its GPUs), only heat is.
"""

from collections.abc import Sequence

from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, Span

#: Idle below the first, busy from the second on. Percent.
UTILIZATION = (10, 75)
MEMORY = (10, 80)
#: Warm from the first on, hot from the second. Degrees Celsius.
TEMPERATURE = (70, 85)

GIB = 1 << 30


def load_role(percent: float | None, limits: tuple[int, int] = UTILIZATION) -> str:
    if percent is None or percent < limits[0]:
        return "dim"
    return "good" if percent < limits[1] else "warn"


def load_word(percent: float | None, limits: tuple[int, int] = UTILIZATION) -> str:
    """The word for the colour: "idle", "working", "busy"; "unknown" where the driver does not tell."""
    if percent is None:
        return "unknown"
    return {"dim": "idle", "good": "working", "warn": "busy"}[load_role(percent, limits)]


def percent(value: float | None, glyphs: Glyphs, limits: tuple[int, int] = UTILIZATION) -> Line:
    """ "64%", with the sign of what is high behind it."""
    if value is None:
        return ((f"{glyphs.dash} ", "dim"),)
    role = load_role(value, limits)
    return ((f"{value:.0f}%{glyphs.warn if role == 'warn' else ' '}", role),)


def heat(degrees: int | None, glyphs: Glyphs) -> Line:
    """ "66°"; warm and hot have a sign besides the colour."""
    if degrees is None:
        return ((f"{glyphs.dash} ", "dim"),)
    word = heat_word(degrees)
    sign = {"hot": glyphs.bad, "warm": glyphs.warn}.get(word, " ")
    return ((f"{degrees}{glyphs.degree}{sign}", {"hot": "bad", "warm": "warn"}.get(word, "")),)


def heat_word(degrees: int) -> str:
    return "hot" if degrees >= TEMPERATURE[1] else "warm" if degrees >= TEMPERATURE[0] else "cool"


def meter(share: float | None, width: int, glyphs: Glyphs, limits: tuple[int, int] = MEMORY) -> Line:
    """`share` of 0 to 1 as a bar of `width` cells."""
    if share is None or width <= 0:
        return ()
    full = min(width, round(max(0.0, share) * width))
    return ((glyphs.full * full, load_role(share * 100, limits)), (glyphs.rest * (width - full), "dim"))


def block(value: float | None, glyphs: Glyphs) -> str:
    """One cell, higher the more it is used; a dot where nothing is known."""
    if value is None:
        return glyphs.dot
    return glyphs.bars[1 + min(7, int(max(0.0, value) * 8 / 100))]


def spark(history: Sequence[int | None], width: int, glyphs: Glyphs) -> Span:
    """The last `width` values, the newest at the right; a gap where nothing was heard."""
    last = history[-width:] if width > 0 else ()
    text = "".join(" " if value is None else block(value, glyphs) for value in last)
    return (text.rjust(width), load_role(next((v for v in reversed(last) if v is not None), None)))


def gib(used: int | None, total: int | None) -> str:
    """ "66/80": both in GiB; one digit more for small ones."""
    if not total:
        return ""
    digits = 0 if total >= 10 * GIB else 1
    return f"{'?' if used is None else f'{used / GIB:.{digits}f}'}/{total / GIB:.{digits}f}"
