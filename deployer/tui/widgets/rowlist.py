"""A list of rows with a cursor, drawn line by line: a million rows cost no more than those in sight. Every table and tree
of the terminal UI is one, so that the same keys move everywhere.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from deployer.tui.line import beside
from deployer.tui.widgets.drawn import Drawn
from deployer.tui.widgets.rows import LazyRows, Row, changed_cells, key_at

__all__ = ["LazyRows", "Row", "RowList"]


class RowList(Drawn, can_focus=True, inherit_bindings=False):
    """Posts Moved when the cursor comes to another row, and Chosen on Enter or a click on the row that has the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--head"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="list.down"),
        Binding("k,up", "move(-1)", "Up", show=False, id="list.up"),
        Binding("g,home", "move_to(0)", "First", show=False, id="list.first"),
        Binding("G,end", "move_to(-1)", "Last", show=False, id="list.last"),
        Binding("ctrl+d,pagedown", "page(1)", "Page down", show=False, id="list.page-down"),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False, id="list.page-up"),
        Binding("enter", "choose", "Open", show=False, id="list.open"),
    ]

    cursor: reactive[int] = reactive(0, init=False)

    class Moved(Message):
        def __init__(self, rows: "RowList", row: Row | None) -> None:
            super().__init__()
            self.rows, self.row = rows, row

        @property
        def control(self) -> "RowList":
            return self.rows

    class Chosen(Message):
        def __init__(self, rows: "RowList", row: Row) -> None:
            super().__init__()
            self.rows, self.row = rows, row

        @property
        def control(self) -> "RowList":
            return self.rows

    def __init__(self, *, empty: str = "", id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.rows: Sequence[Row] = ()
        self._head: Row | None = None
        self._empty = empty
        self._told: str | None = None

    # what is shown

    def show(self, rows: Sequence[Row], head: Row | None = None) -> None:
        """Draw these. The cursor stays on the row of the same key, and that row where it is on the screen, unless we
        are at the top; when it is gone, the cursor stays at its place. Only lines that look different are painted again.
        """
        before, cursor, key = (self.rows, self._head), self.cursor, self._key
        self.rows, self._head = rows, head
        self.virtual_size = Size(self.size.width, len(rows) + (1 if head else 0))
        place = self._place(key) if key is not None else None
        self.set_reactive(RowList.cursor, self._within(self.cursor if place is None else place))
        same = self.cursor == cursor and len(rows) == len(before[0]) and (head is None) == (before[1] is None)
        if not (same and len(rows)):
            if place is not None and place != cursor and self.scroll_y > 0:
                self.scroll_to(y=self.scroll_y + place - cursor, animate=False, force=True)
            elif place is not None and self.has_focus:  # from the top only when it would be out of sight
                self._scroll()
            self.refresh()
        else:
            self._refresh_changed(*before)
        self._tell()

    def _refresh_changed(self, rows: Sequence[Row], head: Row | None) -> None:
        """The cells in sight that differ from those of `rows`, of which there are as many as now."""
        if head != self._head and head is not None and self._head is not None:
            self._refresh_cells(0, head, self._head)
        first = 1 if self._head is not None else 0
        top = int(self.scroll_y)
        for y in range(first, self.size.height):
            place = y + top - first
            if place >= len(rows):
                break
            before, after = rows[place], self.rows[place]
            if before is not after:
                self._refresh_cells(y, before, after)

    def _refresh_cells(self, y: int, before: Row, after: Row) -> None:
        width = self._room
        cells = changed_cells(beside(before.left, before.right, width), beside(after.left, after.right, width))
        if cells is not None:
            self.refresh(Region(cells[0], y, cells[1] - cells[0], 1))

    def say_empty(self, text: str) -> None:
        """What stands there when there is no row: how to fill it."""
        self._empty = text
        self.refresh()

    @property
    def current(self) -> Row | None:
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    def move_to_key(self, key: str) -> bool:
        place = self._place(key)
        if place is not None:
            self.cursor = place
        return place is not None

    @property
    def _key(self) -> str | None:
        return key_at(self.rows, self.cursor) if 0 <= self.cursor < len(self.rows) else None

    def _place(self, key: str) -> int | None:
        if self._key == key:
            return self.cursor
        return next((n for n in range(len(self.rows)) if key_at(self.rows, n) == key), None)

    def _within(self, place: int) -> int:
        """The nearest place that has a row of its own: of a note, the row above, or the first one below."""
        place = max(0, min(place, len(self.rows) - 1))
        above = place
        while above > 0 and self.rows[above].note:
            above -= 1
        below = above
        while below < len(self.rows) - 1 and self.rows[below].note:
            below += 1
        return below

    # moving

    def validate_cursor(self, cursor: int) -> int:
        return self._within(cursor)

    def watch_cursor(self, before: int, after: int) -> None:
        self._scroll()
        self.refresh()
        self._tell()

    def _scroll(self) -> None:
        # notes just above come along; the head stays in sight above the rows: one line more must be free
        first = self.cursor
        while first > 0 and first < len(self.rows) and self.rows[first - 1].note and self.cursor - first < 2:
            first -= 1
        lines = self.cursor - first + (2 if self._head else 1)
        self.scroll_to_region(Region(0, first, 1, lines), animate=False, force=True, x_axis=False)

    def _tell(self) -> None:
        row = self.current
        key = row.key if row else None
        if key != self._told:
            self._told = key
            self.post_message(self.Moved(self, row))

    def action_move(self, by: int) -> None:
        place = self.cursor + by
        while 0 <= place < len(self.rows) and self.rows[place].note:
            place += by
        if 0 <= place < len(self.rows):
            self.cursor = place

    def action_move_to(self, place: int) -> None:
        self.cursor = len(self.rows) - 1 if place < 0 else place

    def action_page(self, way: int) -> None:
        self.cursor += way * max(1, self.size.height - 2)

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def on_focus(self) -> None:
        self._scroll()

    def on_click(self, event: events.Click) -> None:
        place = int(event.y + self.scroll_y) - (1 if self._head else 0)
        if not 0 <= place < len(self.rows):
            return
        again = place == self.cursor
        self.cursor = place
        if again or event.chain > 1:
            self.action_choose()

    # drawing

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self.rows) + (1 if self._head else 0))
        if self.has_focus:
            self._scroll()

    def render_line(self, y: int) -> Strip:
        width, base = self._room, self.rich_style
        if self._head is not None and y == 0:
            return self._strip(self._head, base + self.look_of("rows--head"), width)
        place = y + int(self.scroll_y) - (1 if self._head is not None else 0)
        if not self.rows and place == 0 and self._empty:
            return self._strip(Row("", ((self._empty, "dim"),)), base, width)
        if not 0 <= place < len(self.rows):
            return Strip.blank(width, base)
        style = base + self.look_of("rows--cursor") if place == self.cursor and self._shows_cursor else base
        return self._strip(self.rows[place], style, width)

    @property
    def _room(self) -> int:
        """Cells of a line, without the scrollbar."""
        return self.scrollable_content_region.width

    @property
    def _shows_cursor(self) -> bool:
        return self.has_focus or not self.has_class("-quiet")

    def _strip(self, row: Row, base: Style, width: int) -> Strip:
        segments = list(self.segments(beside(row.left, row.right, width), base))
        return Strip(segments).adjust_cell_length(width, base)
