"""What another version of vLLM means for the options that a deployment uses, and for those it leaves out. Pure. Called by
engines.vllm, for the plan.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from deployer.engines.vllm_flags import ALIASES, Flag, flags, minor, nearest

_SHOWN = 6


def ending(version: str, used: Iterable[str]) -> Iterator[str]:
    """What vLLM says of the end of options that are used."""
    known = flags(minor(version))
    for name in used:
        flag = known.get(option(name))
        if flag is not None and flag.deprecated:
            yield f"{name} will not last: {flag.deprecated}"


def upgraded(before: str, after: str, used: Mapping[str, Any]) -> Iterator[str]:
    """What is different from one version to the other, for these options first; nothing when one has no table. What `ending`
    says is not said again.
    """
    if nearest(before) != minor(before) or nearest(after) != minor(after) or minor(before) == minor(after):
        return
    old, new = flags(minor(before)), flags(minor(after))
    names = {option(name): name for name in used}
    for given, name in sorted(names.items()):
        if given in old and given in new:
            yield from (f"{name}: {said}" for said in _differs(old[given], replace(new[given], deprecated=None)))
    moved = [
        f"{name.replace('-', '_')} {_shown(old[name].default)} → {_shown(new[name].default)}"
        for name in sorted({*old, *new})
        if name in old and name in new and name not in names and _default_moved(old[name], new[name])
    ]
    if moved:
        more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        yield f"other defaults, of options that are left out: {', '.join(moved[:_SHOWN])}{more}"


def changes(old: Mapping[str, Flag], new: Mapping[str, Flag]) -> Iterator[tuple[str, str, str]]:
    """(added | removed | changed, option, what) from one table to the other."""
    for name in sorted({*old, *new}):
        written = name.replace("-", "_")
        if name not in new:
            yield "removed", written, old[name].deprecated or ""
        elif name not in old:
            yield "added", written, _kind(new[name])
        else:
            for said in _differs(old[name], new[name]):
                yield "changed", written, said
            if _default_moved(old[name], new[name]):
                yield "changed", written, f"is {_shown(new[name].default)} when left out, not {_shown(old[name].default)}"


def _differs(old: Flag, new: Flag) -> Iterator[str]:
    if gone := [choice for choice in old.choices if choice not in new.choices] if new.choices else []:
        yield f"takes no longer {', '.join(gone)}"
    if come := [choice for choice in new.choices if choice not in old.choices] if old.choices else []:
        yield f"takes {', '.join(come)} too"
    if (old.kind, old.many) != (new.kind, new.many):
        yield f"is {_kind(new)} now, not {_kind(old)}"
    if new.deprecated and not old.deprecated:
        yield f"will not last: {new.deprecated}"


def _default_moved(old: Flag, new: Flag) -> bool:
    return old.default is not None and new.default is not None and old.default != new.default


def _kind(flag: Flag) -> str:
    kinds = {"switch": "a switch", "true": "a switch", "int": "a whole number", "float": "a number", "size": "a size"}
    one = kinds.get(flag.kind, "JSON" if flag.kind == "json" else "a text")
    return f"a list of {flag.kind}" if flag.many else one


def _shown(default: str | None) -> str:
    return "none" if default in (None, "null") else str(default).strip('"')


def option(name: str) -> str:
    """`args` as people write it → the name in the table."""
    plain = name.removeprefix("--").replace("_", "-")
    return ALIASES.get(plain, plain)
