"""Text → tree, strictly: duplicate keys, tags, merge keys and words that YAML 1.1 and 1.2 read differently are problems.

Built from libyaml's events, because its composer recurses and a deeply nested file would end the process. `spec.files` calls it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from deployer.errors import Problem
from deployer.spec.problems import split_lines
from deployer.spec.scalars import meaning, quoted
from deployer.spec.syntax import problem_of
from deployer.spec.tree import Entry, Node, Place

DEEPEST = 40
HEAVIEST = 100_000  # values in one file, aliases counted each time they are used
_TEXT_TAG = "tag:yaml.org,2002:str"


class _TooMuch(Exception):
    """The file nests too deep or holds too many values; the rest of it is not read."""


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read. `key` is the key waiting for its value; None when a key comes next."""

    node: Node
    entries: dict[str, Entry] | None  # None for a list
    key: Place | None = None
    name: str | None = None


class _Builder:
    def __init__(self, file: str, lines: list[str]) -> None:
        self.file = file
        self.lines = lines
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.weight = 0
        self.sizes: dict[int, tuple[Node, int, int]] = {}  # by id; the node too, so that its id stays its own

    def handlers(self) -> dict[type[yaml.Event], Callable[[Any], None]]:
        return {
            yaml.ScalarEvent: self.scalar,
            yaml.AliasEvent: self.alias,
            yaml.MappingStartEvent: self.start,
            yaml.SequenceStartEvent: self.start,
            yaml.MappingEndEvent: self.end,
            yaml.SequenceEndEvent: self.end,
        }

    def problem(self, place: Place, message: str, hint: str | None = None) -> None:
        text = self.lines[place.line - 1] if place.line <= len(self.lines) else None
        self.problems.append(Problem(self.file, place.line, place.column, message, hint, text, place.width))

    def place(self, event: Any) -> Place:  # any event: the C parser sets both marks, its type stubs do not know
        start, end = event.start_mark, event.end_mark
        line, column = start.line, start.column
        width = end.column - column if end.line == line else len(self.lines[line].rstrip()) - column
        return Place(self.file, line + 1, column + 1, width if width > 0 else 1)

    def scalar(self, event: yaml.ScalarEvent) -> None:
        place, value = self.place(event), event.value
        node = Node(place, value, value)
        if event.tag is not None:
            if event.tag != _TEXT_TAG:
                self.tag(place, event.tag)
        elif not event.style:
            node.value, message, hint = meaning(value)
            if message:
                self.problem(place, message, hint)
        elif "\0" in value:
            self.problem(place, "text cannot hold a NUL")
        self.add(node, event.anchor, plain=not event.style)

    def tag(self, place: Place, tag: str) -> None:
        short = tag.replace("tag:yaml.org,2002:", "!!")
        self.problem(place, f"the tag {short[:40]} is not supported", "write the value without a tag")

    def start(self, event: yaml.CollectionStartEvent) -> None:
        place = self.place(event)
        value: dict[str, Entry] | list[Node] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.tag is not None:
            self.tag(place, event.tag)
        if len(self.open) >= DEEPEST:
            self.problem(place, f"nested more than {DEEPEST} levels deep")
            raise _TooMuch
        node = Node(place, value, block=not event.flow_style)
        if event.anchor:
            self.anchors[event.anchor] = node
        self.open.append(_Open(node, value if isinstance(value, dict) else None))

    def end(self, event: Any) -> None:
        node = self.open.pop().node
        end, place = event.end_mark, node.place
        if not node.block and end.line + 1 == place.line:
            node.place = Place(place.file, place.line, place.column, end.column + 1 - place.column)
        self.add(node, None, plain=False)

    def alias(self, event: yaml.AliasEvent) -> None:
        place = self.place(event)
        node = self.anchors.get(event.anchor or "")
        if node is None or any(opened.node is node for opened in self.open):
            what = "does not exist" if node is None else "holds itself"
            self.problem(place, f"the anchor &{event.anchor} {what}")
            node = Node(place, None)
        weight, depth = self.size(node)
        if len(self.open) + depth > DEEPEST:
            self.problem(place, f"nested more than {DEEPEST} levels deep")
            raise _TooMuch
        self.weight += weight
        self.add(node, None, plain=False)

    def size(self, node: Node) -> tuple[int, int]:
        """How many values it holds, itself included, and how deep they go: bounds what aliases can multiply."""
        found = self.sizes.get(id(node))
        if found is None:
            inner = [self.size(child) for child in [*(entry.node for entry in node.entries.values()), *node.items]]
            found = node, 1 + sum(weight for weight, _ in inner), 1 + max((depth for _, depth in inner), default=0)
            self.sizes[id(node)] = found
        return found[1], found[2]

    def add(self, node: Node, anchor: str | None, *, plain: bool) -> None:
        if anchor:
            self.anchors[anchor] = node
        self.weight += 1
        if self.weight > HEAVIEST:
            self.problem(node.place, f"more than {HEAVIEST} values in one file")
            raise _TooMuch
        if not self.open:
            self.root = node
            return
        top = self.open[-1]
        if top.entries is None:
            top.node.items.append(node)
        elif top.key is None:
            self.key(top, node, plain=plain)
        else:
            self.put(top.entries, top.key, top.name, node)
            top.key = None

    def key(self, top: _Open, node: Node, *, plain: bool) -> None:
        """`node` is a key: remembered with its place, or reported and its value read for nothing."""
        top.key, top.name = node.place, None
        if node.raw is None:
            self.problem(node.place, "a key must be plain text")
        elif plain and node.raw == "<<":
            self.problem(node.place, "merge keys (<<) are not supported", "`extends: FILE` lays this file over another one")
        elif not isinstance(node.value, str):
            self.problem(node.place, f"the key {node.raw or 'null'} must be text", f"write {quoted(node.raw)}")
        else:
            top.name = node.value

    def put(self, entries: dict[str, Entry], key: Place, name: str | None, node: Node) -> None:
        """The value of a key; of one that cannot be used (no name), nothing."""
        if name is None:
            return
        if name in entries:
            first = entries[name].key
            self.problem(key, f"{name[:60]!r} is written twice", f"the first one is on line {first.line}")
            return
        entries[name] = Entry(key, node)


def parse(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """The file's tree (None when it is empty or cannot be read) and everything wrong with its YAML."""
    lines = split_lines(text)
    builder = _Builder(file, lines)
    loader = None
    try:
        loader = yaml.CSafeLoader(text)
        _read(loader, builder)
    except _TooMuch:
        return None, builder.problems
    except yaml.YAMLError as error:
        return None, [*builder.problems, problem_of(error, file, lines)]
    finally:
        if loader is not None:
            loader.dispose()
    return builder.root, builder.problems


def _read(loader: yaml.CSafeLoader, builder: _Builder) -> None:
    documents = 0
    handlers = builder.handlers()
    while (event := loader.get_event()) is not None:
        handler = handlers.get(type(event))
        if handler is not None:
            handler(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                builder.problem(builder.place(event), "a second document starts here", "one file holds one document")
                return
        elif isinstance(event, yaml.StreamEndEvent):
            return
