"""Filter as you type: one line that opens with `/`, and closes with Esc, which also clears it."""

from textual.binding import Binding
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

#: Keys typed within this time make one filtering. Seconds.
PAUSE_S = 0.01


class FilterLine(Input):
    """Posts Typed while one types, and Left when one goes back to the list (Enter keeps the filter, Esc clears it)."""

    BINDINGS = [Binding("escape", "clear", "Clear the filter", show=False, id="filter-clear")]

    class Typed(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Back to the list."""

    def __init__(self, placeholder: str = "text, host:gpu-01, …") -> None:
        super().__init__(placeholder=placeholder, compact=True)
        self.display = False
        self._timer: Timer | None = None

    def open(self) -> None:
        self.display = True
        self.focus()

    def action_clear(self) -> None:
        self.value = ""
        self.display = False
        self._say()
        self.post_message(self.Left())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._say)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = bool(self.value)
        self._say()
        self.post_message(self.Left())

    def _say(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.post_message(self.Typed(self.value))
