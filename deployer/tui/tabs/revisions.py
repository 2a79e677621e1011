"""Revisions: who applied what, when and why; and what differs between any two."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from deployer.app.times import ago
from deployer.plan.revisions import Revision
from deployer.tui import holding
from deployer.tui.line import Line, clean, columns, line
from deployer.tui.screens.difference import DifferencePlace
from deployer.tui.tabs.tab import Tab
from deployer.tui.widgets.rowlist import Row, RowList


class Revisions(Tab):
    """`space` marks two; `d` shows what differs between them, or between the one under the cursor and what stands now."""

    KEY = "r"
    NAME = "Revisions"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="revisions.mark"),
        Binding("d,enter", "difference", "Difference", id="revisions.difference"),
        Binding(
            "b",
            "roll_back",
            "Roll back…",
            tooltip="to the revision under the cursor: plans it and opens the review",
            id="revisions.roll-back",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._marked: list[int] = []

    def compose(self) -> ComposeResult:
        yield RowList(empty="asking the hosts …")

    def opened(self) -> None:
        self.draw()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        message.stop()
        self.action_difference()

    @property
    def _all(self) -> tuple[Revision, ...]:
        return self.dossier.revisions if self.dossier is not None else ()

    def draw(self) -> None:
        rows = self.query_one(RowList)
        if self.dossier is None:
            return
        wide = self.size.width >= 100
        heads = columns([(line(text), size) for text, size in (_HEADS if wide else _HEADS[:-2])])
        rows.say_empty(self._why_none())
        rows.show([self._row(one, wide) for one in self._all], Row("", line("  ", *heads, "  WHY")))

    def _why_none(self) -> str:
        silent = self.dossier.silent if self.dossier else ()
        if silent:
            return f"no host that answered has one; not heard: {', '.join(one.name for one in silent)}"
        return f"it was never applied: {self.main.key_of('plan')} plans it"

    def _row(self, one: Revision, wide: bool) -> Row:
        glyphs = self.main.glyphs
        marked = one.number in self._marked
        current = (f"{glyphs.states['deployed']} current", "good") if one.current else ("", "")
        cells: list[tuple[Line, int]] = [
            (line(str(one.number)), -4),
            (line(current), 10),
            (line(ago(one.at)), 12),
            (line(clean(str(one.who or glyphs.dash))), 24),
            (line(str(one.commit or glyphs.dash)[:9]), 10),
            (line(clean(" ".join(one.hosts))), 20),
        ]
        mark = (f"{glyphs.good} " if marked else "  ", "bold accent")
        return Row(str(one.number), line(mark, *columns(cells if wide else cells[:-2]), f"  {clean(one.why or '')}"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "roll_back":
            return True if self._all and self.place.may_roll_back() else None
        return super().check_action(action, parameters)

    def action_roll_back(self) -> None:
        current = self.query_one(RowList).current
        if current is not None:
            holding.roll_back(self.main, self.place.deployment, int(current.key))

    def action_mark(self) -> None:
        current = self.query_one(RowList).current
        if current is None:
            return
        number = int(current.key)
        if number in self._marked:
            self._marked.remove(number)
        else:
            self._marked = [*self._marked[-1:], number]
        self.draw()

    def action_difference(self) -> None:
        pair = self._pair()
        if pair is None:
            self.main.notify("there is no other revision to compare with")
        else:
            self.main.push_screen(DifferencePlace(self.place.deployment, *pair))

    def _pair(self) -> tuple[Revision, Revision] | None:
        """The older one first."""
        by_number = {one.number: one for one in self._all}
        row = self.query_one(RowList).current
        if row is None:
            return None
        under = by_number[int(row.key)]
        marked = [by_number[number] for number in self._marked if number in by_number]
        others = [one for one in marked if one is not under]
        if len(marked) == 2:
            pair = marked
        elif others:
            pair = [others[0], under]
        else:
            current = [one for one in self._all if one.current and one is not under]
            older = [one for one in self._all if one.number < under.number]
            other = (current or older or [one for one in self._all if one is not under])[:1]
            pair = [*other, under]
        if len(pair) < 2:
            return None
        first, second = sorted(pair, key=lambda one: one.number)
        return first, second


_HEADS = (("REV", -4), ("", 10), ("WHEN", 12), ("WHO", 24), ("COMMIT", 10), ("HOSTS", 20))
