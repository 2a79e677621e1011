"""What every question and panel above a place has: a frame, a title, Esc to go back."""

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from deployer.tui.line import content, line
from deployer.tui.sturdy import Sturdy
from deployer.tui.widgets.keybar import KeyBar

T = TypeVar("T")


class Panel(Sturdy, ModalScreen[T]):
    """`grave` frames it in the colour of danger. Subclasses yield their parts from `parts`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", id="close")]

    def __init__(self, title: str, *, grave: bool = False) -> None:
        super().__init__(classes="-grave" if grave else "")
        self._title = title

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield Static(content(line(self._title)), classes="panel-title")
            yield from self.parts()
            yield KeyBar()

    def parts(self) -> ComposeResult:
        yield from ()

    def action_leave(self) -> None:
        self.dismiss(None)


class Reading(Panel[None]):
    """Text to read: help, an error, a diff."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "leave", "Back", show=False, id="read")]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, title: str, text: Content, *, grave: bool = False) -> None:
        super().__init__(title, grave=grave)
        self._text = text

    def parts(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text)
