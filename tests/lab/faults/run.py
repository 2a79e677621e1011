"""The whole matrix from the command line: `script/faults`. Goes on where it was broken off, says how long it will take."""

import argparse
import contextlib
import fnmatch
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.faults.bench import bench
from tests.lab.faults.cells import Cell, Fault, cells_of, sample
from tests.lab.faults.matrix import Matrix, Seen
from tests.lab.faults.operations import OPERATIONS
from tests.lab.faults.report import Book

CHUNK = 30  # cells that one host takes at a time: one after another they need little to get ready


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
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="hosts, each with a share of the cells: one for each processor",
    )
    parser.add_argument("--out", type=Path, default=Path("build/faults"), help="folder of the report (build/faults)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the labs' fleets are; they stay up, for another run")
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
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        matrix = _bench(stack, folder, 1, asked)
        # a destroy needs what a create makes: in this order every operation is done once, and its steps are known
        every = [c for name, one in OPERATIONS.items() for c in cells_of(name, matrix.steps(one))]
        cells = [c for c in every if wanted(c, asked)]
        if asked.sample:
            cells = sample(cells, asked.seed, asked.sample)
        if asked.list:
            print("\n".join(f"{cell.key} ({cell.label})" for cell in cells))
            print(f"{len(cells)} cells of {len(every)}")
            return 0
        book = Book(asked.out, fresh=asked.fresh)
        left = [cell for cell in cells if cell.key not in book.green()]
        hosts = min(asked.jobs, -(-len(left) // CHUNK))
        matrices = [matrix, *(_bench(stack, folder, number, asked) for number in range(2, hosts + 1))]
        _Work(matrices, left, book, asked.minutes).run()
        print(f"script/faults: {book.write(cells, 'The fault matrix')}\nreport: {book.folder}/faults.md")
        return 0 if book.green() >= {cell.key for cell in cells} else 1


def _bench(stack: contextlib.ExitStack, folder: Path, number: int, asked: argparse.Namespace) -> Matrix:
    print(f"preparing host {number}", file=sys.stderr, flush=True)
    matrix = Matrix(stack.enter_context(bench(folder / f"fleet-{number}", keep=asked.keep is not None)))
    matrix.prepare()
    return matrix


class _Work:
    """Cells in chunks, each done on whichever host is free."""

    def __init__(self, matrices: Sequence[Matrix], cells: Sequence[Cell], book: Book, minutes: float | None) -> None:
        self._matrices, self._book, self._cells = matrices, book, len(cells)
        self._chunks = deque(cells[at : at + CHUNK] for at in range(0, len(cells), CHUNK))
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._until = self._began + minutes * 60 if minutes is not None else None
        self._done = 0

    def run(self) -> None:
        with ThreadPoolExecutor(len(self._matrices)) as pool:
            ended = [pool.submit(self._host, matrix) for matrix in self._matrices]
            try:
                for one in ended:
                    one.result()
            except BaseException:  # ctrl-C, or a host that is broken: the others end their cell, and the labs are taken down
                self._until = self._began
                raise

    def _host(self, matrix: Matrix) -> None:
        while self._chunks:
            for cell in self._chunks.popleft():
                if self._until is not None and time.monotonic() > self._until:
                    return
                self._say(matrix.run(cell))

    def _say(self, seen: Seen) -> None:
        with self._lock:
            self._book.add(seen)
            self._done += 1
            each = (time.monotonic() - self._began) / self._done
            eta = each * (self._cells - self._done)
            print(f"[{self._done}/{self._cells}, {eta / 60:.0f} min left] {seen.line()}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
