"""Problems at places, and how a person sees them. `spec` makes them while loading; later stages add theirs with `problem_at`."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace

from deployer.errors import Problem
from deployer.spec.positions import Path, Positions
from deployer.spec.tree import Place

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what libyaml takes for the end of a line
WIDEST = 120  # columns of a line that are shown


def split_lines(text: str) -> list[str]:
    """The lines of a file, as the YAML parser counts them."""
    return _BREAK.split(text)


def problem_at(
    positions: Positions, document: str, path: Path, message: str, hint: str | None = None, *, at_key: bool = False
) -> Problem:
    """A problem of the value at `path` of "deployer", "host:NAME" or "deployment:NAME", with its line for the caret. `at_key`: of
    its name.
    """
    place = positions.key_of(document, *path) if at_key else positions.value_of(document, *path)
    if place is None:
        return Problem(document, 0, 0, message, hint)
    return problem(place, message, hint, positions.texts)


def problem(place: Place, message: str, hint: str | None, texts: Mapping[str, str]) -> Problem:
    """A problem at a place, with its line."""
    lines = split_lines(texts.get(place.file, ""))
    text = lines[place.line - 1] if 0 < place.line <= len(lines) else None
    return Problem(place.file, place.line, place.column, message, hint, text, place.width)


def hidden(found: Problem, secrets: Iterable[Place]) -> Problem:
    """The problem with its line cut where a secret begins that should not stand there."""
    columns = [place.column for place in secrets if (place.file, place.line) == (found.file, found.line)]
    if not columns or found.text is None:
        return found
    first = min(columns)
    if found.column > first:
        return replace(found, text=None)
    return replace(found, text=found.text[: first - 1] + "…", width=max(1, min(found.width, first - found.column)))


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """By file and place, each once."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column, p.message))


def render(problems: Iterable[Problem]) -> str:
    """The text of UX "a wrong file": place and message, the line, a caret with the hint, and a count."""
    found = list(problems)
    blocks = [_block(item) for item in found]
    files = len({item.file for item in found})
    count = f"{len(found)} problem{'s' * (len(found) != 1)} in {files} file{'s' * (files != 1)}"
    return "\n".join([*blocks, count])


def _block(item: Problem) -> str:
    head = f"{visible(item.where)}: {visible(item.message)}"
    hint = visible(item.hint) if item.hint else ""
    if not item.text or not item.text.strip():
        return f"{head}\n  {hint}" if hint else head
    before, marked, after = _window(item.text, item.column - 1, item.width)
    number = str(item.line)
    caret = " " * cells(before) + "^" * max(1, cells(marked))
    return f"{head}\n  {number} | {before}{marked}{after}\n  {' ' * len(number)} | {caret} {hint}".rstrip()


def _window(text: str, start: int, width: int) -> tuple[str, str, str]:
    """The part of a line around the caret, cut in three, without anything that would move the cursor."""
    first = max(0, start - WIDEST // 2) if len(text) > WIDEST else 0
    before, marked, after = text[first:start], text[start : start + width], text[start + width :]
    marked = marked[:WIDEST]
    room = max(0, WIDEST - len(before) - len(marked))
    tail = after[:room].rstrip() + ("…" if len(after) > room else "")
    return ("…" if first else "") + visible(before), visible(marked), visible(tail)


def visible(text: str) -> str:
    """The text with a question mark for each character that a terminal would act on."""
    return "".join(" " if c == "\t" else c if c == " " or c.isprintable() else "\ufffd" for c in text)


def cells(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
