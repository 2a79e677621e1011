"""Adds an item to a list two levels deep in a YAML file, with every comment and blank where it was. Pure text; who calls it
compares what comes out with what was meant.
"""

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def data_of(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  (CSafeLoader or SafeLoader)
    except yaml.YAMLError:
        return None


def entry(node: Node | None, name: str) -> tuple[Node, Node] | None:
    if not isinstance(node, MappingNode):
        return None
    return next(((key, value) for key, value in node.value if key.value == name), None)


def with_item(text: str, section: str, name: str, item: str) -> str | None:
    """The file with one item more in the list `section: name:`; None when it is written in a way that this cannot follow."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    outer = entry(root, section)
    if outer is None:
        return f"{text.rstrip()}\n{section}:\n  {name}:\n    - {item}\n"
    inner = entry(outer[1], name)
    lines = text.splitlines(keepends=True)
    if inner is None:
        return _beneath(text, lines, outer[1], name, item) if isinstance(outer[1], MappingNode) else None
    value = inner[1]
    if not isinstance(value, SequenceNode):
        return None
    if value.flow_style:
        last = value.value[-1].end_mark.index if value.value else value.start_mark.index + 1
        return f"{text[:last]}{', ' if value.value else ''}{item}{text[last:]}"
    if not value.value:
        return None
    end = _end_line(value)
    indent = " " * value.start_mark.column
    return "".join([*lines[:end], _closed(lines, end), f"{indent}- {item}\n", *lines[end:]])


def _beneath(text: str, lines: list[str], outer: MappingNode, name: str, item: str) -> str:
    if outer.flow_style:
        at = outer.start_mark.index + 1
        return f"{text[:at]}{name}: [{item}]{', ' if outer.value else ''}{text[at:]}"
    line, indent = outer.start_mark.line, " " * outer.start_mark.column
    return "".join([*lines[:line], f"{indent}{name}:\n{indent}  - {item}\n", *lines[line:]])


def _end_line(sequence: SequenceNode) -> int:
    """The line behind the last item: block nodes of PyYAML end where the next token begins."""
    last = sequence.value[-1]
    return int(max(last_line(last), last.start_mark.line) + 1)


def last_line(node: Node) -> int:
    """The line of the last character of a node that is not blank."""
    if isinstance(node, MappingNode | SequenceNode) and node.value and not node.flow_style:
        child = node.value[-1]
        return last_line(child[1] if isinstance(child, tuple) else child)
    return int(node.end_mark.line)


def _closed(lines: list[str], end: int) -> str:
    return "" if not lines or end == 0 or lines[end - 1].endswith("\n") else "\n"
