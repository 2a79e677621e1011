"""The fleet: deployments, and hosts with their GPUs, as they are now. The first place."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from deployer.app.looking import FleetNow
from deployer.tui import holding, hostrows, shell
from deployer.tui.fleetnotes import notes
from deployer.tui.fleetquery import Query
from deployer.tui.fleetviews import FORMS, View, Wanted, deployments_view, map_view, rows_view
from deployer.tui.line import Span
from deployer.tui.modals.host import HostPanel
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import LazyRows, RowList
from deployer.tui.widgets.rows import key_at

#: From so many lines on, a blank one stands between the lists.
ROOMY = 30

EMPTY = {
    "deployments": "no deployments yet: n writes one",
    "hosts": "no hosts yet: write hosts/NAME.yaml, or try deployer lab up 1",
}


class FleetPlace(Place):
    """Draws what `session.now` says, once a tick. `p` keeps the picture as it is; figures go on in the background."""

    NAME: ClassVar[str] = "fleet"
    FILTERS: ClassVar[str | None] = "text, host:gpu-01, state:failed"
    AUTO_FOCUS = "#deployments"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Other list", show=False, id="other-list"),
        Binding("v", "form", "View", tooltip="a row per GPU, a row per host, a map of all GPUs", id="view"),
        Binding("o", "order", "Order", show=False, tooltip="by name, state, utilisation, memory", id="order"),
        Binding("p", "pause", "Pause", show=False, tooltip="keep the picture as it is", id="pause"),
        Binding("n", "new", "New", tooltip="write a new deployment", id="new"),
        Binding("s", "shell", "ssh", show=False, tooltip="a shell on the host under the cursor", id="shell"),
        Binding("C", "hold('cordon')", "Cordon…", tooltip="nothing new is placed on this host", id="fleet.cordon"),
        Binding("D", "hold('drain')", "Drain…", tooltip="its replicas move away: plans it", id="fleet.drain"),
        Binding("U", "hold('uncordon')", "Uncordon…", tooltip="lifts a cordon or drain: plans it", id="fleet.uncordon"),
        Binding("y,c", "copy", "Copy name", show=False, id="copy-name"),
        Binding("h,left", "across(-1)", "Host to the left", show=False, id="fleet.left"),
        Binding("l,right", "across(1)", "Host to the right", show=False, id="fleet.right"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._now = FleetNow()
        self._wanted = Wanted()
        self._paused_at: float | None = None
        self._across = 0
        self._deployments_height = 0
        self._last = "deployments"
        self._places: Mapping[str, Sequence[str]] = {}  # in the map: key of a row → its hosts
        self._drawn: object = None
        self._layouts: dict[str, object] = {}

    def body(self) -> ComposeResult:
        for name, empty in EMPTY.items():
            yield RowList(id=name, empty=empty, classes="-quiet")

    # what is shown

    def look(self) -> None:
        if self._paused_at is None:
            self._now = self.main.now
        mark = self._mark()
        if mark == self._drawn:
            return
        self._drawn = mark
        self._draw_deployments()
        self._draw_hosts()

    def _mark(self) -> object:
        """Changes with all that the lists show."""
        now, spec = self._now, self.main.session.fleet.spec
        ages = tuple((host.name, int(host.heard_s or 0)) for host in now.hosts.values() if host.state != "up")
        chosen = (self._wanted, self._across, self._cursor_row())
        return now.tick, id(now.status), ages, chosen, self.size, id(spec)

    def _again(self) -> None:
        self._drawn = None
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._again)

    def _draw_deployments(self) -> None:
        rows, app = self.query_one("#deployments", RowList), self.main
        view = deployments_view(self._now, app.session.fleet, self._wanted, self._width(rows), app.glyphs)
        self._show(rows, view)
        most = max(4, self.size.height * 2 // 5)
        height = max(2, min(len(view.entries) + 1, most)) + (1 if self.size.height >= ROOMY else 0)
        if height != self._deployments_height:
            self._deployments_height = height
            rows.styles.height = height

    def _draw_hosts(self) -> None:
        rows, app, fleet = self.query_one("#hosts", RowList), self.main, self.main.session.fleet
        form, width = self.form, self._width(rows)
        if form == "heat":
            size = (width, self._lines)
            view = map_view(self._now, fleet, self._wanted, size, self._chosen_in_map(), app.glyphs)
        else:
            every_s = app.preferences.refresh_s
            view = rows_view(self._now, fleet, self._wanted, form, width, every_s, app.glyphs)
        self._places = view.places
        self._show(rows, view)

    def _show(self, rows: RowList, view: View) -> None:
        """Rows of the same layout and value are not made again."""
        assert rows.id is not None
        before = rows.rows if self._layouts.get(rows.id) == view.layout and isinstance(rows.rows, LazyRows) else None
        self._layouts[rows.id] = view.layout
        if not view.entries:
            rows.say_empty(EMPTY[rows.id] if self._wanted.query == Query() else "nothing fits the filter: Esc clears it")
        rows.show(LazyRows(view.entries, view.draw, before), view.head if view.entries else None)

    def _width(self, rows: RowList) -> int:
        return max(20, (rows.size.width or self.size.width) - 1)

    @property
    def _lines(self) -> int:
        """Lines for the hosts, when the deployments have theirs."""
        return max(3, self.size.height - 3 - self._deployments_height)

    @property
    def form(self) -> str:
        return self._wanted.form_for(self._now, self._lines)

    def notes(self) -> list[Span]:
        app = self.main
        planned = app.session.planned
        paused_s = None if self._paused_at is None else app.clock() - self._paused_at
        drift = len(planned.plan.drift) if planned is not None else 0
        return notes(self._now, every_s=app.preferences.refresh_s, drift=drift, paused_s=paused_s)

    # keys

    def filtered(self, text: str) -> None:
        self._wanted = replace(self._wanted, query=Query.of(text))
        self._again()

    def action_form(self) -> None:
        host = self._host_under_cursor()
        forms = list(FORMS)
        form = forms[(forms.index(self.form) + 1) % len(forms)]
        self._wanted = replace(self._wanted, form=form)
        self._again()
        if host is not None:
            self._to_host(host)
        self.notify(f"hosts: {FORMS[form]}", timeout=2)

    def action_order(self) -> None:
        self._wanted = replace(self._wanted, order=self._wanted.next_order())
        self._again()
        self.notify(f"ordered by {self._wanted.order}", timeout=2)

    def action_pause(self) -> None:
        self._paused_at = self.main.clock() if self._paused_at is None else None
        self.look()
        self.top()

    def action_new(self) -> None:
        self.main.new_deployment()

    def action_copy(self) -> None:
        name = self._name_under_cursor()
        if name is not None:
            self.main.copy(name, name)

    def action_shell(self) -> None:
        host = self._host_under_cursor()
        if host is not None:
            shell.open_shell(self.main, host)

    def action_hold(self, verb: str) -> None:
        host = self._host_under_cursor()
        if host is not None:
            holding.hold_host(self.main, verb, host)

    def action_across(self, by: int) -> None:
        hosts = self._places.get(self._cursor_row() or "", ())
        self._across = max(0, min(len(hosts) - 1, self._across + by))
        self._again()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        if message.rows.id == "hosts" and self.form == "heat":
            self._again()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        if message.rows.id == "deployments":
            self.main.open_deployment(message.row.key)
            return
        host = self._host_under_cursor()
        if host is not None:
            self.main.push_screen(HostPanel(self.main, host))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "new" and self.main.session.read_only:
            return None
        if action == "shell":
            host = self._host_under_cursor() if self._last == "hosts" else None
            return True if host in self.main.session.fleet.spec.hosts and shell.possible(self.main) else None
        if action == "hold":
            fits = self._last == "hosts" and holding.host_verb_fits(self.main, str(parameters[0]), self._host_under_cursor())
            return True if fits else None if self._last == "hosts" else False
        if action == "across" and self.form != "heat":
            return False
        return super().check_action(action, parameters)

    def focus_list(self) -> None:
        self.query_one(f"#{self._last}", RowList).focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, RowList) and event.widget.id:
            self._last = event.widget.id

    # what the cursor is on

    def _cursor_row(self) -> str | None:
        row = self.query_one("#hosts", RowList).current
        return row.key if row else None

    def _chosen_in_map(self) -> str | None:
        hosts = self._places.get(self._cursor_row() or "", ())
        return hosts[min(self._across, len(hosts) - 1)] if hosts else None

    def _host_under_cursor(self) -> str | None:
        row = self._cursor_row()
        if row is None:
            return None
        return self._chosen_in_map() if row in self._places else hostrows.host_of(row)

    def _name_under_cursor(self) -> str | None:
        if self._last == "hosts":
            return self._host_under_cursor()
        row = self.query_one("#deployments", RowList).current
        return row.key if row else None

    def _to_host(self, host: str) -> None:
        """The cursor to this host, in whatever form its row has now."""
        rows = self.query_one("#hosts", RowList)
        for place in range(len(rows.rows)):
            key = key_at(rows.rows, place)
            names = self._places.get(key, ()) if self.form == "heat" else (hostrows.host_of(key),)
            if host in names:
                self._across = list(names).index(host)
                rows.move_to_key(key)
                return
