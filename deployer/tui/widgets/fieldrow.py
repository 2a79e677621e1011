"""A field of a form: its label, what is typed or chosen, and beside it what holds or what is wrong with it."""

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from deployer.tui.line import Line, content, line
from deployer.tui.sturdy import Sturdy
from deployer.tui.widgets.choice import Choice


class FieldRow(Sturdy, Horizontal):
    """Posts Typed at every key. With `choices` it is a choice, else a line to type in."""

    class Typed(Message):
        def __init__(self, key: str, text: str) -> None:
            super().__init__()
            self.key, self.text = key, text

    def __init__(
        self,
        key: str,
        label: str,
        value: str,
        *,
        default: str = "",
        choices: tuple[str, ...] = (),
        words: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.key = key
        self._label = label
        self._control: Input | Choice
        if choices:
            self._control = Choice(choices, value, words)
        else:
            self._control = Input(value, placeholder=default, compact=True)
        self._note = Static()
        self._noted: Line = ()

    def compose(self) -> ComposeResult:
        yield Static(content(line(self._label)), classes="field-label")
        yield self._control
        yield self._note

    def on_mount(self) -> None:
        self._note.add_class("field-note")

    @property
    def value(self) -> str:
        return self._control.value

    def take_focus(self) -> None:
        self._control.focus()

    def note(self, said: Line) -> None:
        """What stands beside it; drawn only when it is another than before."""
        if said != self._noted:
            self._noted = said
            self._note.update(content(said))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self.key, event.value))

    def on_choice_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self.key, event.value))
