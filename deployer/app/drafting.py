"""A draft of a deployment from an entry of the catalogue. Used by the terminal UI's wizard."""

from collections.abc import Mapping
from typing import Any

from deployer.app import written
from deployer.app.catalog import plain_name
from deployer.app.draft import Draft
from deployer.app.form import FORKS, engine_fields
from deployer.spec.catalog import CatalogEntry

#: Keys of a draft that no field has: the entry that was taken last, and the name that it suggested.
_MODEL, _NAME = "suggested.model", "suggested.name"


def is_taken(draft: Draft) -> bool:
    """Whether its model of the catalogue has been taken, with what it suggests."""
    return bool(draft.typed.get(_MODEL)) and draft.typed.get(_MODEL) == draft.get("model.catalog")


def taken(draft: Draft, entry: CatalogEntry) -> Draft:
    """With the entry's model, its first engine that can be asked for, and the settings it suggests there. What another one
    suggested before goes; a name that a person typed stays. Accepting a licence is left to a person.
    """
    engine = next((name for name in entry.engines if name in FORKS["engine"].choices), draft.get("engine"))
    kept = {key: text for key, text in draft.typed.items() if not key.startswith("engine.")}
    suggested = plain_name(entry.name)
    name = suggested if kept.get("name", "") in ("", kept.get(_NAME)) else kept["name"]
    typed = {**kept, "model": "catalog", "model.catalog": entry.name, "engine": engine, "name": name}
    if entry.gated and not typed.get("model.token"):
        typed["model.token"] = "env:HF_TOKEN"
    settings = _suggested(engine, entry.engines.get(engine) or {})
    return Draft({**typed, **settings, _MODEL: entry.name, _NAME: suggested})


def _suggested(engine: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as they would be typed: those that a field asks for; and arguments, as the file has them."""
    known = {str(one.path[-1]) for one in engine_fields(engine)}
    found = {name: _typed(value) for name, value in settings.items() if name in known}
    found |= {f"args.{name}": written.value(value) for name, value in (settings.get("args") or {}).items()}
    return {f"engine.{engine}.{name}": text for name, text in found.items()}


def _typed(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
