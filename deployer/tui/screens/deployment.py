"""One deployment: how it is, its revisions, logs, figures, YAML, endpoint and a playground, each in a tab."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher

from deployer.app.dossier import Dossier
from deployer.app.values import DeploymentState
from deployer.errors import DeployerError
from deployer.tui import holding
from deployer.tui.glyphs import STATE_ROLES
from deployer.tui.line import Span
from deployer.tui.screens.place import Place
from deployer.tui.tabs.endpoint import Endpoint
from deployer.tui.tabs.figures import Figures
from deployer.tui.tabs.logs import Logs
from deployer.tui.tabs.overview import Overview
from deployer.tui.tabs.playground import Playground
from deployer.tui.tabs.revisions import Revisions
from deployer.tui.tabs.tab import Tab, TabLine
from deployer.tui.tabs.yaml import Yaml
from deployer.tui.widgets.filterline import FilterLine

TABS: tuple[type[Tab], ...] = (Overview, Revisions, Logs, Figures, Yaml, Endpoint, Playground)

#: Between two looks at all hosts that nobody asked for. Seconds.
AGAIN_S = 2.0


class DeploymentPlace(Place):
    """`dossier`: what the hosts told when they were asked last, None before that. Nothing here acts: stop, start, restart
    and destroy make a plan, which is reviewed.
    """

    NAME: ClassVar[str] = "deployment"
    FILTERS: ClassVar[str | None] = "text"
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left_square_bracket,ctrl+pageup", "step(-1)", "Tab before", key_display="[", show=False, id="deployment.tab-before"
        ),
        Binding("right_square_bracket,ctrl+pagedown", "step(1)", "Next tab", key_display="]", id="deployment.tab-next"),
        *(Binding(tab.KEY, f"tab({tab.NAME!r})", tab.NAME, show=False, id=f"deployment.{tab.NAME.lower()}") for tab in TABS),
        Binding(
            "U",
            "plan('release')",
            "Release…",
            show=False,
            tooltip="plans the end of a hold: what the files say counts again",
            id="deployment.release",
        ),
        Binding(
            "P",
            "plan('promote')",
            "Promote…",
            show=False,
            tooltip="plans that all replicas become what the canary is",
            id="deployment.promote",
        ),
        Binding(
            "B",
            "plan('revert')",
            "Revert…",
            show=False,
            tooltip="plans that the canary goes, and the others are held",
            id="deployment.revert",
        ),
        Binding("x", "plan('stop')", "Stop…", tooltip="plans it and opens the review", id="deployment.stop"),
        Binding("s", "plan('start')", "Start…", tooltip="plans the end of a stop and opens the review", id="deployment.start"),
        Binding("R", "plan('restart')", "Restart…", tooltip="plans it and opens the review", id="deployment.restart"),
        Binding("X", "plan('destroy')", "Destroy…", tooltip="plans it and opens the review", id="deployment.destroy"),
        Binding("ctrl+r", "ask", "Ask again", show=False, id="deployment.ask"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.deployment = name
        self.dossier: Dossier | None = None
        self._tabs: list[Tab] = [tab() for tab in TABS]
        self._open = Overview.NAME
        self._asking = False
        self._ask_again = False
        self._asked_at = 0.0
        self._mode = ""
        self._away = False

    def crumbs(self) -> list[str]:
        return ["fleet", self.deployment]

    def notes(self) -> list[Span]:
        state = self.state
        if state is None:
            return [(" asking … ", "dim")] if self._asking else []
        mark = self.main.glyphs.states.get(state.state, "?")
        return [(f" {mark} {state.state} ", STATE_ROLES.get(state.state, ""))]

    def body(self) -> ComposeResult:
        yield TabLine(id="tabs")
        with ContentSwitcher(initial=self._open.lower()):
            yield from self._tabs

    def on_mount(self) -> None:
        super().on_mount()
        self._mode = self.main.current_mode
        self._show_tabs()
        self.tab.focus_here()
        self.action_ask()

    def on_resize(self) -> None:
        self._show_tabs()

    def on_unmount(self) -> None:
        self.tab.closed()

    def on_screen_suspend(self) -> None:
        """Under a question the tab goes on; while another place is looked at it need not."""
        if self.main.current_mode != self._mode:
            self._away = True
            self.tab.away()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self._away:
            self._away = False
            self.tab.opened()

    # what is known

    @property
    def state(self) -> DeploymentState | None:
        """As the standing connections tell it, else as the last look did."""
        status = self.main.now.status
        live = next((d for d in status.deployments if d.name == self.deployment), None) if status is not None else None
        return live or (self.dossier.state if self.dossier is not None else None)

    def action_ask(self) -> None:
        """Look at all hosts again."""
        self._ask_again = self._asking  # what was asked before may be of before
        if not self._asking:
            self._asking = True
            self._asked_at = self.main.clock()
            fleet = self.main.session.fleet
            self.main.job(lambda: fleet.deployment(self.deployment).look(), self._take, self._not_asked, name="look")

    def _take(self, dossier: Dossier) -> None:
        self._asking = False
        self.dossier = dossier
        if self._ask_again:
            self.action_ask()
        if self.is_mounted:
            self.top()
            self.refresh_bindings()
            for tab in self._tabs:
                tab.draw()

    def _not_asked(self, error: DeployerError) -> None:
        self._asking = False
        self.main.wrong(error)

    def look(self) -> None:
        if self.dossier is not None and not self._asking and self.main.clock() - self._asked_at > AGAIN_S and self._outdated():
            self.action_ask()
        for tab in self._tabs:
            tab.heard()
        self.tab.look()

    def _outdated(self) -> bool:
        """It was applied meanwhile, or a host that did not answer is heard again."""
        assert self.dossier is not None
        state, hosts = self.state, self.main.now.hosts
        known = {one.number for one in self.dossier.revisions}
        back = any(one.name in hosts and hosts[one.name].state == "up" for one in self.dossier.silent)
        return back or (state is not None and state.revision is not None and state.revision not in known)

    # tabs

    @property
    def tab(self) -> Tab:
        return next(tab for tab in self._tabs if self._open == tab.NAME)

    def _show_tabs(self) -> None:
        self.query_one("#tabs", TabLine).show(self._tabs, self._open)

    def action_step(self, by: int) -> None:
        names = [tab.NAME for tab in self._tabs]
        self.action_tab(names[(names.index(self._open) + by) % len(names)])

    def action_tab(self, name: str) -> None:
        if name == self._open:
            return
        self.tab.closed()
        self._clear_filter()
        self._open = name
        self.query_one(ContentSwitcher).current = name.lower()
        self._show_tabs()
        self.tab.opened()
        self.tab.focus_here()
        self.refresh_bindings()

    def open_log(self, replica: str) -> None:
        """The log of one replica."""
        next(tab for tab in self._tabs if isinstance(tab, Logs)).choose(replica)
        self.action_tab(Logs.NAME)

    # filter

    def _clear_filter(self) -> None:
        filter_line = self.query_one(FilterLine)
        if filter_line.value or filter_line.display:
            filter_line.value = ""
            filter_line.display = False
            self.tab.filtered("")

    def filtered(self, text: str) -> None:
        if self.tab.FILTERS is not None:
            self.tab.filtered(text)

    def focus_list(self) -> None:
        self.tab.focus_here()

    def action_filter(self) -> None:
        self.query_one(FilterLine).placeholder = self.tab.FILTERS or ""
        super().action_filter()

    def action_back(self) -> None:
        if not self.tab.back():
            super().action_back()

    # plans

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter":
            return self.tab.FILTERS is not None
        if action == "plan":
            return None if self.main.session.read_only or not self._possible(str(parameters[0])) else True
        return True

    def _possible(self, what: str) -> bool:
        state = self.state
        if state is None:
            return False
        held = str(state.hold["kind"]) if state.hold else None
        if what in ("promote", "revert"):
            return state.canary is not None
        if what in ("stop", "restart", "rollback"):
            return not state.orphan and held in (None, "rolled-back")
        if what == "start":
            return not state.orphan and held in ("stopped", "destroyed")
        return not state.orphan and held is not None if what == "release" else held != "destroyed"

    def action_plan(self, what: str) -> None:
        """A plan of it, opened in the review. What holds it afterwards asks why, which is kept with the hold."""
        deployment = self.main.session.fleet.deployment(self.deployment)
        at_once = {
            "start": deployment.start,
            "restart": deployment.restart,
            "release": deployment.release,
            "promote": deployment.promote,
        }
        asking: dict[str, holding.Make] = {
            "stop": deployment.stop,
            "destroy": deployment.destroy,
            "revert": deployment.revert,
        }
        if what in at_once:
            self.main.review_hold(at_once[what])
        else:
            title = f"{what.capitalize()} {'the canary of ' if what == 'revert' else ''}{self.deployment}"
            holding.ask(self.main, title, asking[what])

    def may_roll_back(self) -> bool:
        return not self.main.session.read_only and self._possible("rollback")
