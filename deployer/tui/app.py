"""The application: its places, what is common to them, and the apply that belongs to no screen. Started by `deployer ui`."""

import importlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen

from deployer.app.looking import FleetNow
from deployer.app.planned import Planned
from deployer.app.preferences import Preferences
from deployer.app.session import Session
from deployer.errors import DeployerError
from deployer.plan.world import Options
from deployer.tui import commands, jobs, themes
from deployer.tui.asciionly import AsciiOnly
from deployer.tui.glyphs import ASCII, UNICODE, Glyphs
from deployer.tui.line import Span
from deployer.tui.mishaps import Mishaps
from deployer.tui.modals.failure import failure
from deployer.tui.modals.help import help_for
from deployer.tui.screens.fleet import FleetPlace
from deployer.tui.screens.place import Place

if TYPE_CHECKING:
    from deployer.app.operation import Operation

T = TypeVar("T")


def _plan() -> Screen[None]:
    from deployer.tui.screens.plan import PlanPlace

    return PlanPlace()


def _apply() -> Screen[None]:
    from deployer.tui.screens.apply import ApplyPlace

    return ApplyPlace()


def _drift() -> Screen[None]:
    from deployer.tui.screens.drift import DriftPlace

    return DriftPlace()


class DeployerApp(Mishaps):
    """`begin`: the place it opens with. `tick_s`: how often places look for what is new."""

    TITLE = "deployer"
    CSS_PATH = "style.tcss"
    COMMANDS = {commands.Palette}
    #: Each is loaded when it is first gone to.
    MODES: ClassVar[dict[str, type[Screen[None]] | Callable[[], Screen[None]] | str]] = {
        "fleet": FleetPlace,
        "plan": _plan,
        "apply": _apply,
        "drift": _drift,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('fleet')", "Fleet", id="fleet"),
        Binding("2", "go('plan')", "Plan", id="plan"),
        Binding("3", "go('apply')", "Apply", id="apply"),
        Binding("4", "go('drift')", "Drift", id="drift"),
        Binding("colon", "say", "Command", key_display=":", id="command"),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("q", "back_or_leave", "Quit", id="quit"),
        Binding("ctrl+q", "leave", "Leave", show=False, id="leave"),
    ]

    def __init__(
        self,
        session: Session,
        *,
        preferences: Preferences | None = None,
        begin: str = "fleet",
        options: Options | None = None,
        ascii_only: bool = False,
        watching: bool = True,
        tick_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.session = session
        self.preferences = preferences or Preferences()
        self.glyphs: Glyphs = ASCII if ascii_only or self.preferences.ascii else UNICODE
        self.options = options or Options()
        self.tick_s = tick_s
        self.clock = clock
        self.planning = False
        self.said: list[str] = []
        self.end_seen: Operation | None = None  # the last apply whose end was looked at
        self._planned_after: Operation | None = None  # the last apply that had ended when the plan was made
        self._begin = begin
        self._watching = watching
        self._last_filters = [AsciiOnly()] if self.glyphs is ASCII else []
        themes.register(self)

    # its life

    def on_mount(self) -> None:
        self.mind_signals()
        self.set_keymap(self.preferences.keys)
        self.theme = themes.full(self, self.preferences.theme, self.preferences.source)
        self.switch_mode(self._begin)
        self.settled = True
        if self._begin == "plan" and self.session.planned is None:
            self.plan_again()
        self.call_after_refresh(self._look_out)

    def _look_out(self) -> None:
        """Once something is to be seen: what connects is loaded in a thread, and then connects."""
        if self._watching:
            watch = partial(self.session.watch, self.preferences.refresh_s)
            self.job(lambda: importlib.import_module("deployer.app.looker"), lambda _: watch(), name="watch")
        if not self.session.read_only and not self.planning:
            self.job(self.session.find_running, self._found_running, quiet=True, name="find-running")

    def on_unmount(self) -> None:
        self.forget_signals()
        self.farewell()

    def farewell(self) -> None:
        self.session.close()

    def _found_running(self, operation: "Operation | None") -> None:
        if operation is not None:
            self.notify(f"{operation.title}: it runs on the hosts", markup=False)
            self.go("apply")

    @property
    def now(self) -> FleetNow:
        return self.session.now

    def connection_note(self) -> list[Span]:
        """How many hosts are heard, for the top line."""
        hosts = self.now.hosts.values()
        if not hosts:
            return []
        up = sum(1 for host in hosts if host.state == "up")
        return [(f" {up}/{len(hosts)} hosts ", "good" if up == len(hosts) else "warn")]

    def apply_note(self) -> list[Span]:
        """The apply that goes on, ours or somebody else's, for the top line."""
        operation = self.session.operation
        if operation is not None and not operation.over:
            return [(f" {operation.state} {self.glyphs.dot} {operation.title} ", "accent")]
        if operation is not None and operation is not self.end_seen:
            return [(f" {operation.title}: {operation.state}: 3 ", "good" if operation.state == "done" else "bad")]
        who = self.foreign_apply()
        return [(f" an apply by {who} is running: 3 ", "warn")] if who else []

    def foreign_apply(self) -> str | None:
        """Who applies on the hosts while we follow nothing; None when nobody does, as far as is known."""
        operation, status = self.session.operation, self.now.status
        if status is None or (operation is not None and not operation.over):
            return None
        from deployer.app.operation import begun_by

        seen = operation is not None and operation.report is not None and operation.state != "detached"
        return begun_by(status, operation.report.run if seen and operation and operation.report else None)

    # places

    def action_go(self, place: str) -> None:
        self.go(place)

    def go(self, place: str) -> None:
        """To one of the places; what lies above it there stays as it was."""
        if self.current_mode != place:
            self.switch_mode(place)
        if place == "plan" and not self.planning and (self.session.planned is None or self._used_up()):
            self.plan_again()

    def _used_up(self) -> bool:
        """Whether an apply has ended since the plan was made: what it says of the hosts is not true any more."""
        operation = self.session.operation
        return operation is not None and operation.over and operation is not self._planned_after

    def back(self) -> None:
        """One level back: to the place below, at last to the fleet."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.current_mode != "fleet":
            self.go("fleet")

    def action_back_or_leave(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.leave()

    def action_leave(self) -> None:
        self.leave()

    async def action_quit(self) -> None:
        """Textual's own way out (a click, the palette) asks like ours."""
        self.leave()

    def action_help_quit(self) -> None:
        """Ctrl-C does not end what may be in the middle of an apply: it says how one leaves."""
        self.notify(f"{self.key_of('quit')} leaves, ctrl+q from anywhere; an apply goes on on the hosts", markup=False)

    def key_of(self, name: str) -> str:
        """The key that a binding has here, as it is shown."""
        for binding in (one for one in self.BINDINGS if isinstance(one, Binding) and one.id == name):
            keys = self.preferences.keys.get(name, binding.key)
            return self.get_key_display(binding.with_key(key=keys.partition(",")[0].strip(), key_display=None))
        return name

    def leave(self) -> None:
        """Ask first when an apply runs: what shall become of it."""
        from deployer.tui.modals.leaving import Leaving

        operation = self.session.operation
        if operation is None or operation.over:
            self.exit(0)
        elif not isinstance(self.screen, Leaving):
            self.push_screen(Leaving(operation), self._left)

    def _left(self, how: str | None) -> None:
        operation = self.session.operation
        if how == "detach":
            self.exit(0)
        elif how == "stop" and operation is not None:
            operation.stop()
            self.go("apply")

    def open_deployment(self, name: str) -> None:
        from deployer.tui.screens.deployment import DeploymentPlace

        self.push_screen(DeploymentPlace(name))

    def new_deployment(self) -> None:
        from deployer.tui.screens.wizard import Wizard

        self.session.must_write("a new deployment")
        self.push_screen(Wizard())

    # plan and apply

    def plan_again(self, options: Options | None = None) -> None:
        """Ask the hosts, and review what comes of it."""
        if options is not None:
            self.options = options
        self.planning = True
        if self.current_mode != "plan":
            self.switch_mode("plan")
        self.job(lambda: self.session.plan(self.options), self.review, self._not_planned, name="plan")

    def review_hold(self, make: Callable[[], Planned]) -> None:
        """A plan made by `make` (stop, start, a rollback), opened in the review."""
        self.planning = True
        self.go("plan")
        self.job(lambda: self.session.review(make()), self.review, self._not_planned, name="plan")

    def review(self, planned: Planned) -> None:
        self.planning = False
        operation = self.session.operation
        self._planned_after = operation if operation is not None and operation.over else None
        self.go("plan")
        from deployer.tui.screens.plan import PlanPlace

        for screen in self.screen_stack:
            if isinstance(screen, PlanPlace):
                screen.take(planned)

    def _not_planned(self, error: DeployerError) -> None:
        self.planning = False
        self.wrong(error)

    def begin_apply(self, planned: Planned, *, why: str | None = None) -> None:
        """Start exactly this plan, and look at it."""
        try:
            self.session.begin(planned, why=why)
        except DeployerError as error:
            self.wrong(error)
        else:
            self.go("apply")

    # what is common

    def job(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[DeployerError], None] | None = None,
        *,
        quiet: bool = False,
        name: str = "job",
    ) -> None:
        """Work that blocks, in a thread. What goes wrong is shown, unless `failed` takes it or it is `quiet`."""
        ignore: Callable[[DeployerError], None] = lambda error: None  # noqa: E731
        jobs.run(self, work, then, failed or (ignore if quiet else self.wrong), name=name)

    @on(jobs.Answer)
    def _answered(self, message: jobs.Answer) -> None:
        message.use()

    def wrong(self, error: DeployerError) -> None:
        """An error panel with the next step."""
        self.push_screen(failure(error))

    def say(self, text: str) -> None:
        """What was said after `:`, or taken from the palette."""
        if text.strip() and self.said[-1:] != [text]:
            self.said.append(text)
        try:
            commands.say(self, text)
        except DeployerError as error:
            self.wrong(error)

    def action_say(self) -> None:
        from deployer.tui.modals.saying import Saying

        self.push_screen(Saying(partial(commands.complete, self), self.said), lambda text: self.say(text or ""))

    def action_help(self) -> None:
        screen = self.screen
        self.push_screen(help_for(screen, " ".join(screen.crumbs()) if isinstance(screen, Place) else ""))

    def copy(self, text: str, what: str) -> None:
        """To the clipboard, and shown."""
        from deployer.tui import copying

        copying.copy(self, text, what)

    def copy_to_clipboard(self, text: str) -> None:
        """What is selected with the mouse, by ctrl+c."""
        self.copy(text, "the selection")

    def ask_password(self, prompt: str) -> str:
        """For the transport, from its threads."""
        from deployer.tui import passwords

        return passwords.ask(self, prompt)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._last_filters]

    def get_key_display(self, binding: Binding) -> str:
        """Keys without a letter are named where their signs cannot be shown."""
        shown = super().get_key_display(binding)
        return shown if shown.isascii() or self.glyphs is not ASCII else binding.key

    def get_system_commands(self, screen: Screen[object]) -> "list[SystemCommand]":
        return []  # our own commands say the same, and more
