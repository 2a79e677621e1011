"""Where in the user's files a value was written."""

from typing import NamedTuple


class Source(NamedTuple):
    """A place in a file of the fleet; `file` is relative to the fleet, lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
