"""The form of a new deployment: fields that are typed in, checked as they are typed, one step after the other, and the models of
the catalogue to choose from. The base of the wizard.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.events import DescendantFocus
from textual.timer import Timer
from textual.widgets import Input, Static

from deployer.app.catalog import Shelved, entries
from deployer.app.catalogfits import Fits, of_fleet
from deployer.app.draft import Checked, Draft, Put, model_folders
from deployer.app.drafting import is_taken, taken
from deployer.app.form import STEPS, Asked
from deployer.errors import DeployerError, Problem
from deployer.tui.screens.place import Place
from deployer.tui.screens.wizardlines import WORDS, catalog_head, catalog_row, catalog_words
from deployer.tui.widgets.fieldrow import FieldRow
from deployer.tui.widgets.rowlist import RowList

#: Keys typed within this time are checked once. Seconds.
PAUSE_S = 0.1
REVIEW = "review"
ALL = (*STEPS, REVIEW)
HOSTS = "placement.hosts"
CATALOG = "model.catalog"


class WizardForm(Place):
    NAME: ClassVar[str] = "new deployment"

    def __init__(self) -> None:
        super().__init__()
        self.draft = Draft()
        self.checked: Checked | None = None
        self._of: Draft | None = None  # the draft that was checked
        self.step = STEPS[0]
        self.put: Put | None = None  # what was written, when it could not be locked
        self._seen: set[str] = set()  # fields whose problems are shown: typed in, or their step was left
        self._timer: Timer | None = None
        self._field: Asked | None = None
        self._folders: tuple[str, ...] = ()
        self._catalog: Mapping[str, Shelved] = {}
        self._asked_catalog = False
        self._fits: Mapping[str, Fits] = {}
        self._fits_of: frozenset[str] | None = None  # the hosts that were counted in
        self._asking_fits = False

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

    def _draw(self) -> None:
        """What stands there now. The wizard's."""

    def _say_about(self) -> None:
        """Below the form. The wizard's."""

    def action_next(self) -> None:
        """The wizard's."""

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
        form.set_class(self.step == "hardware" or self._of_catalog, "-short")
        rows.display = self.step in (REVIEW, "hardware") or self._of_catalog
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
        fitting = self.query_one("#wizard-rows", RowList).rows if self._of_catalog else ()
        if self._field is not None and self._field.key == CATALOG and len(fitting) == 1:
            self.choose(fitting[0].key)
            return
        rows = list(self.query(FieldRow))
        if rows and rows[-1].has_focus_within:
            self.action_next()
        else:
            self.focus_next()

    # the catalogue

    @property
    def _of_catalog(self) -> bool:
        """Whether a model of the catalogue is to be chosen now."""
        return self.step == "model" and self.draft.get("model") == "catalog"

    def _draw_catalog(self) -> None:
        """Those whose line holds what is typed; all once one is taken. Read when it is asked for the first time."""
        if not self._catalog and not self._asked_catalog:
            self._asked_catalog = True
            root = self.main.session.fleet.root
            self.main.job(lambda: entries(root), self._take_catalog, name="catalogue")
        self._ask_fits()
        text = self.draft.get(CATALOG)
        typed = [] if is_taken(self.draft) else text.lower().split()
        rows = [
            catalog_row(one, self._fits.get(name), chosen=name == text, asking=self._asking_fits, glyphs=self.main.glyphs)
            for name, one in self._catalog.items()
            if all(word in catalog_words(one) for word in typed)
        ]
        shown = self.query_one("#wizard-rows", RowList)
        shown.say_empty("nothing of the catalogue has these words" if self._catalog else "reading the catalogue …")
        shown.show(rows, catalog_head() if rows else None)

    def _take_catalog(self, found: Mapping[str, Shelved]) -> None:
        self._catalog = found
        if self.is_attached and found and self._of_catalog:
            self._draw()

    def _ask_fits(self) -> None:
        """Which hosts could serve what: in a thread, and again when a host has answered that had not."""
        session, shelves = self.main.session, tuple(self._catalog.values())
        heard = session.remembered()
        known = self._fits_of is not None and heard.keys() <= self._fits_of
        if not shelves or self._asking_fits or known:
            return
        self._asking_fits = True

        def work() -> tuple[frozenset[str], Mapping[str, Fits]]:
            observed = heard or session.fleet.probe()
            return frozenset(observed), of_fleet(session.fleet.root, shelves, observed, session.fleet.spec.hosts)

        self.main.job(work, self._take_fits, self._no_fits, name="fits")

    def _take_fits(self, found: tuple[frozenset[str], Mapping[str, Fits]]) -> None:
        self._asking_fits = False
        self._fits_of, self._fits = found
        if self.is_attached and self._of_catalog:
            self._draw()

    def _no_fits(self, error: DeployerError) -> None:
        """Without it a model can be chosen all the same: the plan says what fits."""
        self._take_fits((frozenset(self.main.session.fleet.spec.hosts), {}))

    def choose(self, name: str) -> None:
        """A model of the catalogue, with the settings that it suggests for its first engine; what a person typed is kept."""
        self.draft = taken(self.draft, self._catalog[name].entry)
        self._to(self.step, CATALOG)
