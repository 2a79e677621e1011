"""Drift: what was changed on the hosts though nobody changed the YAML."""

from typing import ClassVar

from textual.app import ComposeResult

from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import RowList


class DriftPlace(Place):
    NAME: ClassVar[str] = "drift"
    FILTERS: ClassVar[str | None] = "text"
    AUTO_FOCUS = "RowList"

    def body(self) -> ComposeResult:
        yield RowList(id="drift", empty="nothing differs")
