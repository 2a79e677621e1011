"""Stopping an apply safely: what that means, confirmed by a key that is not the one that asked."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from deployer.tui.modals.panel import Panel


class Stopping(Panel[bool]):
    """Ends with True when it was confirmed, with False or None when not."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "confirm", "Stop it", id="stopping.confirm")]

    def __init__(self, title: str) -> None:
        super().__init__("Stop this apply?", grave=True)
        self._what = title

    def parts(self) -> ComposeResult:
        yield Static(
            Content(
                f"{self._what}\n\n"
                "The running steps are finished, then nothing more is begun. What was begun and is not whole is undone: what "
                "stood before serves on. What is whole stays, and the next plan says what is left to do.\n\n"
                "y    stop\n"
                "Esc  go on"
            )
        )

    def action_confirm(self) -> None:
        self.dismiss(True)
