"""A new deployment in a few steps; ends with a YAML file that validates, its lock, and its plan under review.

What is typed lives in a Draft (deployer/app/draft.py); the screen shows one step of it at a time.
"""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Static

from deployer.app.drafting import is_taken, taken
from deployer.app.form import ENGINE_WORDS, STEPS
from deployer.app.free import rooms, shortage
from deployer.app.values import Progress
from deployer.errors import DeployerError
from deployer.plan.world import Options
from deployer.tui.line import Line, Span, line, paragraphs
from deployer.tui.modals.discard import Discard
from deployer.tui.screens.wizardform import ALL, CATALOG, HOSTS, REVIEW, WizardForm
from deployer.tui.screens.wizardlines import catalog_about, field_about, field_note, review_rows, room_row, rooms_head, step_line
from deployer.tui.widgets.fieldrow import FieldRow
from deployer.tui.widgets.rowlist import RowList


class Wizard(WizardForm):
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
        self.doing: str | None = None  # what runs now, for people
        self._about: list[Line] = []
        self._tick_drawn = -1

    def crumbs(self) -> list[str]:
        name = self.draft.get("name")
        return [self.NAME, *([name] if name else [])]

    def notes(self) -> list[Span]:
        return [(f" {self.doing} ", "accent")] if self.doing else []

    # steps

    def action_next(self) -> None:
        name = self.draft.get(CATALOG)
        if self._of_catalog and name in self._catalog and not is_taken(self.draft):
            self.draft = taken(self.draft, self._catalog[name].entry)
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
        elif self._of_catalog:
            self._ask_fits()
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
        elif self._of_catalog:
            self._draw_catalog()
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
        if self._of_catalog and (self.query_one("#wizard-rows").has_focus or (self._field and self._field.key == CATALOG)):
            return self._said_catalog()
        if self._field is None or self.query_one("#wizard-rows").has_focus:
            found = [line(("hosts  ", "bold"), "where replicas may stand; space chooses or leaves one out")]
        else:
            found = field_about(self._field, self._problem(self._field.key), self.main.glyphs, self._guidance())
        if self.step == "hardware":
            found += self._warning()
        return found

    def _said_catalog(self) -> list[Line]:
        """Of the entry under the cursor, or of the chosen one."""
        rows = self.query_one("#wizard-rows", RowList)
        name = rows.current.key if rows.has_focus and rows.current is not None else self.draft.get(CATALOG)
        found = self._catalog.get(name)
        if found is None:
            return [line(("model  ", "bold"), "type to narrow the list; tab goes to it, Enter chooses")]
        return catalog_about(found, self._fits.get(name), self.main.glyphs)

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
        elif self._of_catalog:
            self.choose(message.row.key)
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
