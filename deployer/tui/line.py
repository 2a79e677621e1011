"""One line of text as data: spans with the role they play. Text from outside never passes through markup here, so
`[/INST]` and `[red]` in a model's name or a log are what they are. Drawn by the widgets; compared as text by tests.
"""

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from textual.content import Content

#: What a span means. The style sheet says how each looks; several stand side by side, separated by blanks.
ROLES = ("bold", "dim", "good", "warn", "bad", "accent", "create", "update", "replace", "delete", "undo", "match", "strike")

Span = tuple[str, str]
Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """From texts and (text, roles): line("gpu-01 ", ("up", "good"))."""
    return tuple((part, "") if isinstance(part, str) else part for part in parts)


def text_of(spans: Line) -> str:
    return "".join(text for text, _ in spans)


def width_of(spans: Line) -> int:
    """In cells of the terminal."""
    return sum(cell_len(text) for text, _ in spans)


def clean(text: str) -> str:
    """Without what would move a terminal's cursor or break a line: tabs become blanks, control characters are shown."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "    " if c == "\t" else " " if c == "\n" else "�" for c in text)


def cut(spans: Line, width: int, more: str = "…") -> Line:
    """At most `width` cells; `more` at the end says that something was left out."""
    if width_of(spans) <= width:
        return spans
    room = max(0, width - cell_len(more))
    kept: list[Span] = []
    for text, role in spans:
        size = cell_len(text)
        if size > room:
            kept.append((set_cell_size(text, room), role))
            break
        kept.append((text, role))
        room -= size
    return (*kept, (more, "dim")) if width > 0 else ()


def beside(left: Line, right: Line, width: int) -> Line:
    """`left` at the left, `right` at the right edge; where both do not fit, the left one is cut, but not below half."""
    room = max(width // 2, width - width_of(right) - 1)
    first = cut(left, room if right else width)
    if not right:
        return first
    second = cut(right, width - width_of(first) - 1)
    gap = width - width_of(first) - width_of(second)
    return (*first, (" " * max(1, gap), ""), *second)


def columns(cells: Iterable[tuple[Line, int]], gap: int = 2) -> Line:
    """Cells of fixed widths side by side; a negative width sets its text to the right."""
    found: list[Span] = []
    for spans, width in cells:
        room = abs(width)
        shown = cut(spans, room)
        blank = " " * (room - width_of(shown))
        found += [(blank, ""), *shown] if width < 0 else [*shown, (blank, "")]
        found.append((" " * gap, ""))
    return tuple(found[:-1])


def content(spans: Line) -> Content:
    """For widgets that take a Content; roles become Textual's own style words."""
    return Content.assemble(*((plain_text(text), " ".join(_STYLES[role] for role in roles.split())) for text, roles in spans))


def plain_text(text: str) -> str:
    """As `clean`, of text that has several lines."""
    return text if text.isprintable() else "\n".join(clean(part) for part in text.split("\n"))


def paragraphs(lines: Iterable[Line]) -> Content:
    return Content("\n").join(content(one) for one in lines)


_STYLES = {
    "bold": "bold",
    "dim": "dim",
    "good": "$text-success",
    "warn": "$text-warning",
    "bad": "$text-error",
    "accent": "$text-accent",
    "create": "$text-success",
    "update": "$text-warning",
    "replace": "$text-accent",
    "delete": "$text-error",
    "undo": "$text-primary",
    "match": "reverse",
    "strike": "strike",
}
