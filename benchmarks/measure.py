"""Measuring side by side, and one row of figures per comparison. Used by every benchmark here."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = str(ROOT / ".venv/bin/python")
DEPLOYER = str(ROOT / ".venv/bin/deployer")


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` and `other` in seconds, or in `unit`. `ratio` is what the goal speaks of; `good`: whether it is met, None without
    a goal.
    """

    what: str
    ours: float
    other: float
    against: str
    ratio: float
    goal: str
    good: bool | None
    unit: str = "s"


def at_most(what: str, ours: float, other: float, against: str, limit: float, unit: str = "s") -> Row:
    """Ours may take at most `limit` times the other."""
    ratio = ours / other
    return Row(what, ours, other, against, ratio, f"at most {limit:g} x", ratio <= limit, unit)


def faster(what: str, ours: float, other: float, against: str, times: float) -> Row:
    """Ours is at least `times` times faster than the other."""
    ratio = other / ours
    return Row(what, ours, other, against, ratio, f"{times:g} x faster or more", ratio >= times)


def within(what: str, ours: float, seconds: float, other: float, against: str) -> Row:
    """Ours ends within so many seconds; the ratio against the other, a limit nobody can beat, is told beside it."""
    return Row(what, ours, other, against, ours / other, f"within {seconds:g} s", ours <= seconds)


def told(what: str, ours: float, other: float, against: str, unit: str = "s") -> Row:
    """A figure to watch, without a goal."""
    return Row(what, ours, other, against, ours / other, "", None, unit)


def side_by_side(rounds: int, *subjects: Callable[[], object]) -> list[float]:
    """Seconds of each subject, the median of `rounds` runs taken in turns, so that a busy machine is unfair to nobody.
    One more run goes first and is not counted: caches are warm for all."""
    taken: list[list[float]] = [[] for _ in subjects]
    for number in range(rounds + 1):
        for subject, seconds in zip(subjects, taken, strict=True):
            start = time.perf_counter()
            subject()
            if number:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def process(command: Sequence[str], *, env: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)) -> Callable[[], None]:
    """A subject: one whole process, whose exit code must be among `codes`."""
    environment = {**os.environ, **(env or {})}
    # Where it is set, whatever was not installed by pip (our own checkout) would be compiled anew in every process.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def call() -> None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False)
        if done.returncode not in codes:
            raise SystemExit(
                f"{' '.join(command)} ended with {done.returncode}:\n{(done.stderr or done.stdout).decode()[-2000:]}"
            )

    return call


def print_rows(rows: Sequence[Row]) -> None:
    print(f"{'what':58} {'ours':>9} {'other':>9} {'ratio':>7}  goal")
    for row in rows:
        mark = {True: "ok    ", False: "MISSED", None: "      "}[row.good]
        figures = f"{row.ours:8.3f}{row.unit} {row.other:8.3f}{row.unit} {row.ratio:7.2f}"
        print(f"{row.what:58} {figures}  {mark} {row.goal}  (other: {row.against})")


def finish(rows: Sequence[Row]) -> int:
    """Prints the rows (as JSON lines with --json); 1 when a goal was missed."""
    if "--json" in sys.argv:
        for row in rows:
            print(json.dumps(asdict(row)))
    else:
        print_rows(rows)
    return int(any(row.good is False for row in rows))
