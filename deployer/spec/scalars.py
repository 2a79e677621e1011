"""What an unquoted word of YAML means: YAML 1.2's core schema; where 1.1 (which many tools still read) differs, nothing.

`spec.strict` asks for each plain scalar.
"""

import math
import re
from functools import lru_cache
from typing import NamedTuple

from deployer.spec.tree import Scalar

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SWITCHES = {
    word: truth
    for truth, lower in (("true", ("yes", "on")), ("false", ("no", "off")))
    for base in lower
    for word in (base, base.capitalize(), base.upper())
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_MAYBE_NUMBER = frozenset("0123456789+-.=<")
_SURPRISES = (
    (re.compile(r"[-+]?0[0-9_]+$"), "is octal in YAML 1.1 and decimal in 1.2"),
    (re.compile(r"[-+]?0([xob])[0-9a-fA-F_]+$"), "is a number in an unusual base"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?$"), "is a number only in YAML 1.1"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$"), "is a number to base 60 in YAML 1.1"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?$"), "is a date in YAML 1.1"),
    (re.compile(r"[-+]?0[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?$"), "is a number with a leading zero"),
    (re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"), "is not a finite number"),
    (re.compile(r"=$"), "has a meaning of its own in YAML 1.1"),
)
_LONGEST = 40


class Meaning(NamedTuple):
    """The value, or what is surprising about it and how to write it instead."""

    value: Scalar
    message: str | None = None
    hint: str | None = None


@lru_cache(maxsize=2048)  # a fleet says the same words again and again
def meaning(raw: str) -> Meaning:
    """The value of an unquoted scalar."""
    if raw in _WORDS:
        return Meaning(_WORDS[raw])
    if raw[0] not in _MAYBE_NUMBER:
        if raw in _SWITCHES:
            return _surprise(
                raw, "is true or false in YAML 1.1 and text in 1.2", f"write {_SWITCHES[raw]}, or {quoted(raw)} for the text"
            )
        return Meaning(raw)
    return _number(raw)


def _number(raw: str) -> Meaning:
    if _INT.match(raw):
        return Meaning(int(raw)) if len(raw) <= _LONGEST else _surprise(raw, "is a very long number")
    for pattern, what in _SURPRISES:
        if pattern.match(raw):
            return _surprise(raw, what)
    if not _FLOAT.match(raw):
        return Meaning(raw)
    value = float(raw) if len(raw) <= _LONGEST else math.inf
    return Meaning(value) if math.isfinite(value) else _surprise(raw, "is not a number that a computer can hold")


def _surprise(raw: str, what: str, hint: str | None = None) -> Meaning:
    shown = raw if len(raw) <= _LONGEST else raw[:_LONGEST] + "…"
    return Meaning(raw, f"{shown} {what}", hint or f"write {quoted(shown)} for the text, or the number in plain decimal")


def quoted(raw: str) -> str:
    """The word as text, as one writes it in YAML."""
    return '"' + raw.replace("\\", "\\\\").replace('"', '\\"') + '"'
