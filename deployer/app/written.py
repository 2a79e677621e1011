"""What a person typed, as YAML that reads back as exactly that: words in quotes where a plain one would mean something
else; and values that were read from a file. Used by app.draft, app.drafting and app.catalog.
"""

import re
from collections.abc import Iterable, Mapping

from deployer.spec.scalars import Meaning, meaning

_BLOCK = re.compile(r"[A-Za-z_/][\w ./@+,;()'!?-]*(?<! )", re.ASCII)
_FLOW = re.compile(r"[A-Za-z_/][\w ./@+-]*(?<! )", re.ASCII)
_NUMBER = re.compile(r"[-+]?\.?[0-9][0-9A-Za-z_.+-]*", re.ASCII)
_NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def text(typed: str, *, flow: bool = False) -> str:
    """A text. `flow`: inside [brackets] or {braces}."""
    plain = (_FLOW if flow else _BLOCK).fullmatch(typed) is not None and meaning(typed) == Meaning(typed)
    return typed if plain else quoted(typed)


def quoted(typed: str) -> str:
    return '"' + "".join(_escaped(c) for c in typed) + '"'


def _escaped(char: str) -> str:
    if char in _NAMES:
        return _NAMES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def value(said: object) -> str:
    """A value as it was read from YAML, in one line."""
    if said is None or isinstance(said, bool):
        return {None: "null", True: "true", False: "false"}[said]
    if isinstance(said, str):
        return text(said, flow=True)
    if isinstance(said, Mapping):
        return "{" + ", ".join(f"{value(key)}: {value(one)}" for key, one in said.items()) + "}"
    if isinstance(said, list | tuple):
        return "[" + ", ".join(map(value, said)) + "]"
    digits, e, power = str(said).partition("e")
    return f"{digits}{'.0' if e and '.' not in digits else ''}{e}{power}"  # 1e-05 alone is a word to many readers


def number(typed: str) -> str:
    """What looks like a number as it is, so that a reader says what is odd about 010; the rest as the text it is."""
    bare = typed.strip()
    return bare if _NUMBER.fullmatch(bare) else quoted(bare)


def words(typed: str) -> list[str]:
    """The items of a list: `a, b`; an item with a comma, blanks or line breaks in it stands in double quotes, where \\n, \\t,
    \\" and \\\\ are what they are in most languages.
    """
    found: list[str] = []
    for match in _ITEM.finditer(typed):
        inner, bare = match["quoted"], match["bare"]
        if inner is not None:
            found.append(_UNNAMED.sub(lambda one: _MEANT.get(one[1], one[0]), inner))
        elif (bare or "").strip():
            found.append(bare.strip())
    return found


def items(typed: Iterable[str]) -> str:
    return "[" + ", ".join(text(one, flow=True) for one in typed) + "]"


def reference(typed: str) -> str:
    """Where a secret is found: env:NAME, file:PATH or command:WORD WORD, also as YAML has it, in braces. Anything else could
    be the secret itself: it goes no further, and what stands in its place is refused by the reader.
    """
    bare = typed.strip()
    braces = re.fullmatch(r"\{(.*)\}", bare, re.DOTALL)
    kind, colon, rest = (braces[1] if braces else bare).strip().partition(":")
    rest = rest.strip()
    if colon and kind in ("env", "file"):
        return f"{{{kind}: {text(rest, flow=True)}}}"
    if colon and kind == "command":
        brackets = re.fullmatch(r"\[(.*)\]", rest, re.DOTALL)
        return f"{{command: {items(words(brackets[1]) if brackets else rest.split())}}}"
    return quoted("…")


_ITEM = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"\s*(?:,|$)|(?P<bare>[^,]+)(?:,|$)|,)', re.DOTALL)
_UNNAMED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
