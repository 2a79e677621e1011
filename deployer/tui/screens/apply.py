"""The apply that runs: what is done now, what failed, what waits, with the log of the step under the cursor."""

from typing import ClassVar

from textual.app import ComposeResult

from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import RowList


class ApplyPlace(Place):
    NAME: ClassVar[str] = "apply"
    AUTO_FOCUS = "RowList"

    def body(self) -> ComposeResult:
        yield RowList(id="steps", empty="nothing was applied here yet: 2 makes a plan")
