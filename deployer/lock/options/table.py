"""A table of options as the text of a Python module, and of the list of all tables. Called by app.tables.

The same options give the same bytes, so that a table can be checked by making it again.
"""

import textwrap
from collections.abc import Iterable, Mapping

from deployer.engines.vllm_flags import Flag

_WIDTH = 118

_MODULE = '''\
"""Options of `vllm serve` {version}, read from its source by `deployer engines sync`; not written by hand."""

VERSION = "{version}"
READ_FROM = "{origin}"

#: kind (with + for a list): names. What has choices is in CHOICES instead.
KINDS = """\\
{kinds}"""

#: name (with + for a list): the values it takes.
CHOICES = """\\
{choices}"""

#: default as JSON: names. What the source alone does not tell is left out.
DEFAULTS = """\\
{defaults}"""

#: name: what vLLM says of its end.
DEPRECATED = """\\
{deprecated}"""
'''

_LISTING = '''\
"""The tables of options there are, one module each; written by `deployer engines sync`, read by engines.vllm_flags."""

VERSIONS = ({versions})
'''


def module_text(version: str, origin: str, options: Mapping[str, Flag]) -> str:
    kinds: dict[str, list[str]] = {}
    defaults: dict[str, list[str]] = {}
    for name, flag in sorted(options.items()):
        if not flag.choices:
            kinds.setdefault(flag.kind + "+" * flag.many, []).append(name)
        if flag.default is not None and flag.default.isascii() and " " not in flag.default and "\\" not in flag.default:
            defaults.setdefault(flag.default, []).append(name)
    choices = {name + "+" * flag.many: flag.choices for name, flag in sorted(options.items()) if flag.choices}
    ended = {name: [_plain(flag.deprecated)] for name, flag in sorted(options.items()) if flag.deprecated}
    return _MODULE.format(
        version=version,
        origin=origin,
        kinds=_rows(sorted(kinds.items())),
        choices=_rows(choices.items()),
        defaults=_rows(sorted(defaults.items())),
        deprecated=_rows(ended.items()),
    )


def listing_text(minors: Iterable[str]) -> str:
    ordered = sorted(set(minors), key=lambda minor: [int(part) for part in minor.split(".")])
    return _LISTING.format(versions=", ".join(f'"{minor}"' for minor in ordered) + ("," if len(ordered) == 1 else ""))


def _plain(text: str) -> str:
    return " ".join(text.encode("ascii", "ignore").decode().replace("\\", "").replace('"', "'").split())


def _rows(rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    wrapped = (
        textwrap.fill(
            f"{head}: {' '.join(words)}", _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        for head, words in rows
    )
    return "".join(f"{row}\n" for row in wrapped)
