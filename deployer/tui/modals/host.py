"""One host, looked at: its facts as they are now, a shell on it, its name to copy."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from deployer.state.observed import Observed, Reached
from deployer.tui import holding, shell
from deployer.tui.hostfacts import Machine, facts
from deployer.tui.line import Line, paragraphs
from deployer.tui.modals.panel import Panel

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp


class HostPanel(Panel[None]):
    """What only a probe tells (system, driver) is asked for once, when the host is up; the rest is live."""

    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "shell", "ssh", tooltip="a shell on this host", id="host.shell"),
        Binding("C", "hold('cordon')", "Cordon…", tooltip="nothing new is placed on this host", id="host.cordon"),
        Binding("D", "hold('drain')", "Drain…", tooltip="its replicas move away: plans it", id="host.drain"),
        Binding("U", "hold('uncordon')", "Uncordon…", tooltip="lifts a cordon or drain: plans it", id="host.uncordon"),
        Binding("y,c", "copy", "Copy name", id="host.copy"),
        Binding("enter,q", "leave", "Back", show=False, id="host.close"),
    ]

    def __init__(self, app: "DeployerApp", host: str) -> None:
        super().__init__(host)
        self._main = app
        self._host = host
        self._machine: Machine = None
        self._told: list[Line] = []

    def parts(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(id="facts")

    def on_mount(self) -> None:
        found = self._main.now.hosts.get(self._host)
        if found is not None and found.state == "up" and self._known:
            fleet = self._main.session.fleet
            self._main.job(lambda: fleet.probe([self._host]), self._answered, lambda error: self._answered({}), name="probe")
        else:
            self._machine = {}
        self._look()
        self.set_interval(self._main.tick_s, self._look)

    @property
    def _known(self) -> bool:
        """A file of the fleet names it."""
        return self._host in self._main.session.fleet.spec.hosts

    def _answered(self, observed: Observed) -> None:
        found = observed.get(self._host)
        self._machine = found.probe if isinstance(found, Reached) else {}
        if self.is_attached:
            self._look()

    def _look(self) -> None:
        told = facts(self._host, self._main.now, self._main.session.fleet, self._machine, self._main.glyphs)
        if told != self._told:
            self._told = told
            self.query_one("#facts", Static).update(paragraphs(told))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "shell":
            return True if self._known and shell.possible(self._main) else None
        if action == "hold":
            return True if holding.host_verb_fits(self._main, str(parameters[0]), self._host) else None
        return True

    def action_hold(self, verb: str) -> None:
        """The panel closes: the plan of it is what is looked at next."""
        self.dismiss(None)
        self._main.call_later(holding.hold_host, self._main, verb, self._host)

    def action_shell(self) -> None:
        shell.open_shell(self._main, self._host)

    def action_copy(self) -> None:
        self._main.copy(self._host, self._host)
