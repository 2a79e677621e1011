"""What runs on hosts does so with their Python, or in an environment made with it: 3.9 on many."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

DEPLOYER = Path(__file__).parents[2] / "deployer"
ON_HOSTS = {
    "agent/**/*.py": 50,
    "handler/**/*.py": 15,
    "serve/**/*.py": 30,
    "engines/*front.py": 2,
}  # and how many files at least


def newer(code: str) -> Iterator[tuple[int, str]]:
    """What Python 3.9 does not have, with its line. Raises SyntaxError."""
    for node in ast.walk(ast.parse(code, feature_version=(3, 9))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
            yield from ((node.lineno, "zip(strict=)") for word in node.keywords if word.arg == "strict")
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{one.name}") for one in node.names if (node.module, one.name) in SINCE)
        if isinstance(node, ast.keyword) and node.arg in ("slots", "kw_only"):
            yield node.value.lineno, f"dataclass({node.arg}=)"


SINCE = {
    ("datetime", "UTC"),
    ("itertools", "pairwise"),
    ("itertools", "batched"),
    ("enum", "StrEnum"),
    ("contextlib", "aclosing"),
    ("typing", "TypeAlias"),
    ("typing", "ParamSpec"),
    ("typing", "Self"),
    ("asyncio", "timeout"),
    ("asyncio", "TaskGroup"),
}


@pytest.mark.parametrize(("files", "least"), ON_HOSTS.items())
def test_nothing_that_runs_on_hosts_is_newer_than_python_3_9(files: str, least: int) -> None:
    found = sorted(DEPLOYER.glob(files))
    assert len(found) >= least
    assert [(file.name, *one) for file in found for one in newer(file.read_text(encoding="utf-8"))] == []


def test_the_check_sees_what_is_newer() -> None:
    code = "from datetime import UTC\nfor a, b in zip(x, y, strict=True): pass\n@dataclass(slots=True)\nclass A: ...\n"
    assert sorted(newer(code)) == [(1, "datetime.UTC"), (2, "zip(strict=)"), (3, "dataclass(slots=)")]
