"""A deployment as it takes effect, line by line, with where each value comes from: its own file, what that extends, the
fleet's defaults, or ours. Secrets are references here as they are in the files. Used by the terminal UI.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo

from deployer.errors import UsageError
from deployer.plan.words import size
from deployer.spec.load import FLEET_FILE, Loaded
from deployer.spec.models import EngineChoice
from deployer.spec.shelf import CATALOGS
from deployer.spec.source import Source
from deployer.spec.tree import Node

Origin = Literal["file", "extends", "defaults", "catalog", "default"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of YAML. `head` is "key:" or "-", `value` empty for what has lines of its own below. `source`: where it was
    written; for our own default the place of the nearest parent, where it could be written.
    """

    depth: int
    head: str
    value: str
    origin: Origin
    source: Source

    @property
    def text(self) -> str:
        return f"{'  ' * self.depth}{self.head}{' ' if self.value else ''}{self.value}"


def effective(loaded: Loaded, name: str) -> tuple[Setting, ...]:
    """Raises UsageError when no file has this deployment. What is not set and has no default is left out."""
    spec = loaded.fleet.deployments.get(name)
    document = f"deployment:{name}"
    tree = loaded.positions.trees.get(document)
    if spec is None or tree is None:
        raise UsageError(f"no file has a deployment {name}", hint="it is only on hosts; deployments/NAME.yaml would name it")
    return tuple(_Walk(loaded.origins[document]).mapping(_fields(spec), tree, 0, _source(tree)))


def _source(node: Node) -> Source:
    return Source(node.place.file, node.place.line, node.place.column)


def _fields(value: Any) -> dict[str, Any]:
    """What a value has below it, by key."""
    if isinstance(value, EngineChoice):
        return {value.name: value.settings}
    if isinstance(value, BaseModel):
        return {name: _united(field, getattr(value, name)) for name, field in type(value).model_fields.items()}
    return dict(value) if isinstance(value, Mapping) else {}


def _united(field: FieldInfo, value: Any) -> Any:
    """Seconds and bytes, which a file writes as a text with its unit, with theirs."""
    if isinstance(value, bool) or not any(isinstance(one, WithJsonSchema) for one in field.metadata):
        return value
    return f"{value:g}s" if isinstance(value, float) else size(value) if isinstance(value, int) else value


class _Walk:
    """`file`: the deployment's own."""

    def __init__(self, file: str) -> None:
        self._file = file

    def mapping(self, values: Mapping[str, Any], node: Node | None, depth: int, parent: Source) -> Iterator[Setting]:
        """In the order of the models, which is that of the documentation."""
        for key, value in values.items():
            entry = node.entries.get(key) if node is not None else None
            place = Source(entry.key.file, entry.key.line, entry.key.column) if entry is not None else None
            yield from self._one(f"{_key(key)}:", value, entry.node if entry is not None else None, depth, place, parent)

    def _one(
        self, head: str, value: Any, node: Node | None, depth: int, place: Source | None, parent: Source
    ) -> Iterator[Setting]:
        written = place is not None and node is not None and node.value is not None
        origin, source = self._origin(place) if written and place is not None else "default", place or parent
        if isinstance(value, (BaseModel, Mapping)):
            below = tuple(self.mapping(_fields(value), node, depth + 1, source))
            if written or any(one.origin != "default" or one.value for one in below):
                yield Setting(depth, head, "" if below else "{}", origin, source)
                yield from below
        elif isinstance(value, tuple | list):
            yield from self._list(head, value, node if written else None, depth, (origin, source))
        elif written and node is not None:
            yield Setting(depth, head, _written(node), origin, source)
        elif value is not None:
            yield Setting(depth, head, _plain(value), origin, source)

    def _list(
        self, head: str, values: "tuple[Any, ...] | list[Any]", node: Node | None, depth: int, whence: tuple[Origin, Source]
    ) -> Iterator[Setting]:
        origin, source = whence
        items = node.items if node is not None else []
        if not values or len(items) != len(values):
            # nothing, or written in a way of its own ("20000-20999"): one line
            text = _written(node) if node is not None and not items and node.raw else _plain(list(values))
            if values or node is not None:
                yield Setting(depth, head, text, origin, source)
            return
        yield Setting(depth, head, "", origin, source)
        for value, item in zip(values, items, strict=True):
            place = _source(item)
            if isinstance(value, (BaseModel, Mapping)):
                yield Setting(depth + 1, "-", "", self._origin(place), place)
                yield from self.mapping(_fields(value), item, depth + 2, place)
            else:
                yield Setting(depth + 1, "-", _written(item), self._origin(place), place)

    def _origin(self, place: Source) -> Origin:
        if place.file == self._file:
            return "file"
        if place.file.startswith(CATALOGS):
            return "catalog"
        return "defaults" if place.file == FLEET_FILE else "extends"


def _key(key: Any) -> str:
    return str(key) if str(key).replace("_", "").replace("-", "").isalnum() else json.dumps(str(key), ensure_ascii=False)


def _written(node: Node) -> str:
    """As it stands in the file; text of several lines on one."""
    raw = node.raw
    if raw is not None and raw.isprintable() and not isinstance(node.value, dict | list):
        return raw if raw or not isinstance(node.value, str) else '""'
    return _plain(node.value)


def _plain(value: Any) -> str:
    if isinstance(value, str) and value.isprintable() and value.strip() == value and value:
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)
