"""A key that was just made. It is shown here and nowhere else, and copied only when somebody asks."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from deployer.app.apikeys import NewKey
from deployer.tui.line import clean, line, paragraphs
from deployer.tui.modals.panel import Panel


class NewKeyPanel(Panel[None]):
    """`plan`: the key that makes a plan. Enter does not close it: it may still be on its way from the line before."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "copy", "Copy the key", id="newkey.copy")]

    def __init__(self, made: NewKey, plan: str) -> None:
        super().__init__(f"The key {made.name} of {made.deployment}")
        self._made = made
        self._plan = plan

    def parts(self) -> ComposeResult:
        made = self._made
        lines = [line((made.key, "bold accent")), (), line("This is the only time it is shown: give it to whom it is for.")]
        if made.written:
            lines.append(line(f"{clean(str(made.file))} has its SHA-256. It works once that is applied: {self._plan} plans it."))
        else:
            lines.append(line((f"Add to endpoint.keys in {clean(str(made.file))}, then apply:", "warn")))
            lines.append(line(f"  {made.line}"))
        yield Static(paragraphs(lines))

    def action_copy(self) -> None:
        from deployer.tui.app import DeployerApp

        assert isinstance(self.app, DeployerApp)
        self.app.copy(self._made.key, f"the key {self._made.name}")
