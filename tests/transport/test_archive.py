"""The agent's archive: complete, the same every time, nothing of the controller in it, and alive on a bare Python."""

import ast
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deployer.transport.archive import agent_archive, agent_digest

NEW_NODES = (ast.Match, ast.TryStar)


def test_the_same_sources_make_the_same_bytes_in_another_process() -> None:
    code = "from deployer.transport.archive import agent_digest; print(agent_digest())"
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "5"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, text=True)
    assert other.stdout.strip() == agent_digest()


def test_it_holds_the_agent_and_nothing_of_the_controller() -> None:
    with zipfile.ZipFile(io.BytesIO(agent_archive())) as archive:
        names = set(archive.namelist())
        assert archive.read("deployer/__init__.py") == b""
        for name in names - {"pynvml.py"}:
            tree = ast.parse(archive.read(name), feature_version=(3, 9))
            assert not any(isinstance(node, NEW_NODES) for node in ast.walk(tree)), name
            modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert all(m.startswith("deployer.agent") for m in modules if m.startswith("deployer")), name
    assert {"__main__.py", "pynvml.py", "deployer/agent/wire.py", "deployer/agent/children/hub_download.py"} <= names


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(agent_archive())) as archive:
        archive.extractall(tmp_path / "agent")
    return tmp_path / "agent"


def pythons() -> list[str]:
    """This one, and an old one where it is at hand."""
    old = [*Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"), *Path("/usr/bin").glob("python3.9")]
    return [sys.executable, *map(str, old[:1])]


@pytest.mark.parametrize("python", pythons())
def test_it_probes_this_machine_without_a_checkout(unpacked: Path, python: str) -> None:
    request = json.dumps({"fleet": {"id": "7f3a9c21", "name": "acme"}})
    done = subprocess.run([python, "-I", str(unpacked), "probe"], input=request, capture_output=True, text=True, cwd="/")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["probe", "end"], done.stderr
    assert lines[0]["arch"] == os.uname().machine
    assert done.stderr == ""


def test_every_module_of_it_can_be_imported_on_its_own(unpacked: Path) -> None:
    modules = [
        p.relative_to(unpacked).with_suffix("").as_posix().replace("/", ".") for p in (unpacked / "deployer").rglob("*.py")
    ]
    names = [m.removesuffix(".__init__") for m in modules if not m.endswith("__main__")]
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r}); [__import__(n) for n in {names!r}]; print(len({names!r}))"
    for python in pythons():
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_probe_imports_nothing_that_only_a_run_needs(unpacked: Path) -> None:
    late = ("deployer.agent.steps", "pynvml", "http.client", "ssl", "dataclasses", "deployer.agent.runner")
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import deployer.agent.main, deployer.agent.probe;"
        f"print([m for m in {late!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
