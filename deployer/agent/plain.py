"""Text of others without what a terminal would obey: what engines, uv, apt, HAProxy and systemd said. Used where such text comes
in, by the agent and by the controller.
"""

from __future__ import annotations

import re
from typing import Any

#: The characters that a terminal obeys wherever they stand: control characters; what turns the order of a line around, so that it
#: reads as something else; the halves of pairs, which no UTF-8 can hold. Tabs and the ends of lines are none of them.
_OBEYED = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
#: What ends a line for somebody, beside the line feed.
_ENDING = r"\r\u2028\u2029"

#: What moves a terminal's cursor, colours it, names its window or rings: sequences of ECMA-48, those that are cut off, and what
#: is obeyed by itself. Each part ends where the next one may begin, so that no text takes long.
CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
    r"|[" + _OBEYED + r"]"
)
_ENDS = re.compile(r"\r\n|[" + _ENDING + r"]")
#: One character of those that `plain` does not leave as they are: a text without any is plain.
ODD = re.compile("[" + _OBEYED + _ENDING + "]")


def plain(text: str) -> str:
    """Whatever ends a line becomes a line feed: a carriage return would let the end of a line hide its beginning."""
    return text if text.isprintable() else CONTROL.sub("", _ENDS.sub("\n", text))


def plain_values(value: Any) -> Any:
    """A value of JSON with all its texts made plain; keys stay."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {key: plain_values(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(one) for one in value]
    return value
