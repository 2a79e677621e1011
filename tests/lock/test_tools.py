import hashlib
import subprocess
from pathlib import Path

import pytest
import uv

from deployer.errors import LockfileError
from deployer.lock.tools import uv_path, uv_tool


def test_the_controllers_own_uv_is_described() -> None:
    tool = uv_tool()
    content = uv_path().read_bytes()
    assert (tool.size, tool.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert f"uv {tool.version}" in subprocess.run([uv_path(), "--version"], capture_output=True, text=True, check=True).stdout
    assert tool.arch in ("x86_64", "aarch64")


def test_a_missing_uv_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr(uv, "find_uv_bin", gone)
    with pytest.raises(LockfileError, match="uv is not installed"):
        uv_tool()


def test_a_uv_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(tmp_path / "uv"))
    with pytest.raises(LockfileError, match="uv does not run here") as raised:
        uv_tool()
    assert raised.value.where == str(tmp_path / "uv")
