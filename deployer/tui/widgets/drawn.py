"""What the widgets that draw `Line`s themselves have in common: the look of each role, from the style sheet."""

from collections.abc import Iterator
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView

from deployer.tui.line import ROLES, Line, clean
from deployer.tui.sturdy import Sturdy


class Drawn(Sturdy, ScrollView):
    """The style sheet says how a role looks: `Drawn > .drawn--good`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"drawn--{role}" for role in ROLES}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def look_of(self, name: str) -> Style:
        """Of a component class ("drawn--good", "rows--cursor")."""
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(name, partial=True)
        return self._styles[name]

    def segments(self, spans: Line, base: Style) -> Iterator[Segment]:
        for text, roles in spans:
            style = base
            for role in roles.split():
                style += self.look_of(f"drawn--{role}")
            yield Segment(clean(text), style)
