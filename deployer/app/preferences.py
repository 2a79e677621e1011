"""What a person likes: keys, theme, signs, clipboard. From ~/.config/deployer/ui.yaml; everything has a default."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployer.errors import UsageError


class Preferences(BaseModel):
    """`keys`: the name of an action (`?` shows them) → the key, as {plan: "p", quit: "ctrl+x"}."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    theme: str = "textual-dark"
    ascii: bool = False
    clipboard: Literal["auto", "native", "osc52"] = "auto"
    mouse: bool = True
    refresh_s: float = Field(1.0, ge=0.5, le=60)
    keys: dict[str, str] = Field(default_factory=dict)


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
        return Preferences.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise UsageError(f"it is not YAML: {error}", where=str(file)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{place}: {first['msg']}", where=str(file), hint="docs/tui.md lists what can be said there") from None
