"""A field's annotation as vLLM's parser reads it: what kind of value its option takes, and which ones. Called by vllm.py.

The order of the questions is that of `_compute_kwargs` in vllm/engine/arg_utils.py.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from deployer.engines.vllm_flags import Flag
from deployer.lock.options.source import Found, Source

_LISTS = ("list", "tuple", "set", "Sequence")
_PLAIN = ("str", "int", "float", "bool", "dict", "list", "tuple", "set", "None")


@dataclass(frozen=True, slots=True)
class Hint:
    """One member of a union. `name`: str, int, Literal, …; for a class of the package "dataclass" or "class"."""

    name: str
    args: tuple[ast.expr, ...] = ()
    module: str = ""


def flag_of(source: Source, module: str, annotation: ast.expr, field: str, sizes: frozenset[str]) -> Flag:
    """`sizes`: fields that take 8k and 2G."""
    found = {hint.name: hint for hint in hints(source, module, annotation)}
    if "dataclass" in found:
        return Flag("json")
    if "bool" in found:
        return Flag("text") if set(found) == {"bool", "str", "None"} else Flag("switch")
    if "Literal" in found:
        return _literal(source, found)
    for name in _LISTS:
        if name in found:
            return _many(source, found[name])
    return Flag(_scalar(found, field, sizes))


def _scalar(found: dict[str, Hint], field: str, sizes: frozenset[str]) -> str:
    if "int" in found:
        return "size" if field in sizes else "int"
    if "float" in found:
        return "float"
    return "json" if "dict" in found and "str" not in found else "text"


def _literal(source: Source, found: dict[str, Hint]) -> Flag:
    """With str beside it the choices are only examples, as for the parser."""
    values = literals(source, found["Literal"])
    if "str" in found or values is None:
        return Flag("text")
    return Flag("text", choices=(*sorted(values, key=_order), *(("None",) if "None" in found else ())))


def _order(value: str) -> tuple[int, str]:
    return (int(value), "") if value.isdigit() else (-1, value)


def _many(source: Source, hint: Hint) -> Flag:
    inner = {one.name: one for argument in hint.args[:1] for one in hints(source, hint.module, argument)}
    if "Literal" in inner and "str" not in inner:
        values = literals(source, inner["Literal"])
        return Flag("text", many=True, choices=tuple(sorted(values or (), key=_order)))
    kind = next((name for name in ("int", "float") if set(inner) == {name}), "text")
    return Flag(kind, many=True)


def literals(source: Source, hint: Hint) -> tuple[str, ...] | None:
    """The values of a Literal, those of aliases in it included; None when one of them cannot be told."""
    found: list[str] = []
    for part in hint.args:
        if isinstance(part, ast.Constant):
            found.append(str(part.value))
            continue
        inner = [one for one in hints(source, hint.module, part) if one.name == "Literal"]
        values = literals(source, inner[0]) if inner else None
        if values is None:
            return None
        found += values
    return tuple(dict.fromkeys(found))


def hints(source: Source, module: str, node: ast.expr, depth: int = 8) -> Iterator[Hint]:
    """The members of a union, aliases followed."""
    if isinstance(node, ast.Constant):
        if node.value is None:
            yield Hint("None")
        elif isinstance(node.value, str):  # a forward reference
            try:
                yield from hints(source, module, ast.parse(node.value, mode="eval").body, depth - 1)
            except SyntaxError:
                yield Hint("other")
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from hints(source, module, node.left, depth)
        yield from hints(source, module, node.right, depth)
    elif isinstance(node, ast.Subscript):
        yield from _subscript(source, module, node, depth)
    elif isinstance(node, ast.Name):
        yield from _name(source, module, node.id, depth)
    else:
        yield Hint("other")


def _subscript(source: Source, module: str, node: ast.Subscript, depth: int) -> Iterator[Hint]:
    name = ast.unparse(node.value).rpartition(".")[2]
    args = tuple(node.slice.elts) if isinstance(node.slice, ast.Tuple) else (node.slice,)
    if name == "Optional":
        yield Hint("None")
    if name in ("Union", "Optional", "Annotated"):
        for part in args if name == "Union" else args[:1]:
            yield from hints(source, module, part, depth)
    else:
        yield Hint(name, args, module)


def _name(source: Source, module: str, name: str, depth: int) -> Iterator[Hint]:
    if name in _PLAIN:
        yield Hint(name)
        return
    found = source.find(module, name)
    if found is None or depth == 0:
        yield Hint("other")
    elif isinstance(found.node, ast.ClassDef):
        yield _class(source, found)
    elif isinstance(found.node, ast.expr):
        yield from hints(source, found.module, found.node, depth - 1)


def _class(source: Source, found: Found) -> Hint:
    """A dataclass is given as JSON; a class derived from dict is one."""
    for one in source.bases(found):
        assert isinstance(one.node, ast.ClassDef)
        if any(ast.unparse(base).partition("[")[0] == "dict" for base in one.node.bases):
            return Hint("dict")
        decorators = [ast.unparse(d).partition("(")[0].rpartition(".")[2] for d in one.node.decorator_list]
        if {"dataclass", "config"} & set(decorators):
            return Hint("dataclass")
    return Hint("class")
