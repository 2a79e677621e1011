"""What a RowList shows: rows, made at once or when they come in sight."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from deployer.tui.line import Line, width_of


@dataclass(frozen=True, slots=True)
class Row:
    """`key` names it across refreshes: the cursor stays on it. `left` may be cut, `right` stands at the right edge.
    A `note` belongs to the row above or below it: the cursor passes it by.
    """

    key: str
    left: Line
    right: Line = ()
    note: bool = False


#: Key and value of a row that is not made yet.
Entry = tuple[str, object]


class LazyRows(Sequence[Row]):
    """Rows made by `draw(entry)` when they come in sight. Those of `before` whose value is the same are taken over as they
    are, which is also how the list knows that they need no repainting.
    """

    def __init__(self, entries: Sequence[Entry], draw: Callable[[Entry], Row], before: "LazyRows | None" = None) -> None:
        self._entries = entries
        self._draw = draw
        self._made: dict[str, tuple[object, Row]] = {}
        self._before = before._made if before is not None else {}

    def key(self, place: int) -> str:
        return self._entries[place][0]

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        entry = self._entries[place]
        key, value = entry
        made = self._made.get(key)
        if made is None:
            made = self._before.get(key)
            if made is None or made[0] != value:
                made = (value, self._draw(entry))
            self._made[key] = made
        return made[1]


def key_at(rows: Sequence[Row], place: int) -> str:
    """Without making the row."""
    return rows.key(place) if isinstance(rows, LazyRows) else rows[place].key


def changed_cells(before: Line, after: Line) -> tuple[int, int] | None:
    """The cells, from and to, in which two lines differ; None: nowhere."""
    if before == after:
        return None
    most = min(len(before), len(after))
    first = 0
    while first < most and before[first] == after[first]:
        first += 1
    start, width = width_of(after[:first]), width_of(after)
    if width != width_of(before):
        return start, max(width, width_of(before))
    last = 0
    while last < most - first and before[-1 - last] == after[-1 - last]:
        last += 1
    return start, width - width_of(after[len(after) - last :])
