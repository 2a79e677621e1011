"""Names of a Python package looked up in its source: where a class, an alias or a constant is, through imports. Called by
vllm.py. What cannot be told from the text alone is None, never a guess.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Read = Callable[[str], str | None]  # "vllm/config/cache.py" → its text


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for, and the module whose names it uses."""

    module: str
    node: ast.ClassDef | ast.FunctionDef | ast.expr


class Source:
    """Modules of one package, read when first asked for."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._modules: dict[str, dict[str, ast.AST] | None] = {}

    def module(self, name: str) -> dict[str, ast.AST] | None:
        """What stands at the top of a module, by name; None when there is no such module, or none that is Python."""
        if name not in self._modules:
            path = name.replace(".", "/")
            text = self._read(f"{path}.py") or self._read(f"{path}/__init__.py")
            self._modules[name] = None if text is None else _names(text)
        return self._modules[name]

    def find(self, module: str, name: str, depth: int = 8) -> Found | None:
        """The definition behind a name, in that module or where it is imported from."""
        names = self.module(module) or {}
        node = names.get(name)
        if depth == 0:
            return None
        if node is None:
            stars = [one for key, one in names.items() if key.startswith("*") and isinstance(one, ast.ImportFrom)]
            every = (self.find(self._origin(module, one), name, depth - 1) for one in stars)
            return next((found for found in every if found is not None), None)
        if isinstance(node, ast.ImportFrom):
            real = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
            return self.find(self._origin(module, node), real, depth - 1)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.expr):
            return Found(module, node)
        return None

    def _origin(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self._read(f"{module.replace('.', '/')}/__init__.py") is not None
        parts = module.split(".")
        base = parts[: len(parts) - node.level + (1 if package else 0)]
        return ".".join([*base, *([node.module] if node.module else [])])

    def constant(self, module: str, node: ast.expr) -> Any:
        """The value of an expression that the text alone tells. Raises ValueError for any other."""
        if isinstance(node, ast.Name):
            found = self.find(module, node.id)
            if found is None or not isinstance(found.node, ast.expr) or isinstance(found.node, ast.Name):
                raise ValueError(node.id)
            return self.constant(found.module, found.node)
        return ast.literal_eval(node)

    def bases(self, found: Found, depth: int = 8) -> Iterator[Found]:
        """A class with what it derives from, the farthest first."""
        assert isinstance(found.node, ast.ClassDef)
        for base in found.node.bases if depth else ():
            above = self.find(found.module, base.id) if isinstance(base, ast.Name) else None
            if above is not None and isinstance(above.node, ast.ClassDef):
                yield from self.bases(above, depth - 1)
        yield found


def _names(text: str) -> dict[str, ast.AST] | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return dict(_defined(tree.body))


def _defined(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or (f"*{node.module}" if alias.name == "*" else alias.name), node) for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
        elif isinstance(node, ast.If):  # what only a type checker sees counts where nothing else defines it
            yield from _defined(node.body)
            yield from _defined(node.orelse)
        elif isinstance(node, ast.Try):
            yield from _defined(node.body)
