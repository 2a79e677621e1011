"""Text from the YAML, made literal for systemd and HAProxy. Called by everything in render; nothing else quotes.

What a format cannot hold at all raises `Unquotable`: the spec refuses most of it earlier, this is the last gate.
"""

import re
from functools import lru_cache

from deployer.errors import Refused


class Unquotable(Refused):
    """A text that the target format cannot hold, whatever one does."""


_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_@+=:,./-]*")
_PROGRAM = re.compile(r"/[A-Za-z0-9_@+=:,./-]+")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # less tab and newline
_ESCAPES = str.maketrans(
    {chr(n): f"\\x{n:02x}" for n in (*range(0x20), 0x7F)} | {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
)


def _text(value: str, what: str) -> str:
    if "\0" in value:
        raise Unquotable(f"{what} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unquotable(f"{what} holds half of a UTF-16 pair, which is not text") from None
    return value


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)


def unit_word(value: str) -> str:
    """One argument of an ExecStart= line, so that the program receives exactly `value`.

    `%` would start a specifier and `$` a variable: both are doubled. Everything else goes into double quotes with C escapes.
    """
    if _PLAIN_WORD.fullmatch(value):
        return value
    doubled = _text(value, "an argument").replace("%", "%%").replace("$", "$$")
    return f'"{_escaped(doubled)}"'


def unit_program(path: str) -> str:
    """The first word of an ExecStart= line: an absolute path. systemd expands no variables there and reads a few leading
    characters as flags, so only plain characters are let through.
    """
    if not _PROGRAM.fullmatch(path):
        raise Unquotable(
            f"systemd cannot start {path!r}: the path of a program must be absolute and plain", hint="see paths: of the host"
        )
    return path


def unit_command(argv: tuple[str, ...]) -> str:
    return " ".join([unit_program(argv[0]), *map(unit_word, argv[1:])])


@lru_cache(maxsize=1024)
def _is_variable(name: str) -> bool:
    return _ENV_NAME.fullmatch(name) is not None


def unit_environment(name: str, value: str) -> str:
    """The right side of Environment=. `$` is literal there, `%` is not; systemd drops values with control characters."""
    if not _is_variable(name):
        raise Unquotable(f"{name!r} is not a name for an environment variable")
    if _PLAIN_VALUE.fullmatch(value):
        return f'"{name}={value}"'
    if _UNSEEN.search(value):
        raise Unquotable(f"the environment variable {name} holds a control character")
    return f'"{name}={_escaped(_text(value, f"the environment variable {name}")).replace("%", "%%")}"'


def unit_line(value: str) -> str:
    """Free text as the value of a setting such as Description=: one line, no specifier, no continuation at its end."""
    flat = _CONTROL.sub(" ", _text(value, "a description"))
    return flat.replace("%", "%%").rstrip().rstrip("\\").strip()


def haproxy_word(value: str) -> str:
    """One word of an HAProxy line: everything between single quotes is literal, a single quote stands outside."""
    if _PLAIN_WORD.fullmatch(value):
        return value
    if _CONTROL.search(_text(value, "a word of the gateway's configuration")):
        raise Unquotable("a word of the gateway's configuration holds a control character")
    return "'" + value.replace("'", "'\\''") + "'"
