"""The apply that runs: what is done now, what failed, what waits, with the log of the step under the cursor; at its end
what came of it. It only draws: the apply belongs to the application.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from deployer.app.operation import Operation
from deployer.app.values import Running
from deployer.errors import DeployerError
from deployer.tui import applyrows, outcomerows
from deployer.tui.line import Line, Span, content, line, paragraphs
from deployer.tui.modals.choosing import Choosing
from deployer.tui.modals.panel import Reading
from deployer.tui.modals.stopping import Stopping
from deployer.tui.screens.place import Place
from deployer.tui.steplog import StepLog
from deployer.tui.widgets.filterline import FilterLine
from deployer.tui.widgets.logview import LogView
from deployer.tui.widgets.rowlist import Row, RowList

EMPTY = "nothing was applied here yet: 2 makes a plan, t looks for an apply that runs on the hosts"


class ApplyPlace(Place):
    NAME: ClassVar[str] = "apply"
    FILTERS: ClassVar[str | None] = "find in the log below; n and N go from match to match"
    AUTO_FOCUS = "#steps"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (24, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause/go on", id="apply.pause"),
        Binding("s", "stop", "Stop safely", id="apply.stop"),
        Binding("D", "detach", "Detach", key_display="D", id="apply.detach"),
        Binding("t", "attach", "Attach", id="apply.attach"),
        Binding("z", "fold", "Fold", id="apply.fold"),
        Binding("c", "copy", "Copy", show=False, id="apply.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._drawn: tuple[object, ...] = ()
        self._open: frozenset[str] = frozenset()
        self._log: StepLog | None = None
        self._looking = False
        self._said: Line = ()
        self._top = ""

    def body(self) -> ComposeResult:
        yield Static(id="apply-head")
        yield RowList(id="steps", empty=EMPTY)
        yield Static(id="log-title")
        log = LogView(id="step-log")
        log.set_reactive(LogView.wrap, True)
        yield log

    @property
    def operation(self) -> Operation | None:
        return self.main.session.operation

    @property
    def steps(self) -> RowList:
        return self.query_one("#steps", RowList)

    # drawing

    def look(self) -> None:
        operation = self.operation
        drawing = applyrows.Drawing(self.main.glyphs, max(40, self.size.width), self._open)
        if operation is None:
            self._idle()
            return
        now = int(operation.seconds) if not operation.over else 0
        mark = (id(operation), operation.tick, operation.state, now, drawing)
        if mark != self._drawn:
            fresh = not self._drawn or self._drawn[0] != id(operation)
            ended = bool(self._drawn) and operation.over and self._drawn[2] != operation.state
            self._drawn = mark
            current = self.steps.current
            if fresh or ended or current is None or current.key == self._top:
                self._top = self._draw(operation, drawing)
                self.steps.move_to_key(self._top)
            else:
                self._draw(operation, drawing)
            if fresh or ended:
                self.refresh_bindings()
        self._follow_log()

    def _draw(self, operation: Operation, drawing: applyrows.Drawing) -> str:
        """The key of the row that a person most likely wants to see more of: the cursor stays with it until it is moved."""
        head = self.query_one("#apply-head", Static)
        if operation.over:
            self.main.end_seen = operation
            head.update(content(outcomerows.title(operation, drawing)))
            self.steps.show(outcomerows.rows(operation, drawing))
            return self.steps.rows[0].key if self.steps.rows else ""
        view = operation.board.view(applyrows.MOST_WAITING)
        where = applyrows.phases(view, drawing)
        progress = applyrows.progress(view, operation.seconds, operation.state, drawing)
        head.update(paragraphs([progress, where] if where else [progress]))
        self.steps.show(applyrows.rows(operation.board, view, drawing), applyrows.heading(drawing))
        return next((step.key for step in (*view.failed, *view.running)), self.steps.rows[0].key if self.steps.rows else "")

    def _idle(self) -> None:
        who = self.main.foreign_apply()
        more = "" if self.main.session.read_only else ": t attaches to it"
        said = line((f"an apply by {who} is running{more}" if who else "no apply runs here", "warn" if who else "dim"))
        if said != self._said:
            self._said = said
            self.query_one("#apply-head", Static).update(content(said))

    def notes(self) -> list[Span]:
        operation = self.operation
        return [(f" {operation.title} ", "")] if operation is not None and operation.over else []

    # the log of what the cursor stands on

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        self._choose_log(message.row)

    def _choose_log(self, row: Row | None) -> None:
        self._end_log()
        log = self.query_one(LogView)
        log.clear()
        log.say_empty("it has said nothing yet" if row is not None else "")
        if row is not None and self.operation is not None:
            self._log = StepLog(self.operation, row.key)
            log.append(self._log.whole())
        title = self._log.title if self._log is not None else ""
        self.query_one("#log-title", Static).update(content(line((f"log: {title}" if title else "", "dim"))))

    def _follow_log(self) -> None:
        if self._log is not None:
            log = self.query_one(LogView)
            if self._log.stale:
                log.clear()
                log.append(self._log.whole())
            log.append(self._log.more())

    def _end_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def on_unmount(self) -> None:
        self._end_log()

    # what a person does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        operation = self.operation
        going = operation is not None and not operation.over
        if action in ("pause", "stop", "detach") and (not going or self.main.session.read_only):
            return None
        if action == "attach" and (going or self.main.session.read_only):
            return None
        return super().check_action(action, parameters)

    def action_pause(self) -> None:
        operation = self.operation
        if operation is not None and operation.paused:
            operation.resume()
        elif operation is not None:
            operation.pause()
        self.look()

    def action_stop(self) -> None:
        operation = self.operation
        if operation is not None:
            self.main.push_screen(Stopping(operation.title), lambda yes: operation.stop() if yes else None)

    def action_detach(self) -> None:
        if self.operation is not None:
            self.operation.detach()
            self.notify("left to the hosts: they go on to the next barrier; t attaches again", markup=False)

    def action_attach(self) -> None:
        if not self._looking:
            self._looking = True
            self.main.job(self.main.session.running, self._found, self._not_found, name="running")

    def _not_found(self, error: DeployerError) -> None:
        self._looking = False
        self.main.wrong(error)

    def _found(self, found: list[Running]) -> None:
        self._looking = False
        if not found:
            self.notify("no apply is running on the hosts that answered", markup=False)
        elif len(found) == 1:
            self._follow(found[0])
        else:
            by_run = {one.run: one for one in found}
            rows = [
                Row(one.run, line((one.who, "bold"), f"  plan {one.plan}  since {one.since}  on {', '.join(one.hosts)}"))
                for one in found
            ]
            self.main.push_screen(
                Choosing("Which apply?", rows), lambda run: self._follow(by_run[run]) if run is not None else None
            )

    def _follow(self, one: Running) -> None:
        self.main.job(lambda: self.main.session.attach(one), lambda operation: self.look(), name="attach")

    def action_fold(self) -> None:
        self._open = frozenset() if self._open else frozenset(applyrows.FOLDS)
        self.look()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        kind, _, name = message.row.key.partition(":")
        if kind == "fold":
            self._open = self._open ^ {name}
            self.look()
        elif kind in ("answers", "canary"):
            self.main.open_deployment(name)
        elif self.query_one(LogView).display:
            self.query_one(LogView).focus()
        elif self._log is not None:  # there is no room for it below
            self.main.push_screen(Reading(self._log.title, Content(self.query_one(LogView).text())))

    def action_copy(self) -> None:
        row = self.steps.current
        kind, _, name = row.key.partition(":") if row is not None else ("", "", "")
        if kind == "answers" and self.operation is not None:
            self.main.copy(self.operation.endpoints[name].curl, f"the curl line of {name}")
        else:
            self.main.copy(self.query_one(LogView).text(), "the log")

    def filtered(self, text: str) -> None:
        self.query_one(LogView).search(text)

    def focus_list(self) -> None:
        """After a search the keys go to the log, where n and N are."""
        log = self.query_one(LogView)
        (log if log.searched else self.steps).focus()

    def action_back(self) -> None:
        """Out of the search, then out of the log, then out of the place."""
        if self.query_one(LogView).has_focus and not self.query_one(FilterLine).value:
            self.steps.focus()
        else:
            super().action_back()
