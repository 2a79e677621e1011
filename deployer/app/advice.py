"""Where in the YAML an engine's advice belongs. Called when a failure is shown."""

import re

from deployer.engines import ENGINES
from deployer.spec.load import Loaded
from deployer.spec.source import Source


def place_of_hint(loaded: Loaded, deployment: str | None, hint: str | None) -> Source | None:
    """The line of the field that a hint such as "max_model_len: 10720 is what fits" begins with; None for other hints."""
    spec = loaded.fleet.deployments.get(deployment or "")
    word = re.match(r"([a-z_][a-z0-9_.]*): ", hint or "")
    if spec is None or word is None:
        return None
    path = tuple(word[1].split("."))
    if path[0] in ENGINES[spec.engine.name].Settings.model_fields:
        path = ("engine", spec.engine.name, *path)
    elif path[0] not in type(spec).model_fields:
        return None
    return loaded.positions.of(f"deployment:{spec.name}", *path)
