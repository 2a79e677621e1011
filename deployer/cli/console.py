"""The two streams: results to stdout, narration to stderr. Colour and symbols only where they can be seen."""

import json
import os
import re
import sys
from typing import Any, TextIO

from deployer.agent.plain import ODD, plain

#: Those that we write ourselves.
_COLOUR = re.compile(r"(\x1b\[(?:[012]|3[1-6])m)")


def out(text: str) -> None:
    """A result, for a person or a pipe."""
    sys.stdout.write(_shown(text if text.endswith("\n") else f"{text}\n"))


def emit(data: Any) -> None:
    """A result for a program: one JSON document."""
    sys.stdout.write(_json(data, indent=2) + "\n")


def line(data: Any) -> None:
    """One line of a JSON stream, at once."""
    sys.stdout.write(_json(data) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Narration: what is being done, what comes next."""
    sys.stderr.write(_shown(f"{text}\n"))
    sys.stderr.flush()


def _shown(text: str) -> str:
    """With our own colours and nothing else that a terminal obeys, whoever wrote the text."""
    return "".join(part if number % 2 else plain(part) for number, part in enumerate(_COLOUR.split(text)))


def _json(data: Any, indent: int | None = None) -> str:
    """Every value as it is; what a terminal would obey is escaped, as JSON does with the first 32 characters by itself."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return text if text.isprintable() else ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def color(stream: TextIO | None = None) -> bool:
    """NO_COLOR wins, then FORCE_COLOR, then whether a terminal looks on."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"


def unicode(stream: TextIO | None = None) -> bool:
    """Whether symbols such as ✓ arrive."""
    encoding = (stream or sys.stdout).encoding or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")


def paint(text: str, code: str, stream: TextIO | None = None) -> str:
    return f"\033[{code}m{text}\033[0m" if color(stream) else text


def interactive() -> bool:
    """A person sits there: questions can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as they must be; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
