"""The fleet: hosts with their GPUs, and deployments. The first place."""

from typing import ClassVar

from textual.app import ComposeResult

from deployer.tui.line import columns, line
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import Row, RowList


class FleetPlace(Place):
    NAME: ClassVar[str] = "fleet"
    FILTERS: ClassVar[str | None] = "host or deployment"
    AUTO_FOCUS = "#deployments"

    def body(self) -> ComposeResult:
        yield RowList(id="hosts", empty="no hosts yet: write hosts/NAME.yaml, or try deployer lab up 1")
        yield RowList(id="deployments", empty="no deployments yet: :new writes one")

    def look(self) -> None:
        spec = self.main.session.fleet.spec
        hosts = [Row(name, columns([(line((name, "bold")), 16)])) for name in sorted(spec.hosts)]
        self.query_one("#hosts", RowList).show(hosts)
        rows = [Row(name, columns([(line((name, "bold")), 16)])) for name in sorted(spec.deployments)]
        self.query_one("#deployments", RowList).show(rows)

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        if message.rows.id == "deployments":
            self.main.open_deployment(message.row.key)
