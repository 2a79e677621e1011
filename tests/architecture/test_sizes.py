"""Sizes of files and functions of deployer/ (DESIGN §4): small rooms, short functions, and each room says what it is."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_SOFT_CAP, FILE_HARD_CAP, FILE_MEDIAN = 300, 400, 120
FUNCTION_HARD_CAP, FUNCTION_P90 = 60, 30
VAGUE = {"utils", "util", "helpers", "helper", "manager", "misc", "common"}

FILES = sorted((ROOT / "deployer").rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
LINES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in FILES}


def functions() -> Iterator[tuple[int, str]]:
    """(lines, file:line name) of every function and method, decorators not counted."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{file}:{node.lineno} {node.name}"


def test_no_file_is_longer_than_the_hard_cap() -> None:
    long = {file: count for file, count in LINES.items() if count > FILE_SOFT_CAP}
    for file, count in long.items():
        print(f"over the soft cap of {FILE_SOFT_CAP} lines: {file} ({count})")
    assert {file: count for file, count in long.items() if count > FILE_HARD_CAP} == {}


def test_the_median_file_is_short() -> None:
    assert statistics.median(count for count in LINES.values() if count > 1) <= FILE_MEDIAN


def test_no_function_is_longer_than_the_hard_cap() -> None:
    assert [f"{name}: {count} lines" for count, name in functions() if count > FUNCTION_HARD_CAP] == []


def test_nine_of_ten_functions_are_short() -> None:
    counts = sorted(count for count, _ in functions())
    assert counts[int(len(counts) * 0.9)] <= FUNCTION_P90


def test_every_module_says_what_it_is() -> None:
    assert [file for file, tree in TREES.items() if tree.body and ast.get_docstring(tree) is None] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [file for file in TREES if VAGUE & {Path(file).stem, *Path(file).parts[:-1]}] == []


def test_what_a_module_exports_by_name_it_defines() -> None:
    for file, tree in TREES.items():
        names = exported(tree)
        assert len(names) == len(set(names)), file
        lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
        assert lazy or set(names) <= defined(tree), f"{file}: {sorted(set(names) - defined(tree))}"


def exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def defined(tree: ast.Module) -> set[str]:
    """Names bound at the top of a module, inside its `if` and `try` blocks as well."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
