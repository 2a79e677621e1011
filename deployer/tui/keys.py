"""Every key that does something, by the name of its binding, and the check of those that a person has changed in
ui.yaml. Used at start (only when keys were changed), by the documentation and by tests.
"""

import difflib
import importlib
import pkgutil
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, _character_to_key
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from deployer.errors import UsageError

#: Keys of its own names that are not in Textual's table of names.
_NAMES = {key.value for key in Keys if "<" not in key.value}
_MODIFIERS = re.compile(r"^(?:(?:ctrl|shift|alt|super|hyper|meta)\+)*")


@dataclass(frozen=True, slots=True)
class Scope:
    """Bindings that act together: those of a place or a panel with those of the application (a panel hides them)."""

    name: str
    bindings: tuple[Binding, ...]


def check(wanted: Mapping[str, str], where: str | None = None) -> None:
    """Raises UsageError for a name that no binding has, a key that no keyboard has, and a key that would do two things."""
    if not wanted:
        return
    known = {binding.id: binding for scope in scopes() for binding in scope.bindings if binding.id}
    for name, keys in wanted.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            there = f"there is: {', '.join(sorted(known))}"
            raise UsageError(
                f"keys: nothing is called {name}", where=where, hint=f"did you mean {close[0]}? {there}" if close else there
            )
        for key in keys.split(","):
            _possible(name, key.strip(), where)
    for scope in scopes():
        _clash(scope, wanted, where)


def _possible(name: str, key: str, where: str | None) -> None:
    bare = _MODIFIERS.sub("", key)
    if len(bare) == 1 or bare in _NAMES or _sign(bare):
        return
    close = difflib.get_close_matches(bare, _NAMES, 1)
    hint = (
        f"did you mean {close[0]}?" if close else "a letter, a sign, f1, enter, space, or one of these with ctrl+, alt+, shift+"
    )
    raise UsageError(f"keys: {name}: no key is called {key!r}", where=where, hint=hint)


def _sign(name: str) -> bool:
    """question_mark, slash, colon: what Textual calls a sign."""
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return name in ("slash", "backslash", "minus", "underscore", "at", "backtick", "plus")
    return True


def _clash(scope: Scope, wanted: Mapping[str, str], where: str | None) -> None:
    """Only what a person changed is looked at: that a place gives a key of the application another sense is our own doing."""
    taken: dict[str, Binding] = {}
    for binding in scope.bindings:
        for key in normal(wanted.get(binding.id or "", binding.key)):
            other = taken.setdefault(key, binding)
            if other.id != binding.id and {other.id, binding.id} & set(wanted):
                both = f"{other.id} ({other.description}) and {binding.id} ({binding.description})"
                raise UsageError(
                    f"keys: {key} would mean {both} in {scope.name}", where=where, hint="give one of them another key"
                )


def normal(keys: str) -> list[str]:
    """ "?, ctrl+x" as Textual names them: question_mark, ctrl+x."""
    return [_character_to_key(key) if len(key) == 1 else key for key in (one.strip() for one in keys.split(","))]


def scopes() -> Iterator[Scope]:
    """Of the whole application, place by place. A list has the focus in nearly every place: its keys act there too."""
    from deployer.tui.app import DeployerApp
    from deployer.tui.widgets.rowlist import RowList

    common = (*own(DeployerApp), *own(RowList))
    kinds = everything()
    based_on = {base for kind in kinds for base in kind.__mro__[1:]}
    for kind in kinds:
        mine = own(kind)
        if kind in based_on and issubclass(kind, Screen):
            continue  # only what is built on it is ever shown
        if issubclass(kind, ModalScreen):
            yield Scope(title(kind), mine)
        elif issubclass(kind, Screen):
            yield Scope(title(kind), (*mine, *common))
        elif mine:
            yield Scope(title(kind), mine)


def title(kind: type[DOMNode]) -> str:
    """ "plan" for the place, "every list" for the rows: as help and the documentation call it."""
    return str(getattr(kind, "NAME", "")) or re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()


def own(kind: type[DOMNode]) -> tuple[Binding, ...]:
    """What this class and those it stands on bind, without what Textual itself does."""
    found: list[Binding] = []
    for base in kind.__mro__:
        if base.__module__.startswith("deployer."):
            for binding in base.__dict__.get("BINDINGS", ()):
                assert isinstance(binding, Binding)
                found.append(binding)
    return tuple(found)


def everything() -> list[type[DOMNode]]:
    """Every screen and widget of ours, once each, by name."""
    import deployer.tui as package

    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    found: dict[str, type[DOMNode]] = {}
    queue: list[type[DOMNode]] = [Widget]
    while queue:
        kind = queue.pop()
        queue += kind.__subclasses__()
        if kind.__module__.startswith("deployer.tui."):
            found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return [found[name] for name in sorted(found)]


def table() -> str:
    """Of every place, for the documentation: key, what it does, and its name in ui.yaml."""
    from deployer.tui.app import DeployerApp

    parts = [("everywhere", own(DeployerApp))]
    parts += [(title(kind), tuple(b for b in kind.__dict__.get("BINDINGS", ()))) for kind in everything()]
    lines = ["| where | key | what | name |", "|---|---|---|---|"]
    for name, bindings in parts:
        for binding in bindings:
            keys = " ".join(f"`{_sign_of(key)}`" for key in binding.key.split(","))
            what = f"{binding.description}: {binding.tooltip}" if binding.tooltip else binding.description
            lines.append(f"| {name} | {keys} | {what.replace('|', chr(92) + '|')} | {binding.id} |")
            name = ""
    return "\n".join(lines)


def _sign_of(key: str) -> str:
    """ "?" for question_mark."""
    from textual.keys import format_key

    shown = format_key(key)
    return key if not shown.isascii() else shown
