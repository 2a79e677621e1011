"""Logs: what the engines write, or the records of requests, as it comes, of all replicas or of one."""

import re
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from deployer.app import records
from deployer.app.keeping import keep
from deployer.app.values import LogLine
from deployer.plan.words import count
from deployer.tui.line import Line, clean, content, line
from deployer.tui.logfeed import LogFeed
from deployer.tui.modals.asking import Asking
from deployer.tui.recordline import record_line
from deployer.tui.tabs.tab import Tab
from deployer.tui.widgets.logview import LogView

#: Lines of each unit that are read at first.
FIRST_LINES = 500
#: How often the window takes what has come. Seconds.
TAKE_S = 0.1

_LEVEL = re.compile(
    r"\b(?:(ERROR|CRITICAL|FATAL)|(WARNING|WARN)|(DEBUG|TRACE))\b|^(Traceback \(most recent|\w*(?:Error|Exception)\b)"
)


class Logs(Tab):
    """The stream stands while the tab is in sight. What is shown stays when it is left."""

    KEY = "l"
    NAME = "Logs"
    FILTERS = "only lines that hold this"
    FOCUS = "LogView"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "find", "Find", id="logs.find"),
        Binding("e", "error", "First error", show=False, id="logs.error"),
        Binding("o", "replica", "All or one replica", id="logs.replica"),
        Binding("v", "requests", "Log or requests", tooltip="what the engine writes, or a line per request", id="logs.requests"),
        Binding("S", "save", "Save…", id="logs.save"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._replica: str | None = None
        self._requests = False  # the records of requests are shown, not the log
        self._feed = self._made()
        self._searched = ""
        self._open = False
        self._units: tuple[object, ...] = ()
        self._noted: Line = ()

    def _made(self) -> LogFeed:
        replica, requests = self._replica, self._requests
        return LogFeed(
            lambda lost: self.main.session.fleet.deployment(self.place.deployment).follow(
                lines=FIRST_LINES, replica=replica, lost=lost, requests=requests
            )
        )

    def compose(self) -> ComposeResult:
        yield Static(classes="note")
        yield LogView(empty="asking the hosts …")

    def on_mount(self) -> None:
        self.set_interval(TAKE_S, self._take)

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def opened(self) -> None:
        self._open = True
        self._begin()

    def closed(self) -> None:
        self._open = False
        self._feed.end()

    def away(self) -> None:
        self.closed()

    def choose(self, replica: str | None, *, requests: bool = False) -> None:
        """Only this one, or all; its log, or the records of its requests."""
        if (replica, requests) != (self._replica, self._requests):
            self._feed.end()
            self._replica, self._requests = replica, requests
            self._feed = self._made()
            self.view.clear()
            if self._open:
                self._begin()

    def _begin(self) -> None:
        self._units = self._standing()
        self._feed.begin()
        self._note()

    def _standing(self) -> tuple[object, ...]:
        """The units that there are: other ones mean that it was applied anew."""
        dossier = self.dossier
        return tuple(r.payload.get("unit") for r in dossier.serving) if dossier is not None else ()

    def draw(self) -> None:
        if self._open and self._standing() != self._units:
            self._begin()

    def look(self) -> None:
        if self._open and self._feed.over:
            self._begin()
        self._note()

    def _take(self) -> None:
        taken = self._feed.take()
        if taken:
            self.view.append([shown for one in taken if (shown := self._shown(one)) is not None])

    def _shown(self, one: LogLine) -> Line | None:
        """None: a record that was cut when its process was killed."""
        several = self._replica is None and self._replicas > 1
        name = ((f"{one.replica} ", "accent"),) if several else ()
        if self._requests:
            record = records.read(one.text)
            return record_line(record, name) if record is not None else None
        return line((f"{one.at[11:19]} ", "dim"), *name, (one.text, _role(one.text)))

    @property
    def _replicas(self) -> int:
        state = self.place.state
        return len(state.replicas) if state is not None else 0

    def _note(self) -> None:
        said = self._feed.said
        what = "requests of " if self._requests else "of "
        parts: list[str | tuple[str, str]] = [(what, "dim"), self._replica or "all replicas"]
        if said is not None:
            where = f"{said.where}: " if said.where else ""
            parts += [(f"   {self.main.glyphs.bad} {clean(where + said.what)}", "bad")]
            parts += [(f"  next: {clean(said.hint)}", "dim")] if said.hint else []
        elif self._searched:
            parts += [(f"   n and N go through “{clean(self._searched)}”", "dim")]
        noted = line(*parts)
        if noted != self._noted:
            self._noted = noted
            self.query_one(Static).update(content(noted))
            nothing = "no request is written down yet" if self._requests else "nothing is written yet"
            self.view.say_empty("nothing was heard" if said is not None else nothing)

    # keys

    def filtered(self, text: str) -> None:
        self.view.filter(text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "save":
            return None if self.main.session.read_only else True
        return None if action == "replica" and self._replicas < 2 else True

    def action_find(self) -> None:
        self.main.push_screen(Asking("Find in the log", value=self._searched, placeholder="text; empty ends it"), self._find)

    def _find(self, text: str | None) -> None:
        if text is None:
            return
        self._searched = text
        found = self.view.search(text)
        if text:
            self.main.notify(f"{count(found, 'line')} {'holds' if found == 1 else 'hold'} it", markup=False)
        self._note()

    def action_error(self) -> None:
        self.view.action_error()

    def action_replica(self) -> None:
        names = [
            None,
            *(f"{self.place.deployment}/{one.slot}" for one in (self.place.state.replicas if self.place.state else ())),
        ]
        here = names.index(self._replica) if self._replica in names else 0
        self.choose(names[(here + 1) % len(names)], requests=self._requests)

    def action_requests(self) -> None:
        self.choose(self._replica, requests=not self._requests)

    def action_save(self) -> None:
        name = (self._replica or self.place.deployment).replace("/", "-")
        path = Path.cwd() / f"{name}{'-requests' if self._requests else ''}.log"
        self.main.push_screen(Asking("Save what is shown to a new file", value=str(path)), self._save)

    def _save(self, path: str | None) -> None:
        if path:
            text = self.view.text()
            self.main.job(
                lambda: keep(Path(path), text),
                lambda kept: self.main.notify(f"{count(text.count(chr(10)), 'line')} saved to {kept}", markup=False),
                name="save-log",
            )


def _role(text: str) -> str:
    """By the word for its level, which engines write first."""
    found = _LEVEL.search(text[:200])
    if found is None:
        return ""
    return "bad" if found[1] or found[4] else "warn" if found[2] else "dim"
