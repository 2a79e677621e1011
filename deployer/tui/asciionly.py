"""What `--ascii` promises: nothing beyond ASCII reaches the terminal, wherever it comes from (a frame, a scroll bar, a name
that somebody gave). Each sign keeps its width. The signs with a meaning have ASCII twins of their own in glyphs.py.
"""

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_TWINS = str.maketrans(
    {
        **dict.fromkeys("·•∙◌", "."),
        **dict.fromkeys("…", "."),
        **dict.fromkeys("–—─━═╌╍┄┅╴╶╸╺▔▁", "-"),
        **dict.fromkeys("│┃║▎▏▕▐▌▊▍┊┆", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝╠╣╦╩╬┏┓┗┛", "+"),
        **dict.fromkeys("█▉▇▆▅▓▀▄", "#"),
        **dict.fromkeys("▃▂░▒", ":"),
        **dict.fromkeys("→›»▶▸⏎", ">"),
        **dict.fromkeys("←‹«◀", "<"),
        **dict.fromkeys("↑▲", "^"),
        **dict.fromkeys("↓▼⇣", "v"),
        **dict.fromkeys("×✗", "x"),
        **dict.fromkeys("±", "+"),
        **dict.fromkeys("“”„", '"'),
        **dict.fromkeys("‘’", "'"),
        "≤": "<",
        "≥": ">",
        "°": " ",
        "✓": "v",
        "\u00a0": " ",
    }
)


@lru_cache(4096)
def ascii_of(text: str) -> str:
    """As wide as it was."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in text.translate(_TWINS))


class AsciiOnly(LineFilter):
    """The last of the filters that every line passes."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(ascii_of(text), style, control) for text, style, control in segments]
