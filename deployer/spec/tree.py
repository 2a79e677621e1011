"""YAML as a tree that remembers where each key and value was written; files are laid over each other here.

`spec.strict` makes trees, `spec.load` merges them, `spec.positions` looks things up in them. A finished tree is not changed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
Scalar = str | int | float | bool | None


class Place(NamedTuple):
    """Lines and columns count from 1; `width` is the number of characters that a caret underlines."""

    file: str
    line: int
    column: int
    width: int = 1


class Entry(NamedTuple):
    """One line of a mapping: where its key stands, and its value."""

    key: Place
    node: "Node"


@dataclass(slots=True)
class Node:
    """A value. `raw` is a scalar as it was written; `block`: a mapping or list that starts on a line of its own."""

    place: Place
    value: "Scalar | dict[str, Entry] | list[Node]"
    raw: str | None = None
    block: bool = False

    @property
    def entries(self) -> dict[str, Entry]:
        """The lines of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> "list[Node]":
        return self.value if isinstance(self.value, list) else []

    def child(self, part: str | int) -> "tuple[Place, Node] | None":
        """(where it is named, its value) of one key or index."""
        if isinstance(part, str):
            entry = self.entries.get(part)
            return None if entry is None else (entry.key, entry.node)
        if 0 <= part < len(self.items):
            item = self.items[part]
            return item.place, item
        return None


class Found(NamedTuple):
    """The end of a walk: how much of the path exists, where that is named, and its value."""

    path: Path
    key: Place
    node: Node


def walk(root: Node, path: Path) -> Found:
    """Follows the path as far as it was written."""
    key, node, length = root.place, root, 0
    for part in path:
        step = node.child(part)
        if step is None:
            break
        key, node = step
        length += 1
    return Found(path[:length], key, node)


def get(root: Node, *path: str | int) -> Node | None:
    """The value at the path, or None."""
    found = walk(root, path)
    return found.node if len(found.path) == len(path) else None


def strings(node: Node | None) -> list[Node]:
    """The text items of a list; nothing for anything else (its type is reported elsewhere)."""
    return [item for item in node.items if isinstance(item.value, str)] if node else []


def merge(base: Node, over: Node) -> Node:
    """`over` laid over `base`: mappings merge deeply, everything else replaces; a null stays, and unsets in `plain`."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, entry in over.value.items():
        below = merged.get(key)
        if below is None:
            merged[key] = entry
        else:
            merged[key] = Entry(entry.key, merge(below.node, entry.node))
    return Node(over.place, merged, block=over.block)


def without(node: Node, *keys: str) -> Node:
    """A mapping less some of its keys."""
    return Node(node.place, {key: entry for key, entry in node.entries.items() if key not in keys}, block=node.block)


def plain(node: Node, path: Path = (), nulls: list[Path] | None = None) -> Any:
    """The tree as dicts, lists and scalars. A key without a value is as if it were not written; its path goes to `nulls`."""
    value = node.value
    if isinstance(value, dict):
        result = {}
        for key, entry in value.items():
            if entry.node.value is None:
                if nulls is not None:
                    nulls.append((*path, key))
            else:
                result[key] = plain(entry.node, (*path, key), nulls)
        return result
    if isinstance(value, list):
        return [plain(item, (*path, index), nulls) for index, item in enumerate(value)]
    return value
