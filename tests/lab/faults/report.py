"""What a run of the matrix leaves: cells.jsonl, one line per cell as it ends (so that a run can go on where it was broken off),
and of it faults.json and faults.md. Used by run.py and test_matrix.py.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.lab.faults.cells import Cell
from tests.lab.faults.matrix import Seen

Row = dict[str, Any]


def row(seen: Seen) -> Row:
    cell = seen.cell
    return {
        "operation": cell.operation,
        "step": cell.step,
        "kind": cell.kind,
        "label": cell.label,
        "moment": cell.moment,
        "fault": str(cell.fault),
        "ok": not seen.problems,
        "seen": seen.result,
        "problems": seen.problems,
        "exit_code": seen.exit_code,
        "out_s": seen.out_s,
        "seconds": round(seen.seconds, 1),
        "key": cell.key,
    }


class Book:
    """`cells.jsonl` below `folder`."""

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "cells.jsonl"
        if fresh:
            self._path.unlink(missing_ok=True)

    def rows(self) -> list[Row]:
        """The last word on each cell."""
        lines = self._path.read_text().splitlines() if self._path.is_file() else []
        found: dict[str, Row] = {}
        for line in lines:
            one = json.loads(line)
            found[one["key"]] = one
        return list(found.values())

    def add(self, seen: Seen) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(row(seen)) + "\n")

    def green(self) -> set[str]:
        return {one["key"] for one in self.rows() if one["ok"]}

    def write(self, every: Sequence[Cell], title: str) -> str:
        """Both reports; the one line that sums them up."""
        names = {cell.key for cell in every}
        rows = [one for one in self.rows() if one["key"] in names]
        said = summary(rows, len(every))
        order = {cell.key: number for number, cell in enumerate(every)}
        rows.sort(key=lambda one: order[one["key"]])
        (self.folder / "faults.json").write_text(json.dumps({"title": title, "summary": said, "cells": rows}, indent=1) + "\n")
        (self.folder / "faults.md").write_text(markdown(rows, title, said))
        return said


def summary(rows: Sequence[Row], cells: int) -> str:
    bad = [one for one in rows if not one["ok"]]
    verdict = "all green" if not bad else f"{len(bad)} FAILED"
    return f"{len(rows)} of {cells} cells run, {verdict}, {sum(one['seconds'] for one in rows):.0f} s"


def markdown(rows: Sequence[Row], title: str, said: str) -> str:
    parts = [f"# {title}", "", said, ""]
    bad = [one for one in rows if not one["ok"]]
    if bad:
        parts += ["## Failed", "", *(f"* `{one['key']}` ({one['label']}): {'; '.join(one['problems'])}" for one in bad), ""]
    parts += ["## By fault", "", *_counts(rows, "fault"), "", "## By kind of step", "", *_counts(rows, "kind"), ""]
    parts += ["## Cells", "", "| operation | step | fault | seen | out of service, s | seconds |", "|---|---|---|---|---|---|"]
    for one in rows:
        moment = "" if one["moment"] == "before" else " (done, not yet said)"
        verdict = one["seen"] if one["ok"] else "FAILED: " + "; ".join(one["problems"])
        cells = [one["operation"], f"`{one['kind']}` {one['label']}{moment}", one["fault"], verdict, one["out_s"], one["seconds"]]
        parts.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(parts) + "\n"


def _counts(rows: Iterable[Row], by: str) -> list[str]:
    every = Counter(one[by] for one in rows)
    green = Counter(one[by] for one in rows if one["ok"])
    lines = [f"| {by} | cells | green |", "|---|---|---|"]
    return lines + [f"| {name} | {count} | {green[name]} |" for name, count in sorted(every.items())]
