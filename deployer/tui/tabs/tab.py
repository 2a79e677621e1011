"""What the tabs of a deployment have in common: a key, a name, what they show, and the place they are part of."""

import textwrap
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from deployer.tui.line import Line, clean, line
from deployer.tui.sturdy import Sturdy

if TYPE_CHECKING:
    from deployer.app.dossier import Dossier
    from deployer.tui.app import DeployerApp
    from deployer.tui.screens.deployment import DeploymentPlace


class Tab(Sturdy, Vertical):
    """`KEY` opens it. `FILTERS`: what the filter line says it takes; None: there is nothing to filter."""

    KEY: ClassVar[str] = ""
    NAME: ClassVar[str] = ""
    FILTERS: ClassVar[str | None] = None
    FOCUS: ClassVar[str] = "RowList"  # what takes the keys

    def __init__(self) -> None:
        super().__init__(id=self.NAME.lower())

    @property
    def place(self) -> "DeploymentPlace":
        from deployer.tui.screens.deployment import DeploymentPlace

        assert isinstance(self.screen, DeploymentPlace)
        return self.screen

    @property
    def main(self) -> "DeployerApp":
        return self.place.main

    @property
    def dossier(self) -> "Dossier | None":
        """None until the hosts have answered for the first time."""
        return self.place.dossier

    def draw(self) -> None:
        """Show what is known now. Called when it changed, when the tab is opened, and when the window changes its size."""

    def look(self) -> None:
        """Once a tick while the tab is in sight."""

    def heard(self) -> None:
        """Once a tick while the place is in sight, whichever tab is open."""

    def opened(self) -> None:
        """It has come in sight."""

    def closed(self) -> None:
        """It is out of sight, or the place is left."""

    def away(self) -> None:
        """Another place is looked at, while this one stays as it is. `opened` comes when one is back."""

    def filtered(self, text: str) -> None:
        """Show only what fits `text`."""

    def back(self) -> bool:
        """Esc. True: it was used here, and the place stays."""
        return False

    def focus_here(self) -> None:
        for found in self.query(self.FOCUS).results(Widget):
            found.focus()
            return

    def on_resize(self) -> None:
        if self.display and self.size.width:
            self.draw()


class TabLine(Sturdy, Static):
    """All tabs in one line, the open one marked. A click opens one."""

    def show(self, tabs: list[Tab], current: str) -> None:
        room = sum(len(tab.NAME) + 4 for tab in tabs) <= (self.size.width or 80)
        parts = []
        for tab in tabs:
            here = current == tab.NAME
            name = tab.NAME if room or here else tab.NAME[:4]
            key = Content.styled(f" {tab.KEY} ", "bold $footer-key-foreground")
            text = Content.styled(f"{name} ", "bold reverse" if here else "")
            parts.append(Content.assemble(key, text).stylize(f"@click=screen.tab({tab.NAME!r})"))
        self.update(Content("").join(parts))


def folded(text: str, width: int, indent: int = 0, role: str = "") -> list[Line]:
    """A long text as lines of at most `width` cells, none of it lost."""
    room = max(20, width - indent)
    pieces = textwrap.wrap(clean(text), room, break_on_hyphens=False) or [""]
    return [line(" " * indent, (piece, role)) for piece in pieces]


def facts(label: str, *value: "str | tuple[str, str]") -> Line:
    """ "endpoint    https://…": a word and what it is."""
    return line((f"{label:<11} ", "dim"), *value)
