"""The fleet: deployments, and hosts with their GPUs, as they are now. The first place."""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from deployer.app.looking import FleetNow, HostNow
from deployer.app.times import age
from deployer.app.values import DeploymentState
from deployer.tui import deploymentrows, fleetquery, heatmap, hostrows, shell
from deployer.tui.fleetquery import ORDERS, Query
from deployer.tui.line import Span
from deployer.tui.modals.host import HostPanel
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import LazyRows, Row, RowList
from deployer.tui.widgets.rows import Entry, key_at

#: The forms of the hosts that `v` goes through.
FORMS = {"full": "a row per GPU", "compact": "a row per host", "heat": "a map of all GPUs"}
#: Deployments that are counted at the top: state, word, role; what needs a person is left out last.
_COUNTED = (
    ("starting", "starting", "accent"),
    ("deployed", "ok", "good"),
    ("degraded", "degraded", "warn"),
    ("failed", "failed", "bad"),
)


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
        Binding("y,c", "copy", "Copy name", show=False, id="copy-name"),
        Binding("h,left", "across(-1)", "Host to the left", show=False),
        Binding("l,right", "across(1)", "Host to the right", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._now = FleetNow()
        self._query = Query()
        self._order = ORDERS[0]
        self._form: str | None = None  # None: as many as there are says which
        self._paused_at: float | None = None
        self._across = 0
        self._deployments_height = 4
        self._last = "deployments"
        self._map = heatmap.Map([], {})
        self._drawn: object = None
        self._layouts: dict[str, object] = {}

    def body(self) -> ComposeResult:
        yield RowList(id="deployments", empty="no deployments yet: n writes one", classes="-quiet")
        yield RowList(id="hosts", empty="no hosts yet: write hosts/NAME.yaml, or try deployer lab up 1", classes="-quiet")

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
        chosen = (self._query, self._order, self._form, self._across, self.focused)
        return now.tick, id(now.status), ages, chosen, self.size, id(spec), self._cursor_row()

    def _again(self) -> None:
        self._drawn = None
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._again)

    def _draw_deployments(self) -> None:
        rows, now = self.query_one("#deployments", RowList), self._now
        shown = [one for one in self._deployments() if fleetquery.fits_deployment(one, self._query)]
        shown = fleetquery.in_order(shown, now.figures, self._order)
        fitted = deploymentrows.columns_for((one.name for one in shown), self._width(rows))
        entries = deploymentrows.entries(shown, now.figures, now.hosts)
        glyphs = self.main.glyphs
        self._show(rows, entries, lambda e: deploymentrows.draw(e, fitted, glyphs), deploymentrows.head(fitted), fitted)
        most = max(4, self.size.height * 2 // 5)
        height = self._deployments_height = max(2, min(len(entries) + 1, most)) + (1 if self.size.height >= 30 else 0)
        if rows.styles.height is None or rows.styles.height.value != height:
            rows.styles.height = height

    def _draw_hosts(self) -> None:
        rows, glyphs = self.query_one("#hosts", RowList), self.main.glyphs
        spec = self.main.session.fleet.spec
        shown = [h for h in self._hosts() if fleetquery.fits_host(h, self._labels(h.name), self._query)]
        shown = fleetquery.hosts_in_order(shown, self._order)
        form, width = self.form, self._width(rows)
        if form == "heat":
            labels = {h.name: ", ".join(f"{k}={v}" for k, v in self._labels(h.name).items()) for h in shown}
            self._map = heatmap.heat_map(shown, labels, width, self._room(), self._chosen_in_map())
            self._show(rows, self._map.entries, lambda e: heatmap.draw(e, glyphs), heatmap.head(glyphs), form)
            return
        said = {host.name: host for host in self._now.status.hosts} if self._now.status else {}
        states = {name: host.state for name, host in spec.hosts.items()}
        words = max((len(hostrows.state_word(h, states.get(h.name, "active"))) + 2 for h in shown if h.state == "up"), default=4)
        gpus = max((len(h.gpus) for h in shown), default=1)
        small = form == "compact"
        fitted = hostrows.columns_for((h.name for h in shown), width, compact=small, gpus=max(4, gpus), spec_state=words)
        entries = (hostrows.compact if small else hostrows.full)(shown, said, states)
        self._show(
            rows,
            entries,
            lambda e: hostrows.draw(e, fitted, glyphs),
            hostrows.head(fitted, self.main.preferences.refresh_s),
            (form, fitted),
        )

    def _show(self, rows: RowList, entries: list[Entry], draw: Callable[[Entry], Row], head: Row, layout: object) -> None:
        """Rows of the same layout and value are not made again."""
        assert rows.id is not None
        before = rows.rows if self._layouts.get(rows.id) == layout and isinstance(rows.rows, LazyRows) else None
        self._layouts[rows.id] = layout
        if self._query != Query() and not entries:
            rows.say_empty("nothing fits the filter: Esc clears it")
        rows.show(LazyRows(entries, draw, before), head if entries else None)

    def _width(self, rows: RowList) -> int:
        return max(20, (rows.size.width or self.size.width) - 1)

    def _room(self) -> int:
        """Lines for the hosts, when the deployments have theirs."""
        return max(3, self.size.height - 3 - self._deployments_height)

    @property
    def form(self) -> str:
        """What was chosen; else a row for each as long as these are at most two screens."""
        if self._form is not None:
            return self._form
        rows = 2 * self._room()
        gpus = sum(max(1, len(host.gpus)) for host in self._now.hosts.values())
        return "full" if gpus <= rows else "compact" if len(self._now.hosts) <= rows else "heat"

    def _deployments(self) -> list[DeploymentState]:
        """As the last status said; before there is one, those of the files."""
        status = self._now.status
        known = list(status.deployments) if status else []
        names = {one.name for one in known}
        spec = self.main.session.fleet.spec.deployments
        return known + [DeploymentState(n, deploymentrows.ASKING, None, None, ()) for n in spec if n not in names]

    def _hosts(self) -> list[HostNow]:
        spec = self.main.session.fleet.spec.hosts
        return [*self._now.hosts.values(), *(HostNow(name, "connecting") for name in spec if name not in self._now.hosts)]

    def _labels(self, host: str) -> dict[str, str]:
        spec = self.main.session.fleet.spec.hosts.get(host)
        return dict(spec.labels) if spec else {}

    # the line at the top

    def notes(self) -> list[Span]:
        """The least important first: that is what a narrow line leaves out first."""
        found: list[Span] = []
        total = fleetquery.summary(self._now)
        if total.age_s is not None:
            fresh = total.age_s < 2 + 2 * self.main.preferences.refresh_s
            found.append((" live ", "dim") if fresh else (f" {age(total.age_s)} ago ", "warn"))
        if total.gpus:
            found += [(f" mem {total.memory * 100:.0f}%", "")] if total.memory is not None else []
            found += [(f" util {total.utilization:.0f}%", "")] if total.utilization is not None else []
            found.append((f" {total.gpus} GPUs ", ""))
        for state, word, role in _COUNTED:
            if total.states.get(state):
                found.append((f" {total.states[state]} {word} ", role))
        planned = self.main.session.planned
        if planned is not None and planned.plan.drift:
            found.append((f" drift {len(planned.plan.drift)} ", "warn"))
        if self._paused_at is not None:
            found.append((f" || paused {age(self.main.clock() - self._paused_at)} ", "warn"))
        return found

    # keys

    def filtered(self, text: str) -> None:
        self._query = Query.of(text)
        self._again()

    def action_form(self) -> None:
        host = self._host_under_cursor()
        forms = list(FORMS)
        self._form = forms[(forms.index(self.form) + 1) % len(forms)]
        self._again()
        if host is not None:
            self._to_host(host)
        self.notify(f"hosts: {FORMS[self._form]}", timeout=2)

    def action_order(self) -> None:
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._again()
        self.notify(f"ordered by {self._order}", timeout=2)

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

    def action_across(self, by: int) -> None:
        hosts = self._map.places.get(self._cursor_row() or "", ())
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
        hosts = self._map.places.get(self._cursor_row() or "", ())
        return hosts[min(self._across, len(hosts) - 1)] if hosts else None

    def _host_under_cursor(self) -> str | None:
        row = self._cursor_row()
        if row is None:
            return None
        return self._chosen_in_map() if row in self._map.places else hostrows.host_of(row)

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
            names = self._map.places.get(key, ()) if self.form == "heat" else (hostrows.host_of(key),)
            if host in names:
                self._across = list(names).index(host)
                rows.move_to_key(key)
                return
