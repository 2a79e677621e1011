"""What a person likes: keys, theme, signs, clipboard. From ~/.config/deployer/ui.yaml; everything has a default."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployer.errors import UsageError


class Preferences(BaseModel):
    """`keys`: the name of an action (`?` shows them) → the key, as {plan: "p", quit: "ctrl+x"}. `source`: the file they
    came from, None for the defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    theme: str = "textual-dark"
    ascii: bool = False
    clipboard: Literal["auto", "native", "osc52"] = "auto"
    mouse: bool = True
    refresh_s: float = Field(1.0, ge=0.5, le=60)
    keys: dict[str, str] = Field(default_factory=dict)
    source: str | None = Field(None, exclude=True)


def path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "deployer" / "ui.yaml"


def read(file: Path | None = None) -> Preferences:
    """The defaults when there is no such file. Raises UsageError, with the key, for one that is wrong."""
    file = file or path()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"it cannot be read: {error}", where=str(file)) from None
    import yaml

    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"it is not YAML: {error}", where=str(file)) from None
    if not isinstance(found, dict):
        raise UsageError("it must be a mapping, such as theme: light", where=str(file), hint=_HINT)
    try:
        return Preferences.model_validate({**found, "source": str(file)})
    except ValidationError as error:
        raise _wrong(error, str(file)) from None


_HINT = "docs/tui.md lists what can be said there"


def _wrong(error: ValidationError, where: str) -> UsageError:
    import difflib

    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        there = [name for name in Preferences.model_fields if name != "source"]
        close = difflib.get_close_matches(place, there, 1)
        hint = f"did you mean {close[0]}?" if close else f"there is: {', '.join(there)}"
        return UsageError(f"it has no {place!r}", where=where, hint=hint)
    if place.startswith("keys.") and first["type"] == "string_type":
        return UsageError(f'{place}: write the key in quotes: "{first["input"]}"', where=where, hint=_HINT)
    return UsageError(f"{place}: {first['msg']}", where=where, hint=_HINT)
