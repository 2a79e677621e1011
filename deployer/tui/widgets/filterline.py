"""Filter as you type: one line that opens with `/`, and closes with Esc, which also clears it."""

from collections.abc import Callable

from textual.binding import Binding
from textual.timer import Timer
from textual.widgets import Input

#: Keys typed within this time make one filtering. Seconds.
PAUSE_S = 0.01


class FilterLine(Input):
    """Calls `typed(text)` while one types, and `left()` when one goes back to the list (Enter keeps the filter, Esc clears
    it). Calls and not messages: a key pressed right after Enter must find the list filtered and in focus.
    """

    BINDINGS = [Binding("escape", "clear", "Clear the filter", show=False, id="filter.clear")]

    def __init__(self, typed: Callable[[str], None], left: Callable[[], None], placeholder: str) -> None:
        super().__init__(placeholder=placeholder, compact=True)
        self.display = False
        self._typed, self._left = typed, left
        self._said = ""
        self._timer: Timer | None = None

    def open(self) -> None:
        self.display = True
        self.screen.set_focus(self)

    def action_clear(self) -> None:
        self.value = ""
        self._leave()

    async def action_submit(self) -> None:
        self._leave()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._say)

    def _leave(self) -> None:
        self.display = bool(self.value)
        self._say()
        self._left()

    def _say(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.value != self._said:
            self._said = self.value
            self._typed(self.value)
