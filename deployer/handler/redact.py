"""What must not be in a record is taken out of it before it leaves this process.

A rule that begins with $ is a JSON path into the bodies: $.messages[*].content, $..api_key. Any other is a regular expression;
what it matches is taken out of every text of a client or model, of keys and numbers too. What of a record is such a text, and
what is our own, record.py knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

MARK = "[redacted]"
_PART = re.compile(r"\.\.([A-Za-z_][\w-]*)|\.([A-Za-z_][\w-]*)|\.(\*)|\[(\*)\]|\[(\d+)\]|\['([^']+)'\]")


class RuleError(ValueError):
    """A rule that says nothing we understand."""


class Redactor:
    """Raises RuleError for a wrong rule."""

    def __init__(self, rules: Sequence[str]) -> None:
        self._paths = [_path(rule) for rule in rules if rule.startswith("$")]
        self._patterns = [_pattern(rule) for rule in rules if not rule.startswith("$")]

    @property
    def needs_json(self) -> bool:
        """Whether a body that is no JSON cannot be shown: its paths lead nowhere."""
        return bool(self._paths)

    @property
    def idle(self) -> bool:
        return not self._paths and not self._patterns

    def body(self, value: Any) -> Any:
        """The body without what the paths lead to."""
        for parts in self._paths:
            value = _without(value, parts)
        return value

    def texts(self, value: Any) -> Any:
        """The value without what the expressions match, however deep."""
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {self._text(str(key)): self.texts(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.texts(one) for one in value]
        if isinstance(value, bool) or value is None:
            return value
        return MARK if any(pattern.search(str(value)) for pattern in self._patterns) else value

    def _text(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(MARK, text)
        return text


def _pattern(rule: str) -> re.Pattern[str]:
    try:
        found = re.compile(rule)
    except re.error as error:
        raise RuleError(f"{rule!r} is no regular expression: {error}") from None
    if found.match(""):
        raise RuleError(f"{rule!r} matches the empty text")
    return found


def _path(rule: str) -> list[tuple[bool, str | int]]:
    """Steps: (at any depth, name or number or "*")."""
    parts: list[tuple[bool, str | int]] = []
    at = 1
    while at < len(rule):
        found = _PART.match(rule, at)
        if found is None:
            raise RuleError(f"{rule!r} is no path such as $.messages[*].content")
        deep, name, star, each, number, quoted = found.groups()
        step: str | int = int(number) if number is not None else deep or name or star or each or quoted
        parts.append((deep is not None, step))
        at = found.end()
    if not parts:
        raise RuleError("a path names something below $")
    return parts


def _without(value: Any, parts: list[tuple[bool, str | int]]) -> Any:
    (deep, step), rest = parts[0], parts[1:]

    def inside(one: Any) -> Any:
        return _without(one, rest) if rest else MARK

    made = _each(value, lambda key: step == "*" or key == step, inside)
    if not deep:
        return made
    # what was just replaced is a text and is left alone; everything else is searched further down
    return _each(made, lambda key: True, lambda one: one if one == MARK else _without(one, parts))


def _each(value: Any, fits: Callable[[Any], bool], change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: change(one) if fits(key) else one for key, one in value.items()}
    if isinstance(value, list):
        return [change(one) if fits(number) else one for number, one in enumerate(value)]
    return value
