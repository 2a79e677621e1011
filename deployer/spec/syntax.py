"""The YAML parser's complaints in plain words. Used by `spec.strict`."""

import yaml

from deployer.errors import Problem

_WORDS = (
    ("mapping values are not allowed", "a second ': ' in one line", "put text that holds ': ' in quotes"),
    ("found character '\\t'", "a tab where YAML wants spaces", "indent with spaces"),
    ("found character that cannot start any token", "this character cannot start a value", "put the text in quotes"),
    ("found a tab character", "a tab where YAML wants spaces", "indent with spaces"),
    ("could not find expected ':'", "a key without ': '", "write `key: value`"),
    ("found unexpected end of stream", "the file ends inside a quoted text", "a closing quote is missing"),
    ("did not find expected ',' or ']'", "a list is not closed here", "a , or ] is missing"),
    ("did not find expected ',' or '}'", "a mapping is not closed here", "a , or } is missing"),
    ("did not find expected '-' indicator", "this line does not belong to the list above it", "check the indentation"),
    ("did not find expected key", "this line does not belong to the mapping above it", "check the indentation and the quotes"),
    ("did not find the expected key", "this line does not belong to the mapping above it", "check the indentation"),
    ("control characters are not allowed", "a control character", "write it as \\x.. in double quotes, or remove it"),
    ("found duplicate anchor", "this anchor exists already", "give it another name"),
)


def problem_of(error: yaml.YAMLError, file: str, lines: list[str]) -> Problem:
    """Where the parser stopped, and why."""
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML")
    line, column = (mark.line, mark.column) if mark else _position(error, lines)
    line = min(line, len(lines) - 1)
    text = lines[line]
    if "cannot start any token" in said and text[column : column + 1] == "\t":
        said = "found a tab character"
    for begin, message, hint in _WORDS:
        if begin in said:
            return Problem(file, line + 1, column + 1, message, hint, text)
    return Problem(file, line + 1, column + 1, f"not valid YAML: {said}", None, text)


def _position(error: yaml.YAMLError, lines: list[str]) -> tuple[int, int]:
    """Reader errors give an offset only, and it counts in bytes or characters: the character itself is found instead."""
    bad = getattr(error, "character", None)
    wanted = chr(bad) if isinstance(bad, int) else bad
    for number, line in enumerate(lines):
        if isinstance(wanted, str) and wanted and wanted in line:
            return number, line.index(wanted)
    return 0, 0
