"""The options of `vllm serve` out of vLLM's source, by walking through the functions that build its parser. Called by app.tables.

vLLM makes most options of the fields of its config classes (`get_kwargs`), some by hand, and changes a few afterwards; all
three are followed here. What a function does otherwise is passed over; a choice that depends on the machine is left open.
"""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from deployer.engines.vllm_flags import Flag
from deployer.errors import DeployerError
from deployer.lock.options.hints import flag_of, literals
from deployer.lock.options.hints import hints as hints_of
from deployer.lock.options.source import Found, Read, Source

#: Where the server's parser is made, newest first.
_HOMES = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
_ENGINE = "vllm.engine.arg_utils"
_SIZES = "human_readable_int_args"
_ENDS = re.compile(r"(?i)\b(is|are|has been|have been) (now )?deprecated\b|^deprecated\b|\bwill be removed in\b|\(deprecated\)")
_FEWEST = 100  # options; fewer mean that the source has another shape than we can read

Kwargs = dict[str, Flag]


def read_options(read: Read) -> dict[str, Flag]:
    """By name without dashes. Raises DeployerError when the source is not that of a vLLM we can read."""
    source = Source(read)
    home = next((name for name in _HOMES if source.module(name) is not None), None)
    start = source.find(home, "make_arg_parser") if home else None
    if start is None or not isinstance(start.node, ast.FunctionDef):
        hint = f"looked for make_arg_parser in {' and '.join(_HOMES)}"
        raise DeployerError("this is not the source of a vLLM that can be read", hint=hint)
    walk = _Walk(source)
    walk.function(start.module, start.node, None)
    if len(walk.options) < _FEWEST:
        what = f"only {len(walk.options)} options were found in its source: it is made in another way than we can read"
        raise DeployerError(what, hint="deployer/lock/options/vllm.py must learn it")
    return walk.options


