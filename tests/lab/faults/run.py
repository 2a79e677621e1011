"""The whole matrix from the command line: `script/faults`. Goes on where it was broken off, says how long it will take."""

import argparse
import contextlib
import fnmatch
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.faults.bench import bench
from tests.lab.faults.cells import Cell, Fault, cells_of, sample
from tests.lab.faults.matrix import Matrix
from tests.lab.faults.operations import OPERATIONS
from tests.lab.faults.report import Book

GUESS_S = 6.0  # per cell, until some were run


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/faults",
        description="Every fault at every step boundary of every operation, on a lab host of this machine (root on Linux).",
        epilog="script/faults --only update --fault 'agent killed'    script/faults --list    script/faults --sample 40 --seed 7",
    )
    parser.add_argument("--only", action="append", metavar="OPERATION", choices=[*OPERATIONS], help=", ".join(OPERATIONS))
    parser.add_argument("--fault", action="append", metavar="NAME", choices=[*Fault], help=", ".join(Fault))
    parser.add_argument("--step", metavar="PATTERN", help="only steps whose kind or label fits: unit.*, *keys*")
    parser.add_argument("--list", action="store_true", help="say the cells and run none")
    parser.add_argument("--sample", type=int, metavar="N", help="N cells that cover every fault and kind of step")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    parser.add_argument(
        "--fresh", action="store_true", help="forget what an earlier run found; else green cells are not run again"
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no cell after so long; the next call goes on")
    parser.add_argument("--out", type=Path, default=Path("build/faults"), help="folder of the report (build/faults)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="the lab's fleet; it stays up, for another run")
    return parser.parse_args(words)


def wanted(cell: Cell, asked: argparse.Namespace) -> bool:
    if asked.only and cell.operation not in asked.only:
        return False
    if asked.fault and cell.fault not in asked.fault:
        return False
    return not asked.step or any(fnmatch.fnmatch(word, asked.step) for word in (cell.kind, cell.label))


def main(words: list[str]) -> int:
    asked = arguments(words)
    with contextlib.ExitStack() as stack:
        root = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))) / "fleet"
        matrix = Matrix(stack.enter_context(bench(root, keep=asked.keep is not None)))
        print("preparing the host", file=sys.stderr, flush=True)
        matrix.prepare()
        # a destroy needs what a create makes: in this order every operation is done once, and its steps are known
        every = [c for name, one in OPERATIONS.items() for c in cells_of(name, matrix.steps(one))]
        cells = [c for c in every if wanted(c, asked)]
        if asked.sample:
            cells = sample(cells, asked.seed, asked.sample)
        if asked.list:
            print("\n".join(f"{cell.key} ({cell.label})" for cell in cells))
            print(f"{len(cells)} cells of {len(every)}")
            return 0
        return _run(matrix, cells, Book(asked.out, fresh=asked.fresh), asked.minutes)


def _run(matrix: Matrix, cells: list[Cell], book: Book, minutes: float | None) -> int:
    green = book.green()
    left = [cell for cell in cells if cell.key not in green]
    began = time.monotonic()
    for number, cell in enumerate(left):
        spent = time.monotonic() - began
        if minutes is not None and spent > minutes * 60:
            break
        each = spent / number if number else GUESS_S
        seen = matrix.run(cell)
        book.add(seen)
        eta = each * (len(left) - number - 1)
        print(f"[{number + 1}/{len(left)}, {eta / 60:.0f} min left] {seen.line()}", flush=True)
    said = book.write(cells, "The fault matrix")
    print(f"script/faults: {said}\nreport: {book.folder}/faults.md")
    return 0 if book.green() >= {cell.key for cell in cells} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
