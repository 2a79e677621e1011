"""The lines of a log as a window needs them: bounded, filtered, wrapped, searched. Pure; LogView draws it.

A line keeps its number for ever: dropping old ones changes no number, so that whoever reads stays where they are.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable

from rich.cells import cell_len

from deployer.tui.line import Line, clean, text_of

#: (number of the line, first character, character after the last one): what one row of the window shows.
Row = tuple[int, int, int]

_ESCAPES = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b.")
_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL)\b|Traceback \(most recent|\w(?:Error|Exception)\b|\b[Ee]rror: |out of memory|\bfailed\b"
)


def plain(spans: Line) -> Line:
    """Without colours of its own and control characters: a log must not move the cursor of who reads it."""
    if all(text.isprintable() for text, _ in spans):
        return spans
    return tuple((clean(_ESCAPES.sub("", text.rstrip("\r\n"))), role) for text, role in spans)


class LogBuffer:
    """`rows` is what is shown: all lines, or those that fit the filter, cut into rows when they are wrapped."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: list[Row] = []
        self.width = 0  # of the widest row, in cells
        self.matches: list[int] = []  # numbers of the shown lines that hold what is searched
        self.searched = ""
        self.filtered = ""
        self._lines: list[Line] = []
        self._texts: list[str] = []
        self._first = 0  # number of the oldest line that is kept
        self._wrap: int | None = None

    def append(self, lines: Iterable[Line]) -> tuple[int, int]:
        """How many lines came that are shown, and how many rows went at the front because there are too many lines."""
        came = 0
        for one in lines:
            spans = plain(one)
            text = text_of(spans)
            number = self._first + len(self._lines)
            self._lines.append(spans)
            self._texts.append(text)
            came += self._lay(number, text)
        return came, self._drop()

    def clear(self) -> None:
        self._first += len(self._lines)
        self._lines, self._texts, self.rows, self.matches, self.width = [], [], [], [], 0

    def shape(self, *, wrap: int | None, filtered: str) -> None:
        """Rows of at most `wrap` cells (None: as long as they are), of the lines that hold `filtered`."""
        if (wrap, filtered) == (self._wrap, self.filtered):
            return
        self._wrap, self.filtered = wrap, filtered
        self.rows, self.matches, self.width = [], [], 0
        for place, text in enumerate(self._texts):
            self._lay(self._first + place, text)

    def search(self, text: str) -> None:
        self.searched = text
        self.matches = []
        shown = dict.fromkeys(row[0] for row in self.rows) if text else {}
        self.matches = [number for number in shown if self._holds(self._texts[number - self._first], text)]

    def error(self) -> int | None:
        """The first line that tells of one."""
        shown = dict.fromkeys(row[0] for row in self.rows)
        return next((number for number in shown if _ERROR.search(self._texts[number - self._first])), None)

    def text(self) -> str:
        """What is shown, line by line."""
        return "".join(f"{self._texts[number - self._first]}\n" for number in dict.fromkeys(row[0] for row in self.rows))

    def place(self, number: int) -> int:
        """The first row of this line, or of the next one that is shown."""
        return bisect_left(self.rows, (number, 0, 0))

    def spans(self, place: int) -> Line:
        """A row with its matches marked."""
        number, start, end = self.rows[place]
        spans, text = self._lines[number - self._first], self._texts[number - self._first]
        for word in (self.searched, self.filtered):
            if word and self._holds(text, word):
                spans = _marked(spans, text, word)
        return _part(spans, start, end) if (start, end) != (0, len(text)) else spans

    def row_text(self, place: int) -> str:
        number, start, end = self.rows[place]
        return self._texts[number - self._first][start:end]

    def column(self, number: int) -> tuple[int, int]:
        """From which cell to which the first match of a line stands."""
        text = self._texts[number - self._first]
        start = max(0, text.lower().find(self.searched.lower()))
        before = cell_len(text[:start])
        return before, before + cell_len(text[start : start + len(self.searched)])

    def _lay(self, number: int, text: str) -> int:
        """Makes the rows of a line; 1 when it is shown."""
        if self.filtered and not self._holds(text, self.filtered):
            return 0
        if self.searched and self._holds(text, self.searched):
            self.matches.append(number)
        size = cell_len(text)
        if self._wrap is None or size <= self._wrap:
            self.rows.append((number, 0, len(text)))
            self.width = max(self.width, size)
        else:
            self.rows += [(number, start, end) for start, end in _cuts(text, self._wrap)]
            self.width = self._wrap
        return 1

    def _drop(self) -> int:
        over = len(self._lines) - self.limit
        if over <= 0:
            return 0
        self._first += over
        del self._lines[:over], self._texts[:over]
        gone = bisect_left(self.rows, (self._first, 0, 0))
        del self.rows[:gone]
        del self.matches[: bisect_left(self.matches, self._first)]
        return gone

    @staticmethod
    def _holds(text: str, word: str) -> bool:
        return word.lower() in text.lower()


def _cuts(text: str, width: int) -> list[tuple[int, int]]:
    """Pieces of at most `width` cells; wide characters are never cut in two."""
    if text.isascii():
        return [(start, min(start + width, len(text))) for start in range(0, len(text), width)]
    found, start, used = [], 0, 0
    for place, character in enumerate(text):
        size = cell_len(character)
        if used + size > width and place > start:
            found.append((start, place))
            start, used = place, 0
        used += size
    return [*found, (start, len(text))]


def _part(spans: Line, start: int, end: int) -> Line:
    found, place = [], 0
    for text, role in spans:
        piece = text[max(0, start - place) : max(0, end - place)]
        if piece:
            found.append((piece, role))
        place += len(text)
    return tuple(found)


def _marked(spans: Line, text: str, word: str) -> Line:
    found: list[tuple[str, str]] = []
    low, size, place = text.lower(), len(word), 0
    if len(low) != len(text):
        return spans  # a letter whose small form is longer: places would not fit
    while (hit := low.find(word.lower(), place)) >= 0:
        found += [*_part(spans, place, hit), *((t, f"{role} match".strip()) for t, role in _part(spans, hit, hit + size))]
        place = hit + size
    return (*found, *_part(spans, place, len(text)))
