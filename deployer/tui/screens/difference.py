"""What differs between two revisions of a deployment: attributes, and the rendered files line by line."""

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult

from deployer.app.times import ago
from deployer.plan.filetexts import FileText, compared
from deployer.plan.revisions import Difference, Revision, difference
from deployer.plan.text import shown
from deployer.tui.line import Line, clean, line, text_of
from deployer.tui.screens.place import Place
from deployer.tui.widgets.rowlist import Row, RowList


class DifferencePlace(Place):
    """Above the deployment's place; Esc goes back there."""

    NAME: ClassVar[str] = "difference"
    FILTERS: ClassVar[str | None] = "text"
    AUTO_FOCUS = "RowList"

    def __init__(self, deployment: str, before: Revision, after: Revision) -> None:
        super().__init__()
        self.deployment, self.before, self.after = deployment, before, after
        self._rows: list[Row] = []

    def crumbs(self) -> list[str]:
        return ["fleet", self.deployment, f"revision {self.before.number} {self.main.glyphs.arrow} {self.after.number}"]

    def body(self) -> ComposeResult:
        yield RowList(empty="nothing differs in what was applied")

    def on_mount(self) -> None:
        super().on_mount()
        self._rows = [Row(str(number), spans) for number, spans in enumerate(self._lines())]
        self.filtered("")

    def filtered(self, text: str) -> None:
        rows = [row for row in self._rows if text.lower() in text_of(row.left).lower()]
        self.query_one(RowList).show(rows)

    def _lines(self) -> Iterator[Line]:
        found = difference(self.before, self.after)
        yield self._said("from", self.before)
        yield self._said("to  ", self.after)
        if not found:
            yield ()
            yield line(("nothing differs in what was applied", "dim"))
        for one in found:
            yield ()
            yield from self._one(one)

    def _said(self, word: str, one: Revision) -> Line:
        why = f": {clean(one.why)}" if one.why else ""
        commit = f", commit {one.commit[:9]}" if one.commit else ""
        now = "  (stands now)" if one.current else ""
        return line((f"{word} ", "dim"), (f"revision {one.number}", "bold"), f"  {ago(one.at)} by {clean(str(one.who or '?'))}",
                    f"{commit}{why}", (now, "good"))  # fmt: skip

    def _one(self, one: Difference) -> Iterator[Line]:
        glyphs = self.main.glyphs
        kind, _, name = one.address.partition(":")
        word = {"create": "new", "delete": "gone", "update": ""}[one.verb]
        yield line((f"{glyphs.verbs[one.verb]} ", one.verb), (f"{one.host}  {kind} {clean(name)}", "bold"), f"  {word}")
        width = max((len(d.name) for d in one.deltas), default=0)
        for delta in one.deltas:
            before, after = clean(shown(delta.before, delta.secret)), clean(shown(delta.after, delta.secret))
            values = {"create": after, "delete": before, "update": f"{before} {glyphs.arrow} {after}"}[one.verb]
            restart = "  needs a new process" if delta.restarts and one.verb == "update" else ""
            mark = (f"    {glyphs.verbs[one.verb]} ", one.verb)
            yield line(mark, f"{clean(delta.name):<{width}}  {values}", (restart, "dim"))
        for file in one.files:
            yield from _file(file)


def _file(file: FileText) -> Iterator[Line]:
    was = f"  (before: {file.was})" if file.was else ""
    yield line(("    file ", "dim"), clean(file.path), (clean(was), "dim"))
    for one in compared(file):
        if one.mark == "…":
            yield line((f"      {one.text} more lines, the same", "dim"))
        else:
            role = {"+": "create", "-": "delete"}.get(one.mark, "dim")
            yield line("      ", (f"{one.mark}{clean(one.text)}", role))
