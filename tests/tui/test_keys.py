"""Every binding of every place, panel and widget: it says what it does, it has a name, and nothing dangerous wins everywhere."""

import re
from pathlib import Path

import pytest
from textual.binding import Binding

from deployer.tui import keys
from deployer.tui.sturdy import Sturdy

SCOPES = list(keys.scopes())
ALL = {id(binding): (scope.name, binding) for scope in SCOPES for binding in scope.bindings}
NAMES = [f"{scope}: {binding.key}" for scope, binding in ALL.values()]

#: They win under panels as well: only where one types, where the keys would otherwise move the cursor or the focus.
PRIORITY = {"command.complete", "command.before", "command.after"}
DANGEROUS = re.compile(r"apply|destroy|stop|delete|discard|throw|write|detach|confirm", re.IGNORECASE)


def test_there_are_places_panels_and_lists() -> None:
    assert {"fleet", "plan", "apply", "drift", "deployment", "leaving", "row list"} <= {scope.name for scope in SCOPES}


@pytest.mark.parametrize(("scope", "binding"), ALL.values(), ids=NAMES)
def test_a_binding_says_what_it_does_and_has_a_name(scope: str, binding: Binding) -> None:
    assert binding.description, f"{scope}: {binding.key} ({binding.action}) has no description"
    assert binding.id, f"{scope}: {binding.key} ({binding.action}) has no id: ui.yaml cannot change it"
    assert re.fullmatch(r"[a-z][a-z-]*(\.[a-z][a-z-]*)?", binding.id), binding.id


@pytest.mark.parametrize(("scope", "binding"), ALL.values(), ids=NAMES)
def test_priority_is_for_typing_and_never_for_what_is_dangerous(scope: str, binding: Binding) -> None:
    if binding.priority:
        assert binding.id in PRIORITY
        assert not DANGEROUS.search(f"{binding.action} {binding.description}")


def test_enter_does_nothing_dangerous() -> None:
    found = [(scope, b.action) for scope, b in ALL.values() if "enter" in b.key.split(",") and DANGEROUS.search(b.action)]
    assert found == []


def test_one_name_means_one_action_in_a_place() -> None:
    """Another key for a name changes all that has it: that must be the same thing."""
    for scope in SCOPES:
        meanings: dict[str, set[str]] = {}
        for binding in scope.bindings:
            meanings.setdefault(binding.id or "", set()).add(binding.action)
        assert {name: found for name, found in meanings.items() if len(found) > 1} == {}, scope.name


def test_no_key_does_two_things_in_one_place() -> None:
    """What a place gives another sense than the application is meant; within one class it is a mistake."""
    for kind in keys.everything():
        mine = [b for b in kind.__dict__.get("BINDINGS", ()) if isinstance(b, Binding)]
        taken: dict[str, str] = {}
        for binding in mine:
            for key in keys.normal(binding.key):
                assert taken.setdefault(key, binding.action) == binding.action, f"{kind.__name__}: {key}"


def test_the_documentation_lists_the_keys_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs/tui.md").read_text()
    assert keys.table() in page, "script/pictures writes them anew"


def test_every_screen_and_widget_outlives_a_fault_in_a_handler() -> None:
    """Textual would end its message loop: it would hear no key any more."""
    assert [kind.__name__ for kind in keys.everything() if not issubclass(kind, Sturdy)] == []
