"""Progress for a person: one moving line per host, gone when it is done; what came of it is printed afterwards."""

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deployer.agent.plain import plain
from deployer.app.board import Board, HostRow, amount
from deployer.app.steptimes import Times
from deployer.app.times import clock
from deployer.cli import console
from deployer.execute.events import Event

#: Hosts that are shown at once; the rest is counted.
SHOWN = 16


class LiveProgress:
    """`times`: how long like steps took before, in seconds."""

    def __init__(self, times: Times | None = None) -> None:
        self._board = Board()
        self._times = times or {}
        self._spinner = Spinner("dots")
        terminal = Console(stderr=True, no_color=not console.color(), highlight=False)
        self._live = Live(get_renderable=self._draw, console=terminal, refresh_per_second=8, transient=True)

    def __enter__(self) -> "LiveProgress":
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.__exit__(kind, error, trace)

    def take(self, event: Event) -> None:
        self._board.take(event)

    def _draw(self) -> Table:
        rows = [row for row in list(self._board.hosts.values()) if not row.ended]
        table = Table.grid(padding=(0, 2))
        for row in rows[:SHOWN]:
            said = _text(row.message or amount(row.data))
            table.add_row(self._spinner, _text(row.host), _text(row.label), _bar(row), said, self._since(row))
        if len(rows) > SHOWN:
            table.add_row("", f"and {len(rows) - SHOWN} more hosts")
        if self._board.said:
            table.add_row("", _text(self._board.said))
        return table

    def _since(self, row: HostRow) -> str:
        expected = self._times.get(row.host, {}).get(row.label)
        about = f" of about {clock(expected)}" if expected else ""
        return clock(time.monotonic() - row.began) + about


def _text(said: str) -> Text:
    """What others said is no markup, and nothing in it moves the cursor."""
    return Text(" ".join(plain(said).split("\n")))


def _bar(row: HostRow) -> ProgressBar | str:
    done, total = row.data.get("done"), row.data.get("total")
    return ProgressBar(total=total, completed=done or 0, width=16) if total else ""
