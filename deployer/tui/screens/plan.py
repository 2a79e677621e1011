"""Plan review: every change with its reason and its cost, approved or rejected one by one."""

from typing import ClassVar

from textual.app import ComposeResult

from deployer.app.planned import Planned
from deployer.plan.describe import cost, subject
from deployer.tui.line import line
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import Row, RowList


class PlanPlace(Place):
    NAME: ClassVar[str] = "plan"
    FILTERS: ClassVar[str | None] = "text, host:gpu-01, +, ~, -"
    AUTO_FOCUS = "RowList"

    def body(self) -> ComposeResult:
        yield RowList(id="changes", empty="asking the hosts …")

    def on_mount(self) -> None:
        super().on_mount()
        if self.main.session.planned is not None:
            self.take(self.main.session.planned)

    def take(self, planned: Planned) -> None:
        """Review this plan from now on."""
        rows = [Row(c.id, line(subject(c)), line(cost(c))) for c in planned.plan.changes]
        self.query_one("#changes", RowList).show(rows)
