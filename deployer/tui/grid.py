"""Columns that fit any width: the least important ones go first, what is left over goes to those that can use it. Pure.
Used by the lists of the fleet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deployer.tui.line import Line, Span, cut, width_of

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """`least` and `most` in cells. The highest `rank` is given up first; the lowest gets what is left over first.
    `right`: numbers, set to the right.
    """

    name: str
    head: str
    least: int
    most: int
    rank: int
    right: bool = False


Fitted = tuple[tuple[Column, int], ...]


def fit(columns: Iterable[Column], width: int) -> Fitted:
    """The columns there is room for, each with its width. At least one is kept."""
    kept = list(columns)
    while len(kept) > 1 and _needed(kept) > width:
        kept.remove(max(kept, key=lambda column: column.rank))
    room = max(0, width - _needed(kept))
    widths = {}
    for column in sorted(kept, key=lambda one: one.rank):
        more = min(room, max(0, column.most - column.least))
        widths[column.name] = column.least + more
        room -= more
    return tuple((column, widths[column.name]) for column in kept)


def _needed(columns: list[Column]) -> int:
    return sum(column.least for column in columns) + GAP * (len(columns) - 1)


def heading(fitted: Fitted, other: Mapping[str, str] | None = None) -> Line:
    """`other`: heads that say more than the column's own."""
    heads = {column.name: column.head for column, _ in fitted} | dict(other or {})
    return lay(fitted, {name: ((head, ""),) for name, head in heads.items()})


def lay(fitted: Fitted, cells: Mapping[str, Line]) -> Line:
    """One row: each cell cut or filled to its column; a column without a cell stays empty."""
    found: list[Span] = []
    gap = ""
    for column, width in fitted:
        spans = cut(cells.get(column.name, ()), width)
        blank = " " * (width - width_of(spans))
        parts = ((gap + blank, ""), *spans) if column.right else ((gap, ""), *spans, (blank, ""))
        for text, role in parts:
            if text and found and (found[-1][1] == role or not text.strip()):
                found[-1] = (found[-1][0] + text, found[-1][1])  # blanks need no change of colour
            elif text:
                found.append((text, role))
        gap = " " * GAP
    return tuple(found)


def width_at(fitted: Fitted, name: str) -> int:
    """Of the column of that name; 0 when it was given up."""
    return next((width for column, width in fitted if column.name == name), 0)
