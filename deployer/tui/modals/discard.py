"""Leaving what is half typed: it is asked for once, by another key than the one that leaves."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from deployer.tui.modals.panel import Panel


class Discard(Panel[bool | None]):
    """Ends with True when it may be thrown away."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("t", "throw", "Throw it away", id="discard.throw")]

    def parts(self) -> ComposeResult:
        yield Static(Content("What you typed is written nowhere yet.\n\nt    throw it away\nEsc  go on typing"))

    def action_throw(self) -> None:
        self.dismiss(True)
