"""Drift: what was changed on the hosts though nobody changed the YAML. Three ways out: put it back (a plan to review), leave
it alone (a rule in deployer.yaml), or look closer.
"""

from datetime import UTC, datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from deployer.app import rulefile
from deployer.app.planned import Planned
from deployer.app.times import ago
from deployer.errors import DeployerError
from deployer.plan.review import Review
from deployer.tui import driftrows
from deployer.tui.driftrows import Found
from deployer.tui.line import Span, line, paragraphs
from deployer.tui.modals.asking import Asking
from deployer.tui.modals.panel import Reading
from deployer.tui.modals.writing import Writing
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import Row, RowList


class DriftPlace(Place):
    NAME: ClassVar[str] = "drift"
    FILTERS: ClassVar[str | None] = "host, deployment, text, ignored"
    AUTO_FOCUS = "RowList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "open", "Details", id="drift.open"),
        Binding("p", "revert", "Put back", id="drift.revert"),
        Binding("P", "revert_all", "Put all back", id="drift.revert-all"),
        Binding("i", "ignore", "Ignore…", id="drift.ignore"),
        Binding("r", "again", "Check", id="drift.again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.checked: Planned | None = None
        self.found: dict[str, Found] = {}
        self._asking_since: float | None = None
        self._filter = ""
        self._asked_after: object = self  # the apply that was over when we asked unbidden: once after each

    def body(self) -> ComposeResult:
        yield RowList(id="drift")
        yield Static(id="drift-about")

    @property
    def rows(self) -> RowList:
        return self.query_one("#drift", RowList)

    @property
    def current(self) -> Found | None:
        row = self.rows.current
        return self.found.get(row.key) if row is not None else None

    # asking the hosts

    def look(self) -> None:
        whole, operation = self.main.session.whole, self.main.session.operation
        if whole is not None and whole is not self.checked:
            self._take(whole)
        over = operation if operation is not None and operation.over else None
        if self._asked_after is not over and not self.main.planning and self._asking_since is None:
            self._asked_after = over
            if self.checked is None or over is not None:
                self._ask(quiet=True)
        if self._asking_since is not None and self.checked is None:
            self.rows.say_empty(f"asking the hosts … {self.main.clock() - self._asking_since:.0f} s")

    def _ask(self, *, quiet: bool = False) -> None:
        if self._asking_since is not None:
            return
        self._asking_since = self.main.clock()
        self.main.job(self.main.session.check, self._take, self._quietly if quiet else self._failed, name="drift")

    def _take(self, planned: Planned) -> None:
        self._asking_since = None
        self.checked = planned
        self.found = driftrows.findings(planned.plan)
        self._draw()

    def _quietly(self, error: DeployerError) -> None:
        """Nobody asked for it: said in the list, not in a panel."""
        self._asking_since = None
        hint = f"; {error.hint}" if error.hint else ""
        self.rows.say_empty(f"it could not be checked: {error.what}{hint}; r tries again")

    def _failed(self, error: DeployerError) -> None:
        self._asking_since = None
        self.main.wrong(error)

    def action_again(self) -> None:
        self._ask()
        self.top()

    # drawing

    def notes(self) -> list[Span]:
        if self._asking_since is not None:
            return [("asking the hosts … ", "accent")]
        if self.checked is None:
            return []
        now = datetime.fromtimestamp(self.main.clock(), UTC)
        return [*driftrows.tally(self.checked.plan), (f"checked {ago(self.checked.plan.created_at, now)} ", "dim")]

    def _draw(self) -> None:
        shown = [one for one in self.found.values() if driftrows.fits(one, self._filter)]
        self.rows.say_empty(self._nothing())
        self.rows.show([driftrows.row(one, self.main.glyphs) for one in shown], self._head() if shown else None)
        self.top()
        self.refresh_bindings()

    def _head(self) -> Row:
        return Row("head", line(f"  {'HOST':<11}{'DEPLOYMENT':<11}{'STATE':<12}WHAT"), line("AS APPLIED, AS IT IS"))

    def _nothing(self) -> str:
        if self.found:
            return "nothing fits the filter: Esc clears it"
        return "nothing differs from what was applied"

    def filtered(self, text: str) -> None:
        self._filter = text
        self._draw()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        self.query_one("#drift-about", Static).update(paragraphs(driftrows.about(self.current, self.main.glyphs)))
        self.refresh_bindings()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "open":
            return True if self.is_mounted and self.current is not None else None
        if action == "revert":
            return True if self.is_mounted and self.current is not None and self.current.change is not None else None
        if action == "revert_all":
            return True if any(one.change for one in self.found.values()) else None
        if action == "ignore":
            one = self.current if self.is_mounted else None
            able = one is not None and one.drift is not None and not one.ignored and not self.main.session.read_only
            return True if able else None
        return super().check_action(action, parameters)

    # the ways out

    def action_open(self) -> None:
        one = self.current
        if one is not None and self.checked is not None:
            text = paragraphs(driftrows.detail(one, self.checked.plan, self.main.glyphs))
            self.main.push_screen(Reading("What differs", text))

    def action_revert(self) -> None:
        if self.current is not None and self.current.change is not None:
            self._review({self.current.change})

    def action_revert_all(self) -> None:
        self._review({one.change for one in self.found.values() if one.change is not None})

    def _review(self, wanted: set[str]) -> None:
        """Opens the plan of these changes alone, with what they need."""
        checked = self.checked
        if checked is None:
            return
        approved = Review.of(checked.plan).approve(wanted).approved
        self.main.review_hold(lambda: checked.only(lambda change: change.id in approved))

    def action_ignore(self) -> None:
        one = self.current
        if one is None or one.drift is None:
            return
        drift, root = one.drift, self.main.session.fleet.root

        def ask(what: str | None) -> None:
            if what:
                self.main.job(lambda: rulefile.ignore(root, drift.host, drift.deployment, what), self._show_edit, name="rule")

        text = paragraphs([line("A rule for this host and deployment. * stands for anything: longer names, other files.")])
        self.main.push_screen(Asking("Ignore which difference?", text, value=drift.what), ask)

    def _show_edit(self, edit: rulefile.Edit) -> None:
        def write(yes: bool | None) -> None:
            if yes:
                self.main.session.must_write("a rule")
                self._asking_since = self.main.clock()
                self.main.job(lambda: self._written(edit), self._take, self._failed, name="rule")

        words = "What it names stays as it is on the host, and is listed as ignored. Commit the file, so that others know."
        self.main.push_screen(Writing("deployer.yaml will say", edit.diff(), words), write)

    def _written(self, edit: rulefile.Edit) -> Planned:
        edit.write()
        return self.main.session.check()
