"""Adds and removes a line of `endpoint.keys` in a deployment's file, with every comment and blank where it was. Pure text.

What comes out is compared with what was meant: an edit that would say anything else is not made (None).
"""

from typing import Any

import yaml
from yaml.nodes import SequenceNode

from deployer.app.yamledit import data_of, entry, last_line, with_item


def add_key(text: str, name: str, sha256: str) -> str | None:
    """The file with the key added; None when it is written in a way that a line edit cannot follow."""
    wanted = data_of(text)
    if not isinstance(wanted, dict):
        return None
    endpoint = wanted.setdefault("endpoint", {})
    if not isinstance(endpoint, dict) or not isinstance(endpoint.setdefault("keys", []), list):
        return None
    endpoint["keys"].append({"name": name, "sha256": sha256})
    edited = with_item(text, "endpoint", "keys", f"{{name: {name}, sha256: {sha256}}}")
    return edited if edited is not None and data_of(edited) == wanted else None


def remove_key(text: str, name: str) -> str | None:
    """The file without the key of that name; None when it is not there, or a line edit cannot follow."""
    wanted = data_of(text)
    try:
        keys = wanted["endpoint"]["keys"]
        left = [key for key in keys if key["name"] != name]
    except (TypeError, KeyError):
        return None
    if len(left) == len(keys):
        return None
    wanted["endpoint"]["keys"] = left
    edited = _removed(text, name)
    return edited if edited is not None and data_of(edited) in (wanted, _without(wanted)) else None


def _without(wanted: Any) -> Any:
    """The last key gone may leave `keys:` empty."""
    return {**wanted, "endpoint": {**wanted["endpoint"], "keys": None}} if not wanted["endpoint"]["keys"] else wanted


def _removed(text: str, name: str) -> str | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    endpoint = entry(root, "endpoint")
    keys = entry(endpoint[1], "keys") if endpoint else None
    value = keys[1] if keys else None
    if not isinstance(value, SequenceNode):
        return None
    for number, item in enumerate(value.value):
        found = entry(item, "name")
        if found is None or found[1].value != name:
            continue
        if value.flow_style:
            return _cut_flow(text, value, number)
        lines = text.splitlines(keepends=True)
        return "".join([*lines[: item.start_mark.line], *lines[last_line(item) + 1 :]])
    return None


def _cut_flow(text: str, value: SequenceNode, number: int) -> str:
    items = value.value
    start, end = items[number].start_mark.index, items[number].end_mark.index
    if number + 1 < len(items):
        end = items[number + 1].start_mark.index
    elif number:
        start = items[number - 1].end_mark.index
    return text[:start] + text[end:]
