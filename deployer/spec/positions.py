"""Where each value of a fleet was written, kept beside the models so that the models stay plain."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.spec.source import Source
from deployer.spec.tree import Node, Path, Place, walk

__all__ = ["Path", "Positions", "Where"]

#: A document and the path in it: enough to look up a place, for the few values that are shown with theirs.
Where = tuple[str, *Path]


@dataclass(frozen=True, slots=True)
class Positions:
    """A document is "deployer", "host:NAME" or "deployment:NAME"; a path leads to a value as it is written in YAML.

    `trees` is what loading makes; `places` states single places by hand. `texts` holds the files, for showing a line.
    """

    places: Mapping[tuple[str, Path], Source] = field(default_factory=dict)
    trees: Mapping[str, Node] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    def of(self, document: str, *path: str | int) -> Source | None:
        """The place of the value (of its key, in a mapping), or of the nearest parent that was written."""
        tree = self.trees.get(document)
        if tree is not None:
            place = walk(tree, path).key
            return Source(place.file, place.line, place.column)
        for length in range(len(path), -1, -1):
            found = self.places.get((document, path[:length]))
            if found is not None:
                return found
        return None

    def at(self, where: Where | None) -> Source | None:
        return None if where is None else self.of(*where)

    def key_of(self, document: str, *path: str | int) -> Place | None:
        """Where the value's name stands; the value's own place where that is not known."""
        tree = self.trees.get(document)
        return self.value_of(document, *path) if tree is None else walk(tree, path).key

    def value_of(self, document: str, *path: str | int) -> Place | None:
        """Where the value itself stands; its key when it starts on a line of its own, the parent's when it is not there."""
        tree = self.trees.get(document)
        if tree is None:
            source = self.of(document, *path)
            return None if source is None else Place(source.file, source.line, source.column)
        found = walk(tree, path)
        return found.node.place if len(found.path) == len(path) and not found.node.block else found.key
