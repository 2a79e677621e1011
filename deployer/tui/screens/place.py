"""What all places have in common: the line at the top, a filter, the keys at the bottom, and being redrawn once a tick."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from deployer.plan.gravity import production
from deployer.tui.line import Line, Span
from deployer.tui.sturdy import Sturdy
from deployer.tui.widgets.filterline import FilterLine
from deployer.tui.widgets.keybar import KeyBar
from deployer.tui.widgets.topline import TopLine

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp


class Place(Sturdy, Screen[None]):
    """Subclasses compose their body, and say what the filter (`filtered`) and a tick (`look`) do."""

    NAME: ClassVar[str] = ""
    FILTERS: ClassVar[str | None] = None  # what the filter line says it takes; None: there is nothing to filter
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    @property
    def main(self) -> "DeployerApp":
        from deployer.tui.app import DeployerApp

        assert isinstance(self.app, DeployerApp)
        return self.app

    def compose(self) -> ComposeResult:
        yield TopLine()
        with Container(id="body"):
            yield from self.body()
        if self.FILTERS is not None:
            yield FilterLine(self.filtered, self.focus_list, self.FILTERS)
        yield KeyBar()

    def body(self) -> ComposeResult:
        yield from ()

    def on_mount(self) -> None:
        self.top()
        self.set_interval(self.main.tick_s, self._tick)

    def on_screen_resume(self) -> None:
        self.top()
        self.look()

    def _tick(self) -> None:
        if self.is_current:
            self.top()
            self.look()

    # what subclasses say

    def look(self) -> None:
        """Draw what is new. Called once a tick while this place is in sight; it must be cheap when nothing is."""

    def filtered(self, text: str) -> None:
        """Show only what fits `text`."""

    def crumbs(self) -> list[str]:
        """The way here: ["fleet", "chat"]."""
        return [self.NAME]

    def notes(self) -> list[Span]:
        """What the top line says at its right: counts, ages."""
        return []

    # the line at the top

    def top(self) -> None:
        app = self.main
        spec = app.session.fleet.spec
        environment = spec.environment or ""
        left: list[Span] = []
        if environment:
            grave = production(environment)
            left.append((f" {environment.upper()} ", "bold bad" if grave else "bold accent"))
        left.append((f" {app.session.fleet.name} ", "bold"))
        for crumb in self.crumbs():
            left.append((f"{app.glyphs.crumb} {crumb} ", ""))
        right: list[Span] = [*self.notes()]
        if app.session.read_only:
            right.append((" read-only ", "warn"))
        right += [*app.apply_note(), *app.connection_note()]
        joined: Line = tuple(left)
        self.query_one(TopLine).set_class(production(environment), "-production")
        self.query_one(TopLine).say(joined, tuple(right))

    # filter

    def action_filter(self) -> None:
        if self.FILTERS is not None:
            self.query_one(FilterLine).open()

    def focus_list(self) -> None:
        """Where the keys go when the filter is closed: the first thing that takes them."""
        if self.AUTO_FOCUS:
            for found in self.query(self.AUTO_FOCUS).results():
                self.set_focus(found)
                return

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "filter" or self.FILTERS is not None

    def action_back(self) -> None:
        """One level back: first out of the filter, then out of the place."""
        lines = list(self.query(FilterLine).results())
        if lines and lines[0].value:
            lines[0].action_clear()
        else:
            self.main.back()
