"""What an import really loads, seen in a fresh interpreter: the pure packages load nothing of the world."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORLD = {"fabric", "paramiko", "invoke", "yaml", "textual", "rich", "huggingface_hub", "torch", "vllm", "ctranslate2", "pynvml"}


def modules_below(package: str) -> list[str]:
    """Every module of a package of ours, by its files: "plan" gives deployer.plan, deployer.plan.model, ..."""
    folder = ROOT / "deployer" / package
    names = (path.relative_to(ROOT).with_suffix("") for path in sorted(folder.rglob("*.py")))
    return [".".join(name.parts).removesuffix(".__init__") for name in names]


def loaded_by(*modules: str) -> set[str]:
    """The top-level names in sys.modules after importing these, in an interpreter of its own."""
    code = f"import sys, json\nfor m in {modules!r}: __import__(m)\nprint(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["plan", "engines", "render", "state"])
def test_a_pure_package_loads_nothing_that_talks_to_the_world(package: str) -> None:
    modules = modules_below(package)
    assert len(modules) > 1 or package == "render"
    assert loaded_by(*modules) & WORLD == set()


def test_the_spec_models_load_no_yaml_reader() -> None:
    assert loaded_by("deployer.spec.models") & WORLD == set()


def test_the_package_itself_is_cheap_to_import() -> None:
    assert loaded_by("deployer") & (WORLD | {"pydantic", "jsonschema"}) == set()


def test_the_check_sees_a_module_that_does_load_the_world() -> None:
    assert loaded_by("yaml") & WORLD == {"yaml"}


def test_the_agent_runs_without_any_package_of_the_controller() -> None:
    code = "import sys; sys.path.insert(0, '.')\nfor m in sys.argv[1:]: __import__(m)"
    agent = [m for m in modules_below("agent") if not m.endswith("__main__")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *agent], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_with_nothing_heavy() -> None:
    heavy = WORLD | {"pydantic", "pydantic_core", "jsonschema", "shtab", "uv"}
    assert loaded_by("deployer.cli.main") & heavy == set()


def test_the_terminal_ui_starts_without_what_connects_installs_or_serves() -> None:
    heavy = {
        "paramiko",
        "fabric",
        "invoke",
        "huggingface_hub",
        "httpx2",
        "jsonschema",
        "textual_serve",
        "aiohttp",
        "torch",
        "vllm",
    }
    assert loaded_by("deployer.tui.run", "deployer.tui.screens.fleet") & heavy == set()
