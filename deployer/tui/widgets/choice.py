"""One of a few words, on one line: the arrow keys go through them. Used by forms."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from deployer.tui.line import Line, clean, content, line
from deployer.tui.sturdy import Sturdy


class Choice(Sturdy, Static, can_focus=True):
    """`value` is "" for "left out", where that is one of the `choices`. `words`: how a choice is said, where that differs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "step(1)", "Next choice", show=False, id="choice.next"),
        Binding("left,h", "step(-1)", "Previous choice", show=False, id="choice.previous"),
    ]

    value: reactive[str] = reactive("", init=False)

    class Changed(Message):
        def __init__(self, choice: "Choice", value: str) -> None:
            super().__init__()
            self.choice, self.value = choice, value

        @property
        def control(self) -> "Choice":
            return self.choice

    def __init__(self, choices: Sequence[str], value: str, words: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.choices = tuple(choices)
        self._words = words or {}
        self.set_reactive(Choice.value, value if value in self.choices else self.choices[0])

    def on_mount(self) -> None:
        self.update(content(self._line()))

    def watch_value(self) -> None:
        self.update(content(self._line()))

    def action_step(self, by: int) -> None:
        place = (self.choices.index(self.value) + by) % len(self.choices)
        self.value = self.choices[place]
        self.post_message(self.Changed(self, self.value))

    def on_click(self, event: Click) -> None:
        if self.has_focus:
            self.action_step(1)

    def _line(self) -> Line:
        word = (clean(self._words.get(self.value, self.value)), "bold" if self.value else "dim")
        place = f"  {self.choices.index(self.value) + 1}/{len(self.choices)}"
        return line(("< ", "accent"), word, (" >", "accent"), (place, "dim"))
