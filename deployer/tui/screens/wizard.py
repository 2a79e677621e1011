"""A new deployment in a few steps; ends with a YAML file that validates, its lock, and its plan under review.

What is typed lives in a Draft (deployer/app/draft.py); the screen shows one step of it at a time.
"""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import DescendantFocus
from textual.timer import Timer
from textual.widgets import Input, Static

from deployer.app.draft import Checked, Draft, Put, model_folders
from deployer.app.form import ENGINE_WORDS, STEPS, Asked
from deployer.app.free import rooms, shortage
from deployer.app.values import Progress
from deployer.errors import DeployerError, Problem
from deployer.plan.world import Options
from deployer.tui.line import Line, Span, line, paragraphs
from deployer.tui.modals.discard import Discard
from deployer.tui.screens.place import Place
from deployer.tui.screens.wizardlines import WORDS, field_about, field_note, review_rows, room_row, rooms_head, step_line
from deployer.tui.widgets.fieldrow import FieldRow
from deployer.tui.widgets.rowlist import RowList

#: Keys typed within this time are checked once. Seconds.
PAUSE_S = 0.1
REVIEW = "review"
ALL = (*STEPS, REVIEW)
HOSTS = "placement.hosts"


class Wizard(Place):
    NAME: ClassVar[str] = "new deployment"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n,pagedown", "next", "Next", key_display="^n", id="new.next"),
        Binding("ctrl+o,pageup", "previous", "Back", key_display="^o", id="new.previous"),
        Binding("ctrl+s", "write", "Write, lock, plan", key_display="^s", id="new.write"),
        Binding("space", "mark", "Choose host", show=False, id="new.mark"),
        Binding("escape", "back", "Leave", key_display="Esc", id="back"),
        Binding("q", "back", "Leave", show=False, id="new.leave"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.draft = Draft()
        self.checked: Checked | None = None
        self._of: Draft | None = None  # the draft that was checked
        self.step = STEPS[0]
        self.doing: str | None = None  # what runs now, for people
        self.put: Put | None = None  # what was written, when it could not be locked
        self._seen: set[str] = set()  # fields whose problems are shown: typed in, or their step was left
        self._timer: Timer | None = None
        self._field: Asked | None = None
        self._folders: tuple[str, ...] = ()
        self._about: list[Line] = []
        self._tick_drawn = -1

    def body(self) -> ComposeResult:
        yield Static(id="wizard-steps")
        yield VerticalScroll(id="wizard-form", can_focus=False)
        yield RowList(id="wizard-rows", empty="no hosts yet: write hosts/NAME.yaml, or try deployer lab up 1")
        yield Static(id="wizard-about")

    def on_mount(self) -> None:
        super().on_mount()
        root = self.main.session.fleet.root
        self.main.job(lambda: model_folders(root), self._take_folders, quiet=True, name="models")
        self._to(self.step)

    def crumbs(self) -> list[str]:
        name = self.draft.get("name")
        return [self.NAME, *([name] if name else [])]

    def notes(self) -> list[Span]:
        return [(f" {self.doing} ", "accent")] if self.doing else []

    # what is typed

    def on_field_row_typed(self, message: FieldRow.Typed) -> None:
        if message.text == self.draft.get(message.key):
            return
        self.draft = self.draft.say(message.key, message.text)
        self._seen.add(message.key)
        if any(one.key == message.key and one.kind == "fork" for one in self.draft.asked(self.step)):
            self._to(self.step, message.key)
        self._check_soon()

    def _check_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._check)

    def _check(self, then: Callable[[], None] | None = None) -> None:
        """What the fleet's own checks say of the draft; asked again when it has changed meanwhile."""
        draft, root, put = self.draft, self.main.session.fleet.root, self.put

        def take(checked: Checked) -> None:
            if not self.is_attached:
                return
            if draft is not self.draft:
                self._check(then)
                return
            self.checked, self._of = checked, draft
            self._draw()
            if then is not None:
                then()

        self.main.job(lambda: draft.check(root, put), take, name="draft")

    @property
    def _as_written(self) -> bool:
        return self.put is not None and self.put.text == self.draft.yaml()

    def _problem(self, key: str) -> Problem | None:
        return self.checked.by_key.get(key) if self.checked is not None and key in self._seen else None

    # steps

    def _to(self, step: str, focus: str | None = None) -> None:
        self.step = step
        self.call_next(self._show, focus)

    async def _show(self, focus: str | None) -> None:
        form, rows = self.query_one("#wizard-form"), self.query_one("#wizard-rows", RowList)
        asked = [] if self.step == REVIEW else [one for one in self.draft.asked(self.step) if one.key != HOSTS]
        await form.remove_children()
        await form.mount(*(self._row(one) for one in asked))
        form.display = bool(asked)
        form.set_class(self.step == "hardware", "-short")
        rows.display = self.step in (REVIEW, "hardware")
        self._draw()
        self.refresh_bindings()
        if asked:
            self._focus(focus or asked[0].key)
        else:
            rows.focus()
            rows.action_move_to(0)
        self._check()

    def _row(self, one: Asked) -> FieldRow:
        choices = one.choices
        if one.key == "model.path":
            choices = self._folders
        elif one.kind == "flag":
            choices = ("true", "false")
        if choices and not one.needed and one.kind != "fork":
            choices = ("", *(word for word in choices if word != one.default))
        value = self.draft.get(one.key)
        if one.key == "model.path" and choices and value not in choices:
            value = choices[0]
            self.draft = self.draft.say(one.key, value)
        words = {**WORDS, "": one.default or "left out"}
        return FieldRow(one.key, one.label, value, default=one.default, choices=choices, words=words)

    def _take_folders(self, folders: tuple[str, ...]) -> None:
        self._folders = folders

    def _focus(self, key: str) -> None:
        for row in self.query(FieldRow):
            if row.key == key:
                row.take_focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        row = next((one for one in event.widget.ancestors if isinstance(one, FieldRow)), None)
        self._field = next((one for one in self.draft.fields() if row is not None and one.key == row.key), None)
        self._say_about()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        rows = list(self.query(FieldRow))
        if rows and rows[-1].has_focus_within:
            self.action_next()
        else:
            self.focus_next()

    def action_next(self) -> None:
        self._seen |= {one.key for one in self.draft.asked(self.step)}
        if self._of is self.draft and self.step != ALL[-2]:  # the review asks again: files may have changed
            self._draw()
            self._go_on()
        else:
            self._check(self._go_on)

    def _go_on(self) -> None:
        wrong = [one.key for one in self.draft.asked(self.step) if self._problem(one.key) is not None]
        if wrong:
            self._focus(wrong[0])
        else:
            self._to(ALL[ALL.index(self.step) + 1])

    def action_previous(self) -> None:
        self._to(ALL[ALL.index(self.step) - 1])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        idle = self.doing is None
        if action == "next":
            return True if self.step != REVIEW else None
        if action == "previous":
            return True if idle and self.step != ALL[0] else None
        if action == "write":
            able = self._as_written or (self.checked is not None and self.checked.spec is not None)
            return self.step == REVIEW and (True if idle and able else None)
        return super().check_action(action, parameters)

    # drawing

    def look(self) -> None:
        if self.step == "hardware" and self.main.now.tick != self._tick_drawn:
            self._draw_rooms()
        self._say_about()

    def _draw(self) -> None:
        glyphs = self.main.glyphs
        bad = [step for step in STEPS if any(self._problem(one.key) is not None for one in self.draft.asked(step))]
        self.query_one("#wizard-steps", Static).update(paragraphs([step_line(ALL, self.step, bad, glyphs)]))
        asked = {one.key: one for one in self.draft.fields()}
        for row in self.query(FieldRow):
            if row.key in asked:
                row.note(field_note(asked[row.key], row.value, self._problem(row.key), glyphs))
        if self.step == REVIEW and self.checked is not None:
            self.query_one("#wizard-rows", RowList).show(review_rows(self.checked, glyphs, there=self._as_written))
            self.refresh_bindings()
        elif self.step == "hardware":
            self._draw_rooms()
        self._say_about()

    def _rooms(self) -> tuple[list[str], list[str]]:
        """(hosts that may have replicas, those that were chosen)."""
        hosts = [name for name, host in self.main.session.fleet.spec.hosts.items() if host.state == "active"]
        chosen = [one.strip() for one in self.draft.get(HOSTS).split(",") if one.strip()]
        return hosts, chosen

    def _draw_rooms(self) -> None:
        self._tick_drawn = self.main.now.tick
        hosts, chosen = self._rooms()
        rows = [room_row(room, room.host in chosen) for room in rooms(self.main.now, hosts)]
        self.query_one("#wizard-rows", RowList).show(rows, rooms_head(chosen))

    def action_mark(self) -> None:
        row = self.query_one("#wizard-rows", RowList).current
        if self.step != "hardware" or row is None:
            return
        hosts, chosen = self._rooms()
        kept = [name for name in hosts if (name in chosen) != (name == row.key)]
        self.draft = self.draft.say(HOSTS, ", ".join(kept))
        self._draw_rooms()
        self._check_soon()

    def _say_about(self) -> None:
        said = self._said()
        if said != self._about:
            self._about = said
            self.query_one("#wizard-about", Static).update(paragraphs(said))

    def _said(self) -> list[Line]:
        if self.step == REVIEW:
            return self._said_review()
        if self._field is None or self.query_one("#wizard-rows").has_focus:
            found = [line(("hosts  ", "bold"), "where replicas may stand; space chooses or leaves one out")]
        else:
            found = field_about(self._field, self._problem(self._field.key), self.main.glyphs, self._guidance())
        if self.step == "hardware":
            found += self._warning()
        return found

    def _guidance(self) -> str | None:
        return ENGINE_WORDS.get(self.draft.get("engine")) if self._field is not None and self._field.key == "engine" else None

    def _warning(self) -> list[Line]:
        spec = self.checked.spec if self.checked is not None else None
        if spec is None or self.checked is None or self.checked.gpus is None:
            return []
        hosts, chosen = self._rooms()
        lacking = shortage(rooms(self.main.now, chosen or hosts), self.checked.gpus, spec.replicas)
        return [line((f"{self.main.glyphs.warn} {lacking}", "warn"))] if lacking else []

    def _said_review(self) -> list[Line]:
        if self.doing is not None:
            return [line((self.doing, "accent"))]
        if self.checked is None:
            return []
        if self.put is not None:
            said = f"{self.put.file} is written and stays; it is not locked yet"
            return [line((said, "warn")), line(("next  ", "bold"), "ctrl+s tries again; or go back and correct what is wrong")]
        if self.checked.problems:
            return [line(("Enter on a problem goes to its field", "dim")), *self._warning()]
        file = f"ctrl+s writes {self.checked.file}, pins what it needs in deployer.lock, and opens its plan. Nothing is applied."
        return [line(file), *self._warning()]

    # review

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        if message.rows.id != "wizard-rows":
            return
        if self.step == "hardware":
            self.action_mark()
        elif message.row.key.startswith("problem:"):
            key = message.row.key.split(":", 2)[2]
            step = next((s for s in STEPS if any(one.key == key for one in self.draft.asked(s))), None)
            if step is not None:
                self._seen.add(key)
                self._to(step, key)

    def action_write(self) -> None:
        draft, session = self.draft, self.main.session
        self.doing = "writing"
        self.refresh_bindings()

        def work() -> None:
            root, put = session.fleet.root, self.put
            if put is None or (put.stands(root) and put.text != draft.yaml()):
                self.put = draft.write(root, put)
            self.doing = "locking"
            session.reload().lock((), self._heard)

        self.main.job(work, lambda _: self._locked(draft.get("name")), self._failed, name="new-deployment")
        self._draw()

    def _heard(self, progress: Progress) -> None:
        """From the thread that locks."""
        self.doing = f"locking {progress.key}: {progress.state} {progress.detail}".rstrip()

    def _locked(self, name: str) -> None:
        self.doing = None
        if self.is_attached:
            self.dismiss()
        self.main.plan_again(Options(names=(name,)))

    def _failed(self, error: DeployerError) -> None:
        self.doing = None
        self.main.wrong(error)
        if self.is_attached:
            self._draw()

    # leaving

    def action_back(self) -> None:
        if self._as_written or not self.draft.touched:
            self.main.back()
        else:
            self.main.push_screen(Discard("Leave this deployment?"), self._discarded)

    def _discarded(self, thrown: bool | None) -> None:
        if thrown and self.is_attached:
            self.dismiss()
