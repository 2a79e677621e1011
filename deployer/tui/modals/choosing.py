"""One of several, chosen from a list."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from deployer.tui.modals.panel import Panel
from deployer.tui.widgets.rowlist import Row, RowList


class Choosing(Panel[str | None]):
    """Ends with the key of the chosen row, None after Esc."""

    AUTO_FOCUS: ClassVar[str | None] = "RowList"

    def __init__(self, title: str, rows: Sequence[Row]) -> None:
        super().__init__(title)
        self._rows = rows

    def parts(self) -> ComposeResult:
        found = RowList(id="choices")
        found.styles.height = min(12, len(self._rows))
        yield found

    def on_mount(self) -> None:
        self.query_one(RowList).show(self._rows)

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        message.stop()
        self.dismiss(message.row.key)
