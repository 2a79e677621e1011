"""How our units' names begin, and where our things lie on a host, stands once, in agent/wire.py: agent, controller and the
simulated host cannot come to differ in it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from deployer.agent import wire

ROOT = Path(__file__).parents[2]
WIRE = ROOT / "deployer/agent/wire.py"
#: Whoever names units and places of a host.
PACKAGES = ("agent", "render", "plan", "execute", "transport/simulation")
PLACES = {value for name, value in vars(wire).items() if name.startswith("ROOT_")} | {wire.UNITS}
#: Folders that are gone when their block ends.
TEMPORARY = "prefix"


def literals(code: str) -> Iterator[tuple[int, str]]:
    """Texts of a module with their lines; not docstrings, nor the names of temporary folders."""
    tree = ast.parse(code)
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    skipped |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == TEMPORARY}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def own(code: str) -> list[tuple[int, str]]:
    """Texts that spell out what wire.py names."""
    return [(line, text) for line, text in literals(code) if text.startswith(wire.UNIT) or text.rstrip("/") in PLACES]


def test_only_the_wire_spells_out_how_our_units_begin_and_where_our_things_lie() -> None:
    modules = [path for package in PACKAGES for path in (ROOT / "deployer" / package).rglob("*.py") if path != WIRE]
    assert len(modules) > 100
    found = [(str(path.relative_to(ROOT)), *one) for path in modules for one in own(path.read_text(encoding="utf-8"))]
    # the id of a chart, which is no unit
    assert [one for one in found if one[0] != "deployer/execute/scraping.py"] == []


def test_the_guard_sees_a_literal_wherever_it_stands() -> None:
    assert own('def f(n):\n    """deployer-x"""\n    return n.startswith("deployer-")\n') == [(3, "deployer-")]
    assert own('def f(fleet):\n    return f"deployer-{fleet}-0.service"\n') == [(2, "deployer-")]
    assert sorted(own('"deployer-%s" % 1\nx = "/etc/deployer/"\n')) == [(1, "deployer-%s"), (2, "/etc/deployer/")]
    assert own('TemporaryDirectory(prefix="deployer-")\n') == []
