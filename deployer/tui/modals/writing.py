"""An edit of a file, shown as a difference before it is made. The key that writes is not the one that asked for it."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from deployer.tui.line import Line, clean, line, paragraphs
from deployer.tui.modals.panel import Panel

_ROLES = {"+": "good", "-": "bad", "@": "accent"}


class Writing(Panel[bool | None]):
    """Ends with True when it shall be written. `diff`: lines of a unified diff; `words`: what it will mean."""

    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "write", "Write it", id="writing.write")]

    def __init__(self, title: str, diff: Sequence[str], words: str) -> None:
        super().__init__(title)
        self._diff = tuple(diff)
        self._words = words

    def parts(self) -> ComposeResult:
        lines: list[Line] = [line((clean(text), _ROLES.get(text[:1], ""))) for text in self._diff]
        with VerticalScroll():
            yield Static(paragraphs([*lines, (), line(self._words)]))

    def action_write(self) -> None:
        self.dismiss(True)
