"""Where each value of a fleet was written, kept beside the models so that the models stay plain."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.spec.source import Source

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Positions:
    """`places` maps (document, path) to a source; a document is "deployer", "host:NAME" or "deployment:NAME"."""

    places: Mapping[tuple[str, Path], Source] = field(default_factory=dict)

    def of(self, document: str, *path: str | int) -> Source | None:
        """The place of the value, or of the nearest parent that was written."""
        for length in range(len(path), -1, -1):
            found = self.places.get((document, path[:length]))
            if found is not None:
                return found
        return None
