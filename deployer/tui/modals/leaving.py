"""Leaving while an apply runs: it goes on without us, or it stops, or we stay."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from deployer.tui.modals.panel import Panel

if TYPE_CHECKING:
    from deployer.app.operation import Operation


class Leaving(Panel[str | None]):
    """Ends with "detach", "stop" or None. The key that opened it (q) does nothing here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "answer('detach')", "Leave it to the hosts", id="leaving.detach"),
        Binding("s", "answer('stop')", "Finish the running steps, then stop", id="leaving.stop"),
    ]

    def __init__(self, operation: "Operation") -> None:
        super().__init__("An apply is running", grave=True)
        self._operation = operation

    def parts(self) -> ComposeResult:
        yield Static(
            Content(
                f"{self._operation.title}\n\n"
                "d    leave: the hosts finish what they are at and stop at the next barrier;\n"
                "     deployer attach, or this screen again, goes on from there\n"
                "s    stop: the running steps are finished, then nothing more is begun\n"
                "Esc  stay"
            )
        )

    def action_answer(self, how: str) -> None:
        self.dismiss(how)