class _Walk:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.options: dict[str, Flag] = {}
        self.sizes = self._sizes()

    def _sizes(self) -> frozenset[str]:
        """Fields whose numbers may be written as 8k, from the set in `_compute_kwargs`."""
        found = self.source.find(_ENGINE, "_compute_kwargs")
        for node in ast.walk(found.node) if found else ():
            named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == _SIZES
            if named and isinstance(node, ast.Assign) and isinstance(node.value, ast.Set):
                return frozenset({*ast.literal_eval(node.value), "max_model_len"})
        return frozenset({"max_model_len"})

    def function(self, module: str, node: ast.FunctionDef, owner: Found | None, named: dict[str, Kwargs] | None = None) -> None:
        _Body(self, module, owner, dict(named or {})).statements(node.body)

    def methods(self, owner: Found, name: str) -> list[tuple[str, ast.FunctionDef]]:
        """A method of a class and of what it derives from, the farthest first."""
        found = []
        for one in self.source.bases(owner):
            assert isinstance(one.node, ast.ClassDef)
            found += [(one.module, m) for m in one.node.body if isinstance(m, ast.FunctionDef) and m.name == name]
        return found

    def fields(self, owner: Found) -> Kwargs:
        """What `get_kwargs` makes of a config class."""
        found: Kwargs = {}
        for one in self.source.bases(owner):
            assert isinstance(one.node, ast.ClassDef)
            body = one.node.body
            for statement, after in zip(body, [*body[1:], None], strict=True):
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    found[statement.target.id] = self._field(one.module, statement, after)
        return found

    def _field(self, module: str, statement: ast.AnnAssign, after: ast.stmt | None) -> Flag:
        assert isinstance(statement.target, ast.Name)
        made = flag_of(self.source, module, statement.annotation, statement.target.id, self.sizes)
        doc = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        return replace(made, default=self.default(module, statement.value), deprecated=_deprecated(doc))

    def default(self, module: str, node: ast.expr | None) -> str | None:
        """As JSON; None when the text alone does not tell."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Field", "field"):
            node = next((k.value for k in node.keywords if k.arg == "default"), node.args[0] if node.args else None)
        if node is None:
            return None
        try:
            return json.dumps(self.source.constant(module, node))
        except (ValueError, TypeError, SyntaxError, RecursionError):
            return None


class _Body:
    """One function, statement by statement. `named`: its variables that hold options of a class; `one`: those of one field."""

    def __init__(self, walk: _Walk, module: str, owner: Found | None, named: dict[str, Kwargs]) -> None:
        self.walk, self.module, self.owner, self.named = walk, module, owner, named
        self.one: dict[str, tuple[Kwargs, str]] = {}

    def statements(self, body: Iterable[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assign(node.targets[0], node.value)
            elif isinstance(node, ast.Expr | ast.Return) and isinstance(node.value, ast.Call):
                self._call(node.value)
            elif isinstance(node, ast.Delete):
                self._delete(node.targets)
            elif isinstance(node, ast.For):
                self._loop(node)
            elif isinstance(node, ast.If):
                self.statements(node.body)
                self.statements(node.orelse)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Call):
            self._made(target.id, value)
        elif isinstance(target, ast.Name):
            place = self._place(value)
            if place is not None:
                self.one[target.id] = place
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            place = self._place(target.value)
            if place is not None:
                kwargs, field = place
                kwargs[field] = self._changed(kwargs[field], str(target.slice.value), value)

    def _made(self, name: str, call: ast.Call) -> None:
        said = ast.unparse(call.func)
        if said == "get_kwargs" and call.args:
            owner = self._class(call.args[0])
            self.named[name] = self.walk.fields(owner) if owner else {}
        elif said == "cls._customize_cli_kwargs" and self.owner and call.args and isinstance(call.args[0], ast.Name):
            kwargs = self.named.get(call.args[0].id, {})
            for module, method in self.walk.methods(self.owner, "_customize_cli_kwargs"):
                self.walk.function(module, method, self.owner, {method.args.args[1].arg: kwargs})
            self.named[name] = kwargs
        else:
            self._call(call)

    def _class(self, node: ast.expr) -> Found | None:
        if isinstance(node, ast.Name) and node.id == "cls":
            return self.owner
        found = self.walk.source.find(self.module, node.id) if isinstance(node, ast.Name) else None
        return found if found and isinstance(found.node, ast.ClassDef) else None

    def _place(self, node: ast.expr) -> tuple[Kwargs, str] | None:
        """`model_kwargs["dtype"]`, or a variable that holds it, or `get_kwargs(ModelConfig)["dtype"]`."""
        if isinstance(node, ast.Name):
            return self.one.get(node.id)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
            self._made("", node.value)
            node = ast.Subscript(ast.Name(""), node.slice)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
            kwargs = self.named.get(node.value.id, {})
            return (kwargs, node.slice.value) if node.slice.value in kwargs else None
        return None

    def _call(self, call: ast.Call) -> None:
        if not isinstance(call.func, ast.Attribute):
            return
        if call.func.attr == "add_argument":
            self._argument(call)
        elif call.func.attr == "add_cli_args":
            owner = self._class(call.func.value)
            for module, method in self.walk.methods(owner, "add_cli_args")[-1:] if owner else ():
                self.walk.function(module, method, owner)
        elif call.func.attr == "remove" and isinstance(call.func.value, ast.Subscript):
            self._without(call.func.value, call.args)

    def _without(self, where: ast.Subscript, args: Sequence[ast.expr]) -> None:
        place = self._place(where.value)
        if place is None or not isinstance(where.slice, ast.Constant) or where.slice.value != "choices":
            return
        kwargs, field = place
        try:
            gone = str(self.walk.source.constant(self.module, args[0]))
        except (ValueError, TypeError, SyntaxError, IndexError):
            gone = None  # which one cannot be told: they are left open
        left = () if gone is None else tuple(c for c in kwargs[field].choices if c != gone)
        kwargs[field] = replace(kwargs[field], choices=left)

    def _delete(self, targets: Iterable[ast.expr]) -> None:
        for target in targets:
            place = self._place(target.value) if isinstance(target, ast.Subscript) else None
            if place is not None and isinstance(target, ast.Subscript) and ast.unparse(target.slice) == "'nargs'":
                kwargs, field = place
                kwargs[field] = replace(kwargs[field], many=False)

    def _loop(self, node: ast.For) -> None:
        """`for key, value in frontend_kwargs.items(): … add_argument(…)`: every field of a class."""
        over = node.iter
        if not (isinstance(over, ast.Call) and isinstance(over.func, ast.Attribute) and over.func.attr == "items"):
            return
        if isinstance(over.func.value, ast.Name) and ".add_argument(" in ast.unparse(node):
            for field, flag in self.named.get(over.func.value.id, {}).items():
                self.walk.options.setdefault(field.replace("_", "-"), flag)

    def _argument(self, call: ast.Call) -> None:
        names = [str(a.value) for a in call.args if isinstance(a, ast.Constant) and str(a.value).startswith("--")]
        if not names:
            return
        flag = Flag("text")
        for keyword in call.keywords:  # what is written out wins over what a class says
            if keyword.arg is None:
                flag = self._starred(keyword.value) or flag
        for keyword in call.keywords:
            if keyword.arg is not None:
                flag = self._changed(flag, keyword.arg, keyword.value)
        self.walk.options[names[0].removeprefix("--")] = flag

    def _starred(self, node: ast.expr) -> Flag | None:
        if isinstance(node, ast.Dict):  # {**kwargs["field"], "default": None}
            flag: Flag | None = None
            for key, value in zip(node.keys, node.values, strict=True):
                flag = self._starred(value) if key is None else flag
                if flag is not None and isinstance(key, ast.Constant):
                    flag = self._changed(flag, str(key.value), value)
            return flag
        place = self._place(node)
        return place[0][place[1]] if place else None

    def _changed(self, flag: Flag, what: str, value: ast.expr) -> Flag:
        """`flag` with one keyword of add_argument laid over it."""
        if what == "type":
            kind = _type(value)
            return replace(flag, kind=kind) if kind else flag
        if what == "action":
            return _acting(flag, value)
        if what == "nargs":
            return replace(flag, many=ast.unparse(value) in ("'+'", "'*'"))
        if what == "choices":
            return replace(flag, choices=self._choices(value))
        if what == "default":
            return replace(flag, default=self.walk.default(self.module, value))
        if what == "help":
            try:
                return replace(flag, deprecated=_deprecated(self.walk.source.constant(self.module, value)))
            except (ValueError, TypeError, SyntaxError):
                return flag
        return flag

    def _choices(self, node: ast.expr) -> tuple[str, ...]:
        """Empty when they depend on more than the text."""
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "get_args" and node.args:
            found = [h for h in hints_of(self.walk.source, self.module, node.args[0]) if h.name == "Literal"]
            return literals(self.walk.source, found[0]) or () if found else ()
        try:
            return tuple(str(v) for v in self.walk.source.constant(self.module, node))
        except (ValueError, TypeError, SyntaxError):
            return ()


def _type(node: ast.expr) -> str | None:
    """The kind that a `type=` stands for; None leaves it as it is."""
    said = ast.unparse(node)
    inner = re.fullmatch(r"(?:optional_type|parse_type)\((.*)\)", said)
    said = inner[1] if inner else said
    kinds = {"int": "int", "float": "float", "str": "text", "json.loads": "json", "human_readable_int": "size"}
    return kinds.get(said)


def _acting(flag: Flag, node: ast.expr) -> Flag:
    said = ast.unparse(node).rpartition(".")[2].strip("'")
    if said == "BooleanOptionalAction":
        return replace(flag, kind="switch")
    if said == "store_true":
        return replace(flag, kind="true", default="false")
    return replace(flag, many=True) if said == "append" else flag


def _deprecated(text: Any) -> str | None:
    """What a help text says of the option's end, in one line."""
    sentences = re.split(r"(?<=[.!])\s+(?=[A-Z`-])", " ".join(text.split())) if isinstance(text, str) else []
    first = next((n for n, one in enumerate(sentences) if _ENDS.search(one)), None)
    return None if first is None else " ".join(sentences[first : first + 2])[:200]
