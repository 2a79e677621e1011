"""The line behind `:`. Below it stands what could be meant; tab completes, up and down bring back what was said before."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input, Static

from deployer.tui.line import Line, cut, paragraphs
from deployer.tui.modals.asking import Asking

#: Lines of what could be meant. The panel does not jump about while one types.
MOST = 8

#: What was typed → the whole lines it could become, each with its explanation.
Complete = Callable[[str], Sequence[tuple[str, Line]]]


class _First(Suggester):
    """Shows the rest of the first of them behind the cursor."""

    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        return next((whole for whole, _ in self._complete(value) if whole.startswith(value)), None)


class Saying(Asking):
    """`before`: what was said, oldest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", id="command.complete", priority=True),
        Binding("up", "recall(-1)", "Before", id="command.before", priority=True),
        Binding("down", "recall(1)", "After", show=False, id="command.after", priority=True),
    ]

    def __init__(self, complete: Complete, before: Sequence[str]) -> None:
        super().__init__("Command", suggester=_First(complete))
        self._complete = complete
        self._before = [*before, ""]
        self._at = len(before)

    def parts(self) -> ComposeResult:
        yield from super().parts()
        yield Static(id="meant")

    def on_mount(self) -> None:
        self._show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, typed: str) -> None:
        found = self._complete(typed)
        lines = [text for _, text in found[:MOST]]
        if len(found) > MOST:
            lines[-1] = ((f"and {len(found) - MOST + 1} more: type on", "dim"),)
        width = max(20, self.app.size.width * 4 // 5 - 8)
        self.query_one("#meant", Static).update(paragraphs([cut(one, width) for one in lines] + [()] * (MOST - len(lines))))

    def action_complete(self) -> None:
        """As far as all that could be meant agree; the first one when they do not."""
        typed = self._input.value
        found = [whole for whole, _ in self._complete(typed) if whole.startswith(typed)]
        if found:
            shared = _shared(found)
            self._put(shared if len(shared) > len(typed) else found[0])

    def action_recall(self, way: int) -> None:
        self._at = max(0, min(len(self._before) - 1, self._at + way))
        self._put(self._before[self._at])

    def _put(self, text: str) -> None:
        self._input.value = text
        self._input.cursor_position = len(text)


def _shared(found: Sequence[str]) -> str:
    first, last = min(found), max(found)
    count = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    return first[:count]
