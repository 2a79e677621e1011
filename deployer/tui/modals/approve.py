"""The last question before an apply: what is touched, what is lost, how long a service is away. Enter alone confirms nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from deployer.plan.counts import downtime_s, verb
from deployer.plan.describe import subject
from deployer.plan.gravity import production, touched
from deployer.plan.model import Plan
from deployer.plan.text import totals
from deployer.plan.words import count, duration
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, clean, line, paragraphs
from deployer.tui.modals.panel import Panel

#: Destructive changes that are listed by name.
NAMED = 12


@dataclass(frozen=True, slots=True)
class Approval:
    """`why`: for the history on the hosts; None when nothing was said."""

    why: str | None


class Approve(Panel[Approval | None]):
    """`part` is what will be done, of `whole`; `holds`: what is noted besides. Ends with None unless it was confirmed: with `y`,
    or, for a part that deletes something or an environment of production, with the fleet's name and Enter.
    """

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Apply", id="approve.confirm"),
        Binding("w", "why", "Say why", id="approve.why"),
    ]

    def __init__(self, part: Plan, whole: Plan, glyphs: Glyphs, holds: Sequence[str] = ()) -> None:
        self._destructive = [c for c in part.changes if c.destructive]
        self.named = bool(self._destructive) or production(part.environment)
        super().__init__("Apply this?", grave=self.named)
        self._part, self._whole, self._glyphs, self._holds = part, whole, glyphs, holds

    def parts(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(paragraphs(self._lines()))
        if self.named:
            yield Input(placeholder=f"the fleet's name, {self._part.fleet_name}, then Enter", id="name", compact=True)
        yield Input(placeholder="why (optional; kept in the history)", id="why", compact=True)
        yield Static("", id="answer")

    def on_mount(self) -> None:
        if self.named:
            self.query_one("#name", Input).focus()
        else:
            self.set_focus(None)

    def _lines(self) -> Iterator[Line]:
        part = self._part
        yield line((clean(touched(part)), "bold bad" if production(part.environment) else "bold"))
        left_out = len(self._whole.changes) - len(part.changes)
        if left_out:
            yield line((f"{count(left_out, 'change')} of this plan is not done" if left_out == 1 else
                        f"{left_out} changes of this plan are not done", "dim"))  # fmt: skip
        if not part.empty:
            yield line(f" {self._glyphs.dot} ".join(totals(part)))
        if self._holds:
            yield line(("noted on the hosts: ", "dim"), (clean("; ".join(self._holds)), "accent"))
        down = downtime_s(part)
        if down is not None:
            yield line((f"{self._glyphs.warn} a service is away for about {duration(down)}", "warn"))
        if self._destructive:
            yield ()
            yield line(("this deletes or replaces:", "bold bad"))
            for change in self._destructive[:NAMED]:
                word = verb(change)
                sign = self._glyphs.verbs.get(word, "?")
                yield line((f"  {sign} {word} ", word), f"{change.host}  {clean(subject(change))}")
            if len(self._destructive) > NAMED:
                yield line((f"  {self._glyphs.fold} and {len(self._destructive) - NAMED} more", "dim"))
        yield ()
        if not self.named:
            yield line(("y", "bold"), " applies it, ", ("w", "bold"), " says why first, ", ("Esc", "bold"), " goes back")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.named and action in ("confirm", "why"))

    def action_confirm(self) -> None:
        self._confirmed()

    def action_why(self) -> None:
        self.query_one("#why", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the line of the name confirms when the name is right; elsewhere it confirms nothing."""
        event.stop()
        if event.input.id == "name" and event.value == self._part.fleet_name:
            self._confirmed()
        elif event.input.id == "name":
            self._say(f"that is not the fleet's name: {self._part.fleet_name}" if event.value else "type the fleet's name first")
        elif self.named:
            self.query_one("#name", Input).focus()
        else:
            self.set_focus(None)

    def _say(self, text: str) -> None:
        self.query_one("#answer", Static).update(Content.styled(text, "$text-warning"))

    def _confirmed(self) -> None:
        self.dismiss(Approval(self.query_one("#why", Input).value.strip() or None))
