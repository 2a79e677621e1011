"""Adds and removes a line of `endpoint.keys` in a deployment's file, with every comment and blank where it was. Pure text.

What comes out is compared with what was meant: an edit that would say anything else is not made (None).
"""

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def add_key(text: str, name: str, sha256: str) -> str | None:
    """The file with the key added; None when it is written in a way that a line edit cannot follow."""
    wanted = _data(text)
    if not isinstance(wanted, dict):
        return None
    endpoint = wanted.setdefault("endpoint", {})
    if not isinstance(endpoint, dict) or not isinstance(endpoint.setdefault("keys", []), list):
        return None
    endpoint["keys"].append({"name": name, "sha256": sha256})
    edited = _added(text, f"{{name: {name}, sha256: {sha256}}}")
    return edited if edited is not None and _data(edited) == wanted else None


def remove_key(text: str, name: str) -> str | None:
    """The file without the key of that name; None when it is not there, or a line edit cannot follow."""
    wanted = _data(text)
    try:
        keys = wanted["endpoint"]["keys"]
        left = [key for key in keys if key["name"] != name]
    except (TypeError, KeyError):
        return None
    if len(left) == len(keys):
        return None
    wanted["endpoint"]["keys"] = left
    edited = _removed(text, name)
    return edited if edited is not None and _data(edited) in (wanted, _without(wanted)) else None


def _without(wanted: Any) -> Any:
    """The last key gone may leave `keys:` empty."""
    return {**wanted, "endpoint": {**wanted["endpoint"], "keys": None}} if not wanted["endpoint"]["keys"] else wanted


def _data(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  (CSafeLoader or SafeLoader)
    except yaml.YAMLError:
        return None


def _entry(node: Node | None, name: str) -> tuple[Node, Node] | None:
    if not isinstance(node, MappingNode):
        return None
    return next(((key, value) for key, value in node.value if key.value == name), None)


def _added(text: str, item: str) -> str | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    endpoint = _entry(root, "endpoint")
    if endpoint is None:
        return f"{text.rstrip()}\nendpoint:\n  keys:\n    - {item}\n"
    keys = _entry(endpoint[1], "keys")
    lines = text.splitlines(keepends=True)
    if keys is None:
        if not isinstance(endpoint[1], MappingNode):
            return None
        return _beneath_endpoint(text, lines, endpoint[1], item)
    value = keys[1]
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


def _beneath_endpoint(text: str, lines: list[str], endpoint: MappingNode, item: str) -> str | None:
    if endpoint.flow_style:
        at = endpoint.start_mark.index + 1
        return f"{text[:at]}keys: [{item}]{', ' if endpoint.value else ''}{text[at:]}"
    line, indent = endpoint.start_mark.line, " " * endpoint.start_mark.column
    return "".join([*lines[:line], f"{indent}keys:\n{indent}  - {item}\n", *lines[line:]])


def _end_line(sequence: SequenceNode) -> int:
    """The line behind the last item: block nodes of PyYAML end where the next token begins."""
    last = sequence.value[-1]
    return int(max(_last_line(last), last.start_mark.line) + 1)


def _last_line(node: Node) -> int:
    """The line of the last character of a node that is not blank."""
    if isinstance(node, MappingNode | SequenceNode) and node.value and not node.flow_style:
        child = node.value[-1]
        return _last_line(child[1] if isinstance(child, tuple) else child)
    return int(node.end_mark.line)


def _closed(lines: list[str], end: int) -> str:
    return "" if not lines or end == 0 or lines[end - 1].endswith("\n") else "\n"


def _removed(text: str, name: str) -> str | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    endpoint = _entry(root, "endpoint")
    keys = _entry(endpoint[1], "keys") if endpoint else None
    value = keys[1] if keys else None
    if not isinstance(value, SequenceNode):
        return None
    for number, item in enumerate(value.value):
        found = _entry(item, "name")
        if found is None or found[1].value != name:
            continue
        if value.flow_style:
            return _cut_flow(text, value, number)
        lines = text.splitlines(keepends=True)
        return "".join([*lines[: item.start_mark.line], *lines[_last_line(item) + 1 :]])
    return None


def _cut_flow(text: str, value: SequenceNode, number: int) -> str:
    items = value.value
    start, end = items[number].start_mark.index, items[number].end_mark.index
    if number + 1 < len(items):
        end = items[number + 1].start_mark.index
    elif number:
        start = items[number - 1].end_mark.index
    return text[:start] + text[end:]
