"""The options of `vllm serve` as its parser states them, so that a wrong one is found before anything moves. Read by
engines.vllm_args. The tables are in vllm_options/, one a version, made by `deployer engines sync` from vLLM's source.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from deployer.engines.vllm_options import VERSIONS


@dataclass(frozen=True, slots=True)
class Flag:
    """`kind`: "switch" (has --no-NAME), "true" (can only be switched on), "int", "float", "size" (1k, 2G), "json", "text".

    `many`: takes a list. `choices`: empty when anything of the kind goes. `default`: as JSON, None when the source does not
    tell. `deprecated`: what vLLM says of its end.
    """

    kind: str
    many: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None
    deprecated: str | None = None


#: Versions whose options are known ("0.32"), the oldest first.
KNOWN: tuple[str, ...] = VERSIONS

#: Other spellings of one option.
ALIASES = {"device-memory-utilization": "gpu-memory-utilization"}


def minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def number(version: str) -> tuple[int, ...]:
    """For comparing two versions by age; what is not a number ends it."""
    parts = []
    for part in minor(version).split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def nearest(version: str) -> str:
    """The table that speaks for a version: its own, else the newest that is older, else the oldest."""
    return next((known for known in reversed(KNOWN) if number(known) <= number(version)), KNOWN[0])


@cache
def flags(version: str) -> Mapping[str, Flag]:
    """By name without dashes before it, of the version itself or of the newest known before it."""
    table = importlib.import_module(f"deployer.engines.vllm_options.v{nearest(version).replace('.', '_')}")
    found: dict[str, Flag] = {}
    for kind, names in _rows(table.KINDS):
        found |= {name: Flag(kind.rstrip("+"), many=kind.endswith("+")) for name in names}
    for name, values in _rows(table.CHOICES):
        found[name.rstrip("+")] = Flag("text", many=name.endswith("+"), choices=tuple(values))
    for default, names in _rows(table.DEFAULTS):
        found |= {name: replace(found[name], default=default) for name in names}
    for name, words in _rows(table.DEPRECATED):
        found[name] = replace(found[name], deprecated=" ".join(words))
    return found


def removed_in(version: str, name: str) -> tuple[str, Flag] | None:
    """For an option that a version has no more: the first known version without it, and what it was."""
    older = [known for known in KNOWN if number(known) <= number(version)]
    for before, after in reversed(list(zip(older, older[1:], strict=False))):
        if name in flags(before):
            return after, flags(before)[name]
    return None


def added_in(version: str, name: str) -> str | None:
    """For an option that a version does not have yet: the first known version that has it."""
    return next((known for known in KNOWN if number(known) > number(version) and name in flags(known)), None)


def _rows(table: str) -> Iterator[tuple[str, list[str]]]:
    for line in table.replace("\n    ", " ").splitlines():
        head, _, rest = line.partition(": ")
        yield head, rest.split()
