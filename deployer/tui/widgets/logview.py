"""A log: lines that come while one reads. It follows only while one is at its end; whoever scrolled up stays where they
are, and is told how many lines have come below. Used by the places of apply and deployment.
"""

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import reactive
from textual.selection import Selection
from textual.strip import Strip

from deployer.plan.words import count
from deployer.tui.line import Line
from deployer.tui.widgets.drawn import Drawn
from deployer.tui.widgets.logbuffer import LogBuffer

#: Lines that are kept.
LIMIT = 10_000


class LogView(Drawn, can_focus=True):
    """`follow`: it moves with what comes. `wrap`: long lines are cut into rows instead of going out of sight."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="log.down"),
        Binding("k,up", "move(-1)", "Up", show=False, id="log.up"),
        Binding("h,left", "aside(-1)", "Left", show=False, id="log.left"),
        Binding("l,right", "aside(1)", "Right", show=False, id="log.right"),
        Binding("ctrl+d,pagedown", "page(1)", "Page down", show=False, id="log.page-down"),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False, id="log.page-up"),
        Binding("g,home", "first", "First line", show=False, id="log.first"),
        Binding("G,end", "last", "Follow", key_display="G", id="log.last"),
        Binding("n", "match(1)", "Next match", show=False, id="log.next"),
        Binding("N", "match(-1)", "Match before", show=False, id="log.previous"),
        Binding("w", "wrap", "Wrap", id="log.wrap"),
        Binding("E", "error", "First error", id="log.error"),
    ]

    follow: reactive[bool] = reactive(True, init=False)
    wrap: reactive[bool] = reactive(False, init=False)

    def __init__(
        self,
        *,
        limit: int = LIMIT,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._buffer = LogBuffer(limit)
        self._empty = empty
        self._below = 0  # lines that came since one reads further up
        self._match: int | None = None
        self._moving = False  # we scroll, not a person

    # what is shown

    def append(self, lines: Iterable[Line]) -> None:
        """Cheap for many lines at once. Where one reads does not move."""
        came, dropped = self._buffer.append(lines)
        if not came and not dropped:
            return
        top = self._top
        self._grow()
        if self.follow:
            self._to_end()
        else:
            self._below += came
            if dropped:
                self._to(top - dropped)
        self.refresh()

    def clear(self) -> None:
        self._buffer.clear()
        self._match, self._below = None, 0
        self.follow = True
        self._grow()
        self.refresh()

    def say_empty(self, text: str) -> None:
        """What stands there while there is no line."""
        self._empty = text
        self.refresh()

    def filter(self, text: str) -> int:
        """Only lines that hold `text` are shown; "" shows all. Returns how many there are."""
        self._reshape(filtered=text)
        return len({row[0] for row in self._buffer.rows})

    def search(self, text: str) -> int:
        """Marks it, and goes to the next line that holds it. Returns how many lines do; "" ends the search."""
        self._buffer.search(text)
        self._match = None
        if self._buffer.matches:
            ahead = [n for n in self._buffer.matches if n >= self._top_number()]
            self._show_match(ahead[0] if ahead else self._buffer.matches[-1])
        self.refresh()
        return len(self._buffer.matches)

    @property
    def searched(self) -> str:
        """What is searched; "" for nothing."""
        return self._buffer.searched

    def next_match(self, step: int = 1) -> bool:
        """To the next (1) or the one before (-1); round at the ends. False: there is none."""
        matches = self._buffer.matches
        if not matches:
            return False
        if self._match in matches:
            self._show_match(matches[(matches.index(self._match) + step) % len(matches)])
        else:
            self._show_match(matches[0 if step > 0 else -1])
        return True

    def first_error(self) -> bool:
        """To the first line that tells of an error. False: none does."""
        number = self._buffer.error()
        if number is not None:
            self._to(self._buffer.place(number) - 1, person=True)
        return number is not None

    def text(self) -> str:
        """Of the lines that are shown, to save or to copy."""
        return self._buffer.text()

    # keys

    def action_move(self, by: int) -> None:
        self._to(self._top + by, person=True)

    def action_aside(self, way: int) -> None:
        self.scroll_to(x=self.scroll_x + way * 8, animate=False)

    def action_page(self, way: int) -> None:
        self.action_move(way * max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._to(0, person=True)

    def action_last(self) -> None:
        self.follow = True

    def action_match(self, step: int) -> None:
        if not self.next_match(step):
            self.notify("nothing is searched here" if not self._buffer.searched else "no line holds it", markup=False)

    def action_wrap(self) -> None:
        self.wrap = not self.wrap

    def action_error(self) -> None:
        if not self.first_error():
            self.notify("no line here tells of an error", markup=False)

    # moving

    @property
    def _top(self) -> int:
        return round(self.scroll_y)

    def _top_number(self) -> int:
        rows = self._buffer.rows
        return rows[min(self._top, len(rows) - 1)][0] if rows else 0

    def _to(self, place: int, *, person: bool = False) -> None:
        """`person`: as if somebody had scrolled there, which may end the following."""
        self._moving = not person
        try:
            self.scroll_to(y=max(0, place), animate=False, force=True)
        finally:
            self._moving = False

    def _to_end(self) -> None:
        self._to(self.max_scroll_y)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._moving:
            self.follow = round(new_value) >= self.max_scroll_y

    def watch_follow(self, follow: bool) -> None:
        if follow:
            self._below = 0
            self._to_end()
        self.refresh()

    def watch_wrap(self) -> None:
        self._reshape()

    def on_resize(self, event: events.Resize) -> None:
        self._reshape()

    def _reshape(self, *, filtered: str | None = None) -> None:
        """Other rows of the same lines: the line at the top stays there."""
        number = self._top_number()
        wrap = max(1, self.size.width) if self.wrap and self.size.width else None
        self._buffer.shape(wrap=wrap, filtered=self._buffer.filtered if filtered is None else filtered)
        self._grow()
        if self.follow:
            self._to_end()
        else:
            self._to(self._buffer.place(number))
        self.refresh()

    def _grow(self) -> None:
        self._moving = True  # what is shorter now may push the place up
        try:
            self.virtual_size = Size(self._buffer.width, len(self._buffer.rows))
        finally:
            self._moving = False

    def _show_match(self, number: int) -> None:
        self._match = number
        place = self._buffer.place(number)
        if not self._top <= place < self._top + self.size.height:
            self._to(place - self.size.height // 3, person=True)
        start, end = self._buffer.column(number)
        if not self.wrap and not self.scroll_x <= start <= end <= self.scroll_x + self.size.width:
            self.scroll_to(x=max(0, end - self.size.width + 4), animate=False, force=True)
        self.refresh()

    # drawing

    def render_line(self, y: int) -> Strip:
        width, base, place = self.size.width, self.rich_style, y + self._top
        rows = self._buffer.rows
        if not rows and y == 0:
            return Strip([Segment(self._empty, base + self.look_of("drawn--dim"))]).adjust_cell_length(width, base)
        if place >= len(rows):
            return Strip.blank(width, base)
        strip = Strip(self.segments(self._buffer.spans(place), self._base(rows[place][0], base)))
        strip = self._selected(strip, place)
        strip = strip.crop_extend(round(self.scroll_x), round(self.scroll_x) + width, base)
        strip = strip.apply_offsets(round(self.scroll_x), place)
        return self._told(strip, width, base) if y == self.size.height - 1 else strip

    def _base(self, number: int, base: Style) -> Style:
        return base + self.look_of("drawn--bold") if number == self._match else base

    def _told(self, strip: Strip, width: int, base: Style) -> Strip:
        """The last row says what came below, at its right end."""
        if self.follow or not self._below:
            return strip
        said = f" {count(self._below, 'new line')} below, G follows "[:width]
        note = Strip([Segment(said, base + self.look_of("drawn--accent") + self.look_of("drawn--match"))])
        return Strip.join([strip.crop(0, width - note.cell_length), note])

    # selecting with the mouse

    def _selected(self, strip: Strip, place: int) -> Strip:
        selection = self.text_selection
        span = selection.get_span(place) if selection is not None else None
        if span is None:
            return strip
        start, end = span[0], strip.cell_length if span[1] == -1 else span[1]
        parts = list(strip.divide([start, end, strip.cell_length]))
        if len(parts) > 1:
            parts[1] = parts[1].apply_style(self.screen.get_component_rich_style("screen--selection"))
        return Strip.join(parts)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(self._buffer.row_text(place) for place in range(len(self._buffer.rows)))), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
