"""The line at the top: where one is, in which fleet and environment, and how fresh it is. Always in sight."""

from textual.widgets import Static

from deployer.tui.line import Line, beside, content, width_of
from deployer.tui.sturdy import Sturdy


class TopLine(Sturdy, Static):
    """`left`: the environment and the way here; `right`: connection, age, mode, the least important first: that is what is
    left out where there is no room. An environment of production has its own class, and its word beside the colour.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: Line = ()
        self._right: Line = ()

    def say(self, left: Line, right: Line) -> None:
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        right, width = self._right, max(1, self.size.width)
        while len(right) > 1 and width_of(self._left) + width_of(right) + 1 > width:
            right = right[1:]
        self.update(content(beside(self._left, right, width)), layout=False)
