"""Taking a plan out of the plan place: saved, as text, as a copy; and the way into the file that a change comes from."""

from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from deployer.app.planned import Planned
from deployer.errors import DeployerError
from deployer.plan.model import Change, Drift, Finding, Notice, Refusal
from deployer.tui.editor import edit
from deployer.tui.line import text_of
from deployer.tui.modals.asking import Asking
from deployer.tui.planfilter import Entry
from deployer.tui.plantree import Group, Item
from deployer.tui.screens.plandeciding import PlanDeciding

#: What writes a file.
WRITES = ("save", "export", "edit")


class PlanFiles(PlanDeciding):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", show=False, tooltip="the plan, to a file that deployer apply takes", id="plan.save"),
        Binding("e", "export", "Export", show=False, tooltip="the plan as text or Markdown", id="plan.export"),
        Binding("c", "copy", "Copy", show=False, tooltip="what stands in the details", id="plan.copy"),
        Binding("o", "edit", "Open", show=False, tooltip="the line of YAML in $EDITOR, then plan again", id="plan.edit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.planned: Planned | None = None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in WRITES and self.main.session.read_only:
            return None
        if action in ("save", "export") and self.planned is None:
            return None
        return super().check_action(action, parameters)

    def action_save(self) -> None:
        planned = self.planned
        if planned is not None:
            default = f".deployer/plans/{planned.plan.plan_id}.json"
            note = Content("the whole plan, whatever is approved; a path is relative to the fleet's folder")
            asking = Asking("Save the plan as", note, value=default)
            self.main.push_screen(asking, lambda name: self._save(planned, name))

    def _save(self, planned: Planned, name: str | None) -> None:
        if name:
            path = self._path(name)
            session = self.main.session
            self.main.job(lambda: session.save(planned, path), lambda at: self._kept(f"deployer apply {at} does it"), name="save")

    def action_export(self) -> None:
        planned = self.planned
        if planned is not None:
            note = Content("Markdown where the name ends in .md, plain text otherwise")
            asking = Asking("Export the plan as", note, value=f"plan-{planned.plan.plan_id[:7]}.md")
            self.main.push_screen(asking, lambda name: self._export(planned, name))

    def _export(self, planned: Planned, name: str | None) -> None:
        if name:
            path = self._path(name)
            session = self.main.session
            self.main.job(lambda: session.export(planned, path), lambda at: self._kept(str(at)), name="export")

    def _kept(self, text: str) -> None:
        self.main.notify(f"written: {text}", markup=False)

    def _path(self, name: str) -> Path:
        return self.main.session.fleet.root / Path(name).expanduser()

    def action_copy(self) -> None:
        lines = self.detail_lines(True)
        if lines:
            node = self.node
            what = node.subject if isinstance(node, Entry) else node.label if isinstance(node, Group) else "this line's details"
            self.main.copy("\n".join(text_of(one) for one in lines) + "\n", what)

    def action_edit(self) -> None:
        file, line = self._source()
        if not file:
            self.main.notify("this comes from no line of the files", markup=False)
            return
        try:
            edit(self.main, self.main.session.fleet.root / file, line)
        except DeployerError as error:
            self.main.wrong(error)
        else:
            self.main.plan_again()

    def _source(self) -> tuple[str, int]:
        """File and line that the row comes from; an empty file when it comes from none."""
        node = self.node
        about = node.change if isinstance(node, Entry) else node.what if isinstance(node, Item) else None
        source = about.source if isinstance(about, Change | Refusal | Finding | Notice | Drift) else None
        return (source.file, source.line) if source is not None else ("", 0)
