"""Filter as you type: one line that opens with `/`, and closes with Esc, which also clears it."""

import time
from collections.abc import Callable

from textual.binding import Binding
from textual.timer import Timer
from textual.widgets import Input

from deployer.tui.sturdy import Sturdy

#: A key is answered at once, unless one was answered so many seconds ago: then all that come meanwhile make one filtering.
PAUSE_S = 0.01


class FilterLine(Sturdy, Input):
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
        self._said_at = 0.0

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
        wait = self._said_at + PAUSE_S - time.monotonic()
        if wait <= 0:
            self._say()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self._say)

    def _leave(self) -> None:
        self.display = bool(self.value)
        self._say()
        self._left()

    def _say(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.value != self._said:
            self._said, self._said_at = self.value, time.monotonic()
            self._typed(self.value)
