"""What to change in git so that the files say the same as the revision that a deployment was rolled back to; and writing it,
where a value can be replaced in its place with every comment left. Used by `deployer rollback --write`; front ends may show
`edits`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from deployer.app import checking, written
from deployer.app.yamledit import data_of, entry
from deployer.errors import SpecError
from deployer.plan.goingback import ABSENT, Edit, differing
from deployer.plan.model import Plan
from deployer.spec.scalars import Meaning, meaning

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Written:
    """`left`: what a person must change, with why it was not written."""

    file: str
    done: tuple[Edit, ...]
    left: tuple[tuple[Edit, str], ...]


def edits(fleet: "Fleet", plan: Plan, name: str) -> tuple[Edit, ...]:
    """The values of a deployment's YAML that differ from the revision that this plan goes back to."""
    then = plan.specs.get(name)
    held = plan.roster.get("holds", {}).get(name, {}).get("revision") is not None
    return differing(fleet.loaded.positions, name, then) if then is not None and held else ()


def write(fleet: "Fleet", name: str, wanted: Sequence[Edit]) -> Written:
    """Writes what it safely can. The file is put back when the reader would not take it."""
    file = fleet.loaded.origins.get(f"deployment:{name}", f"deployments/{name}.yaml")
    path = fleet.root / file
    before = text = path.read_text(encoding="utf-8")
    done: list[Edit] = []
    left: list[tuple[Edit, str]] = []
    for edit in wanted:
        why = _unsafe(edit, file)
        changed = replaced(text, edit.path, edit.then) if why is None else None
        if changed is None:
            left.append((edit, why or "it is written in a way that cannot be followed line by line"))
        else:
            text = changed
            done.append(edit)
    if text != before:
        path.write_text(text, encoding="utf-8")
        try:
            checking.load(fleet.root)
        except SpecError as error:
            path.write_text(before, encoding="utf-8")
            return Written(file, (), tuple((edit, f"the files would be wrong then: {error.what}") for edit in wanted))
    return Written(file, tuple(done), tuple(left))


def _unsafe(edit: Edit, file: str) -> str | None:
    if edit.source is not None and edit.source.file != file:
        return f"it comes from {edit.source.file}, which others use too"
    if ABSENT in (edit.now, edit.then):
        return "a line must be added" if edit.now == ABSENT else "a line must be removed"
    if not all(isinstance(value, str | int | float | bool) for value in (edit.now, edit.then)):
        return "it is more than one value"
    return None


def replaced(text: str, path: Sequence[str], value: Any) -> str | None:
    """The file with one scalar replaced; None when that cannot be done without changing anything else."""
    wanted = data_of(text)
    node = _node(text, path)
    if not isinstance(wanted, dict) or not isinstance(node, ScalarNode) or node.style in ("|", ">"):
        return None
    inner = wanted
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    flow = "{" in text[: node.start_mark.index].rpartition("\n")[2]
    made = f"{text[: node.start_mark.index]}{_literal(value, flow)}{text[node.end_mark.index :]}"
    return made if data_of(made) == wanted else None


def _node(text: str, path: Sequence[str]) -> Node | None:
    try:
        node: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    for part in path:
        found = entry(node, part) if isinstance(node, MappingNode) else None
        node = found[1] if found is not None else None
    return node


def _literal(value: Any, flow: bool) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w.+-]+", value, re.ASCII) and meaning(value) == Meaning(value):
        return value  # a version, or a time with its unit
    return written.text(value, flow=flow) if isinstance(value, str) else json.dumps(value)
