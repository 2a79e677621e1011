"""One line from a person: a command after `:`, a password, a file's name, the word that confirms."""

from textual.app import ComposeResult
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Input, Static

from deployer.tui.modals.panel import Panel


class Asking(Panel[str | None]):
    """Ends with what was typed, None after Esc. `text` stands above the line."""

    AUTO_FOCUS = "Input"

    def __init__(
        self,
        title: str,
        text: Content | None = None,
        *,
        value: str = "",
        hidden: bool = False,
        placeholder: str = "",
        suggester: Suggester | None = None,
        grave: bool = False,
    ) -> None:
        super().__init__(title, grave=grave)
        self._text = text
        self._input = Input(value, placeholder=placeholder, password=hidden, suggester=suggester, compact=True)

    def parts(self) -> ComposeResult:
        if self._text is not None:
            yield Static(self._text)
        yield self._input

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.answer(event.value)

    def answer(self, value: str) -> None:
        self.dismiss(value)
