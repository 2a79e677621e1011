"""The server's archive: complete, the same every time, and nothing of the controller in it."""

import ast
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from deployer.transport.serve_archive import serve_archive


def test_the_same_sources_make_the_same_bytes_in_another_process_at_another_time() -> None:
    code = "import sys; from deployer.transport.serve_archive import serve_archive; sys.stdout.buffer.write(serve_archive())"
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "5"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert other.stdout == serve_archive()


def test_it_holds_the_server_and_nothing_of_the_controller(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(serve_archive())) as archive:
        names = archive.namelist()
        assert archive.read("deployer/__init__.py") == b""
        for name in names:
            tree = ast.parse(archive.read(name), feature_version=(3, 9))  # Python 3.9 on hosts
            modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert {m for m in modules if m.startswith("deployer")} <= {m for m in modules if m.startswith("deployer.serve.")}
    assert {"__main__.py", "deployer/__init__.py", "deployer/serve/__init__.py", "deployer/serve/server.py"} <= set(names)
    assert all(name.endswith(".py") for name in names)


def test_it_starts_without_the_checkout(tmp_path: Path) -> None:
    path = tmp_path / "serve.pyz"
    path.write_bytes(serve_archive())
    done = subprocess.run(
        [sys.executable, "-I", str(path), "--config", "/no/such file"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stdout.startswith("serve: error: /no/such file: cannot be read as JSON")
