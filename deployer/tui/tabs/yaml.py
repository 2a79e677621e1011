"""YAML: the deployment as it takes effect, every value with where it comes from; `o` opens that place in an editor."""

import subprocess
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from deployer.app import editor
from deployer.app.effective import Setting, effective
from deployer.app.fleet import Fleet
from deployer.errors import UsageError
from deployer.tui.line import Line, clean, line
from deployer.tui.tabs.tab import Tab
from deployer.tui.widgets.rowlist import Row, RowList


class Yaml(Tab):
    KEY = "y"
    NAME = "YAML"
    FILTERS = "text, or a file"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o,enter", "edit", "Open in $EDITOR", id="yaml.edit"),
        Binding("d", "defaults", "Defaults on or off", id="yaml.defaults"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._settings: tuple[Setting, ...] = ()
        self._defaults = True
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield RowList()

    def opened(self) -> None:
        self.draw()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        message.stop()
        if self.check_action("edit", ()):
            self.action_edit()

    def filtered(self, text: str) -> None:
        self._filter = text.lower()
        self.draw()

    def draw(self) -> None:
        rows = self.query_one(RowList)
        try:
            self._settings = effective(self.main.session.fleet.loaded, self.place.deployment)
        except UsageError as error:
            self._settings = ()
            rows.say_empty(f"{error.what}: {error.hint}")
        else:
            rows.say_empty("no line fits the filter")
        drawn = []
        for number, one in enumerate(self._settings):
            row = Row(str(number), _text(one), _origin(one))
            fits = self._filter in f"{one.text}  {row.right[0][0] if row.right else ''}".lower()
            if fits and (self._defaults or one.origin != "default"):
                drawn.append(row)
        rows.show(drawn)

    def action_defaults(self) -> None:
        self._defaults = not self._defaults
        self.draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "edit" and self.main.session.read_only else True

    def action_edit(self) -> None:
        """Gives the terminal to the editor; what was written is read again afterwards."""
        row = self.query_one(RowList).current
        if row is None:
            return
        source = self._settings[int(row.key)].source
        session = self.main.session
        try:
            argv = editor.command(session.fleet.root / source.file, source.line)
        except UsageError as error:
            self.main.wrong(error)
            return
        with self.main.suspend():
            code = subprocess.run(argv, check=False).returncode
        if code:
            self.main.notify(f"{argv[0]} ended with {code}", severity="warning", markup=False)
        self.main.job(session.reload, self._reloaded, name="reload")

    def _reloaded(self, fleet: Fleet) -> None:
        self.draw()
        self.main.notify("the files were read again; 2 plans what they change")


def _text(one: Setting) -> Line:
    role = "dim" if one.origin == "default" else ""
    indent, head = "  " * one.depth, clean(one.head)
    return line(indent, (head, role or "accent"), " " if one.value else "", (clean(one.value), role))


def _origin(one: Setting) -> Line:
    if one.origin == "default":
        return line(("default", "dim"))
    more = {"file": "", "extends": "  extended", "defaults": "  fleet's defaults", "catalog": "  catalogue"}[one.origin]
    return line((f"{clean(str(one.source))}{more}", ""))
